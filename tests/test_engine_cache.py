"""The exports in the cache: damage is noticed, failures leave nothing, unused exports are removed."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from nsnet_cli.errors import OutputError, WeightsError
from nsnet_cli.nets import intact
from nsnet_cli.nets.cpu_engine import loaded
from nsnet_cli.nets.exports import Export, Exports, engine_cache
from nsnet_cli.types import TagName
from nsnet_cli.weights import memory
from nsnet_cli.weights.registry import load_registry
from nsnet_cli.weights.rows import HubSource, NetworkRow, NetworkUse

REVISION = "c" * 40
BATCH, SIDE_PX = 2, 32
FRAMES = np.random.default_rng(0).integers(0, 256, (3, SIDE_PX, SIDE_PX, 3), dtype=np.uint8)

pytestmark = pytest.mark.torch  # exports are made here


@functools.cache
def small() -> tuple[NetworkUse, bytes]:
    """The row of a network that is exported in half a second, and its file: 1.5 MB of random weights."""
    import timm
    import torch
    from safetensors.torch import save

    torch.manual_seed(0)
    data = save(timm.create_model("test_resnet", num_classes=5).state_dict())
    source = HubSource("made/small", REVISION, "net.safetensors", hashlib.sha256(data).hexdigest())
    tags = tuple(TagName(name, name) for name in "abcde")
    row = NetworkRow("small", "test_resnet", "MIT", (0.5,) * 3, (0.25,) * 3, "bilinear", 1.0, tags, (source,))
    return NetworkUse(row, SIDE_PX), data


@pytest.fixture(autouse=True, scope="module")
def in_the_hub_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    from huggingface_hub import constants

    folder = tmp_path_factory.mktemp("hub")
    snapshot = folder / "models--made--small" / "snapshots" / REVISION
    snapshot.mkdir(parents=True)
    (snapshot / "net.safetensors").write_bytes(small()[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_CACHE", str(folder))
        yield


@pytest.fixture(scope="module")
def exported(in_the_hub_cache: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache `there` with a small network exported, checked and compiled, and a copy of it, `as it was`."""
    folder = tmp_path_factory.mktemp("exported")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NSNET_CACHE", str(folder / "there"))
        patch.setattr(memory, "_boot", lambda: "first start")
        run()
    shutil.copytree(folder / "there", folder / "as it was")
    return folder


@pytest.fixture
def cache(exported: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That cache as it was, always in one place, which compiled graphs depend on. Returns the folder of the export."""
    shutil.rmtree(exported / "there")
    shutil.copytree(exported / "as it was", exported / "there")
    monkeypatch.setenv("NSNET_CACHE", str(exported / "there"))
    monkeypatch.setattr(memory, "_boot", lambda: "first start")
    return export_of(run()[0]).folder


def export_of(exports: Exports) -> Export:
    return exports.classifier(small()[0], BATCH)


def run() -> tuple[Exports, np.ndarray]:
    """What a new process does with the network: its exports, and the logits of three frames."""
    exports = Exports()
    return exports, loaded(exports, export_of(exports))(FRAMES)[1]


def flip(path: Path, *, keep_mtime: bool, at: float = 0.5) -> None:
    """Changes one byte in the middle and keeps the size."""
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[int(at * len(data))] ^= 0xFF
    path.chmod(0o644)
    path.write_bytes(data)
    if keep_mtime:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("name", ["graph.bin", "graph.xml"])
@pytest.mark.parametrize("keep_mtime", [False, True])
def test_a_damaged_export_of_the_same_size_is_made_again(
    cache: Path, name: str, keep_mtime: bool, heard: pytest.LogCaptureFixture
) -> None:
    heard.clear()
    right = run()[1]
    assert heard.messages == []
    flip(cache / name, keep_mtime=keep_mtime)
    found = run()[1]
    assert heard.messages == ["exporting small for this machine (once; it takes some seconds) ..."]
    np.testing.assert_allclose(found, right, atol=1e-5)
    heard.clear()
    run()
    assert heard.messages == []


def test_bit_rot_without_a_new_time_is_found_after_a_reboot(
    cache: Path, monkeypatch: pytest.MonkeyPatch, heard: pytest.LogCaptureFixture
) -> None:
    """The disk changes a byte but no timestamp. Files are only read again after a reboot."""
    run()
    flip(cache / "graph.bin", keep_mtime=True)
    book = cache / intact.CHECKED_FILE
    checks = intact._read(book)
    checks["graph.bin"][:-1] = memory.stamp_of(cache / "graph.bin")  # as if the change left no trace
    intact.write_whole(book, intact.json.dumps(checks).encode())
    assert intact.is_whole(cache)
    monkeypatch.setattr(memory, "_boot", lambda: "second start")
    assert not intact.is_whole(cache)
    heard.clear()
    run()
    assert len(heard.messages) == 1


def test_files_are_hashed_once_per_change_of_their_stamp(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run()
    hashed: list[str] = []
    real = intact.sha256_of
    monkeypatch.setattr(intact, "sha256_of", lambda path: hashed.append(path.name) or real(path))
    assert intact.is_whole(cache) and hashed == []
    os.utime(cache / "graph.bin")
    assert intact.is_whole(cache) and intact.is_whole(cache) and hashed == ["graph.bin"]
    hashed.clear()
    monkeypatch.setattr(memory, "_boot", lambda: "second start")
    run()
    assert sorted(name for name in hashed if name.startswith("graph")) == ["graph.bin", "graph.xml"]
    assert len(hashed) == 3  # also what OpenVINO compiled
    hashed.clear()
    run()
    assert hashed == []


def test_a_damaged_compiled_graph_is_compiled_again(cache: Path, heard: pytest.LogCaptureFixture) -> None:
    heard.clear()
    (blob,) = (cache / "compiled").iterdir()
    right = blob.read_bytes()
    for at in (0.1, 0.5, 0.9):
        flip(blob, keep_mtime=True, at=at)
        damaged = blob.read_bytes()
        run()
        assert heard.messages == []  # the export itself is whole
        (blob,) = (cache / "compiled").iterdir()
        found = blob.read_bytes()
        assert found != damaged and len(found) == pytest.approx(len(right), rel=0.01)  # OpenVINO numbers names in it


def test_an_unknown_compiled_graph_is_not_trusted(cache: Path) -> None:
    (cache / intact.COMPILED_FILE).unlink()
    (blob,) = (cache / "compiled").iterdir()
    intact.drop_changed_compiled(cache)
    assert not blob.exists()


def test_a_damaged_meta_file_is_made_again(cache: Path) -> None:
    right = intact.read_meta(cache)
    assert right and right["gflops"] > 0 and set(right["files"]) == {"graph.xml", "graph.bin"}
    flip(cache / "meta.json", keep_mtime=False)
    assert intact.read_meta(cache) is None
    exports = Exports()
    assert exports.meta(export_of(exports))["gflops"] == right["gflops"]
    assert intact.is_whole(cache)


def test_an_export_belongs_to_its_vocabulary(tmp_path: Path) -> None:
    from dataclasses import replace

    exports = Exports()
    row = load_registry().networks["efficientnet-lite0"]
    other = replace(row, vocabulary=tuple(TagName(str(i), str(i)) for i in range(1000)))
    assert exports._classifier_folder(NetworkUse(row, 128), 8) != exports._classifier_folder(NetworkUse(other, 128), 8)


def test_a_failed_export_leaves_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(cache)

    def fail(*args: object) -> None:
        raise RuntimeError("the converter does not know this")

    monkeypatch.setattr(intact, "write_meta", fail)
    with pytest.raises(WeightsError, match=r"cannot export small for OpenVINO: the converter does not.*torch-cpu"):
        run()
    assert [path.name for path in cache.parent.iterdir()] == ["export.lock"]


def test_an_export_prints_nothing_to_stdout(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """OpenVINO's converter looks for --verbose on the command line of whatever program calls it."""
    shutil.rmtree(cache)
    monkeypatch.setattr(sys, "argv", ["nsnet", "tag", "--verbose", "clip.mp4"])
    run()
    assert capfd.readouterr().out == "" and sys.argv == ["nsnet", "tag", "--verbose", "clip.mp4"]


def test_leftovers_of_killed_exports_go_with_the_next_one(cache: Path) -> None:
    left = cache.parent / ".efficientnet-lite0-0123456789abcdef.99.tmp"
    left.mkdir()
    (left / "graph.bin").write_bytes(b"half")
    shutil.rmtree(cache)
    run()
    assert sorted(path.name for path in cache.parent.iterdir()) == sorted(["export.lock", cache.name])


def old(root: Path, name: str, days: float, size_bytes: int) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    with (folder / "graph.bin").open("wb") as handle:
        handle.truncate(size_bytes)
    (folder / "meta.json").write_text("{}")
    os.utime(folder, (time.time() - days * 86_400,) * 2)
    return folder


def test_the_cache_is_bounded_by_age_and_size(tmp_path: Path) -> None:
    names = [f"net-{i:016x}" for i in range(6)]
    ages = [1, 2, 3, 4, 100, 100]
    folders = [old(tmp_path, name, age, 700 << 20) for name, age in zip(names, ages, strict=True)]
    foreign = old(tmp_path, "my-photos", 1000, 1)
    held = intact.hold(folders[3])
    os.utime(folders[3], (time.time() - 200 * 86_400,) * 2)
    intact.prune(tmp_path, {folders[4]})
    assert [folder.exists() for folder in folders] == [True, True, False, True, True, False]
    assert foreign.exists() and held is not None
    held.close()
    intact.prune(tmp_path, set())
    assert [folder.exists() for folder in folders] == [True, True, False, False, False, False]
    assert {path.name for path in tmp_path.iterdir()} == {*names[:2], "my-photos"}


def test_a_run_marks_what_it_uses(cache: Path) -> None:
    os.utime(cache, (time.time() - 80 * 86_400,) * 2)
    exports, _ = run()
    assert time.time() - cache.stat().st_mtime < 86_400
    os.utime(cache, (time.time() - 100 * 86_400,) * 2)
    intact.prune(cache.parent, set())
    assert cache.is_dir()  # another process would find it in use
    del exports
    os.utime(cache, (time.time() - 100 * 86_400,) * 2)
    intact.prune(cache.parent, set())
    assert not cache.exists()


# ---- disks that are full, or cannot be written


@pytest.fixture
def small_disk(tmp_path: Path):
    """A tmpfs of 600 kB; the network takes 1.5 MB."""
    place = tmp_path / "small"
    place.mkdir()
    if (
        os.getuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(place)], capture_output=True
        ).returncode
    ):
        pytest.skip("needs root to mount a small disk")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize("late", [False, True])
def test_a_full_disk_is_named_with_what_to_set(small_disk: Path, late: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """`late`: the disk fills while the graph is written, which OpenVINO calls an "iostream error"."""
    from nsnet_cli.nets import export as exporter

    monkeypatch.setenv("NSNET_CACHE", str(small_disk))
    if late:
        real, calls = exporter._check_space, iter([lambda *args: None])
        monkeypatch.setattr(exporter, "_check_space", lambda *args: next(calls, real)(*args))
    with pytest.raises(WeightsError) as raised:
        run()
    assert raised.value.kind == "no_space" and raised.value.exit_code == 5
    assert str(small_disk / "engine") in raised.value.message
    assert "NSNET_CACHE" in (raised.value.hint or "")
    assert [path.name for path in (small_disk / "engine").iterdir()] == ["export.lock"]


def test_without_space_for_compiled_graphs_it_still_runs(
    cache: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch, heard: pytest.LogCaptureFixture
) -> None:
    graph = [cache / name for name in ("graph.xml", "graph.bin", "meta.json")]
    size_bytes = sum(path.stat().st_size for path in graph) + (256 << 10)  # none for a compiled one
    subprocess.run(["mount", "-o", f"remount,size={size_bytes}", str(small_disk)], check=True)
    target = small_disk / "engine" / cache.name
    target.mkdir(parents=True)
    for path in graph:
        shutil.copy(path, target)
    monkeypatch.setenv("NSNET_CACHE", str(small_disk))
    first, second = run()[1], run()[1]
    assert heard.messages == []
    np.testing.assert_array_equal(first, second)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    np.testing.assert_array_equal(run()[1], first)


def test_features_on_a_full_disk_name_the_folder(small_disk: Path) -> None:
    from nsnet_cli.labelled.features import FeatureCache

    with pytest.raises(OutputError) as raised:
        FeatureCache(small_disk / "features").store("ab" * 20, {"x": np.zeros(1_000_000, np.float32)}, {})
    assert str(small_disk / "features") in raised.value.message and "NSNET_CACHE" in (raised.value.hint or "")
    assert not [path for path in (small_disk / "features").rglob("*") if path.is_file()]


def test_the_engine_uses_the_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSNET_CACHE", "/some/where")
    assert engine_cache() == Path("/some/where/engine")
    assert sys.platform != "linux" or memory._boot.__wrapped__() == memory._boot.__wrapped__()
