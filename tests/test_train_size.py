"""Training on more than fits in memory: features stay in their files, and are extracted once, also after a kill."""

from __future__ import annotations

import signal
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_extraction import extractor, files, read
from readers import scripted
from safetensors.numpy import save_file

from nsnet_cli.labelled.features import Extractor, extract_all
from nsnet_cli.labelled.mapped import MappedArray, map_npz, map_safetensors
from nsnet_cli.nets.threads import one_thread
from nsnet_cli.training import head as heads
from nsnet_cli.training import prototypes
from nsnet_cli.training.dataset import Dataset, Example, deal, read_features
from nsnet_cli.training.head import fit_head
from nsnet_cli.training.scored import sequence
from nsnet_cli.training.train import TrainOptions, fit_all, train, training_device
from nsnet_cli.weights.checkpoint import Checkpoint, resolve_checkpoint

FRAMES = 12


def made(count: int, *, width: int = 16, seed: int = 0) -> dict[str, np.ndarray]:
    """Ready features of two classes: four frames of each video show its own, the others a background of both."""
    rng = np.random.default_rng(seed)
    features = rng.normal(0, 0.3, (count, FRAMES, width)).astype(np.float32)
    features[:, :, 2] += 2
    for index in range(count):
        start = int(rng.integers(0, FRAMES - 4))
        features[index, start : start + 4, 2] -= 2
        features[index, start : start + 4, index % 2] += 2
    return {"features": features, "labels": np.arange(count) % 2}


def in_memory(dataset: Dataset) -> Dataset:
    return replace(dataset, examples=tuple(replace(e, features=np.asarray(e.features)) for e in dataset.examples))


@pytest.fixture(scope="module")
def base() -> Checkpoint:
    return resolve_checkpoint("imagenet-lite")


# ---- arrays in files ------------------------------------------------------------------------------------------------


def test_a_mapped_array_reads_what_the_file_holds(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "features": rng.normal(size=(5, 4, 3)).astype(np.float16),
        "labels": np.arange(5),
        "none": np.empty((0, 3)),
    }
    save_file(arrays, tmp_path / "f.safetensors", metadata={"names": '["a"]'})
    np.savez(tmp_path / "f.npz", **arrays, words=np.array(["x"]))
    tensors, metadata = map_safetensors(tmp_path / "f.safetensors")
    assert metadata == {"names": '["a"]'} and set(tensors) == set(arrays)
    for mapped in (tensors, map_npz(tmp_path / "f.npz")):
        assert "words" not in mapped
        for name, array in arrays.items():
            assert mapped[name].shape == array.shape and mapped[name].dtype == array.dtype
            np.testing.assert_array_equal(np.asarray(mapped[name]), array)
        found, wanted = mapped["features"], arrays["features"]
        assert isinstance(found[3], MappedArray) and len(found[3]) == 4
        np.testing.assert_array_equal(np.asarray(found[-1]), wanted[-1])
        for index in (slice(1, 3), np.array([4, 0]), np.array([True, False, True, False, False])):
            np.testing.assert_array_equal(found[index], wanted[index])
        assert type(np.asarray(found)) is np.ndarray  # nothing stays mapped


@pytest.mark.parametrize("damage", ["", "no", "cut", "odd header"])
def test_a_damaged_file_is_no_map(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "f.safetensors"
    save_file({"features": np.zeros((5, 4))}, path)
    data = path.read_bytes()
    path.write_bytes(
        {"": b"", "no": b"not safetensors", "cut": data[:-8]}.get(damage, data.replace(b"offsets", b"onsetss"))
    )
    with pytest.raises(ValueError):
        map_safetensors(path)


def test_compressed_features_are_read_whole(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "f.npz", **made(4))
    np.savez(tmp_path / "g.npz", **made(4))
    one, other = (read_features(tmp_path / name).examples[3].features for name in ("f.npz", "g.npz"))
    assert type(one) is np.ndarray and isinstance(other, MappedArray)
    np.testing.assert_array_equal(one, np.asarray(other))


# ---- training -------------------------------------------------------------------------------------------------------


def test_training_from_a_file_gives_the_same_bytes_as_from_memory(tmp_path: Path, base: Checkpoint) -> None:
    np.savez(tmp_path / "f.npz", **made(40))
    dataset, models = deal(read_features(tmp_path / "f.npz"), 0.2, 0), []
    for name, given in (("file", dataset), ("memory", in_memory(dataset))):
        train(given, base, TrainOptions(epochs=4, seed=1), tmp_path / name)
        models.append((tmp_path / name / "model.safetensors").read_bytes())
    assert models[0] == models[1]


def test_training_does_not_hold_the_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The arrays of numpy, which hold all that is read from files, never take as much memory as the features would."""
    monkeypatch.setattr(prototypes, "MOST_NUMBERS", 1 << 19)
    arrays = made(160, width=4096)
    np.savez(tmp_path / "f.npz", **arrays)
    size = arrays.pop("features").nbytes
    tracemalloc.start()
    try:
        with one_thread():
            made_of = fit_all(deal(read_features(tmp_path / "f.npz"), 0.2, 0), TrainOptions(epochs=1))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert made_of.metrics["val_top1_nsnet"] > 0.5
    assert size > 30e6 and peak < 0.5 * size, f"{peak:,} of {size:,} bytes"


def test_parts_give_the_same_pseudo_labels_as_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = made(60)
    examples = [Example("", (i % 2,), np.linspace(0, 1, FRAMES), f) for i, f in enumerate(arrays["features"])]
    videos, weights = [sequence(e) for e in examples], list(np.random.default_rng(1).random((60, FRAMES)))
    whole = prototypes.label_frames(videos, 2, weights)
    monkeypatch.setattr(prototypes, "MOST_NUMBERS", 7 * FRAMES * 18)
    parts = prototypes.label_frames(videos, 2, weights)
    assert all(np.array_equal(a, b) for a, b in zip(whole.labels, parts.labels, strict=True))
    assert parts.told_apart == pytest.approx(whole.told_apart, abs=1e-6)


def test_a_sample_of_very_many_frames_finds_the_same_two_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    r = np.concatenate([rng.normal(0, 1, 9000), rng.normal(6, 1, 1000)])
    whole = prototypes.two_kinds(r)
    monkeypatch.setattr(prototypes, "MOST_FITTED", 1000)
    np.testing.assert_allclose(prototypes.two_kinds(r), whole, atol=0.1)


@pytest.mark.parametrize("multi_label", [False, True])
def test_a_head_of_very_many_videos_is_the_same(monkeypatch: pytest.MonkeyPatch, multi_label: bool) -> None:
    arrays = made(80)
    targets = np.eye(2, dtype=np.uint8)[arrays["labels"]]
    given = (list(arrays["features"]), [np.ones(FRAMES)] * 80, targets)
    with one_thread():
        exact = fit_head(*given, multi_label=multi_label, decays=(1.0,))
        monkeypatch.setattr(heads, "BLOCK", 30)
        monkeypatch.setattr(heads, "MANY", 50)
        many = fit_head(*given, multi_label=multi_label, decays=(1.0,))
    np.testing.assert_allclose(many.weight, exact.weight, atol=3e-3)
    np.testing.assert_allclose(many.bias, exact.bias, atol=3e-3)


def test_few_videos_are_trained_on_the_cpu_alone() -> None:
    assert training_device("auto", 100) == training_device("cpu", 10**6) == training_device("mps", 10**6) == "cpu"


# ---- extraction -----------------------------------------------------------------------------------------------------


def test_mapped_features_are_those_of_the_cache(base: Checkpoint, tmp_path: Path) -> None:
    (path,) = files(tmp_path / "videos", 1)
    mapped = extractor(base, tmp_path / "cache").video(path)
    usual = extractor(base, tmp_path / "cache", Extractor).video(path)
    assert isinstance(mapped.preview.features, MappedArray) and mapped.recogniser is not None
    for one, other in ((mapped.preview, usual.preview), (mapped.recogniser, usual.recogniser)):
        assert other is not None and one.features.dtype == other.features.dtype == np.float32
        np.testing.assert_array_equal(np.asarray(one.features), other.features)
        np.testing.assert_array_equal(np.asarray(one.outputs), other.outputs)
    assert mapped.duration_s == usual.duration_s and np.array_equal(mapped.times, usual.times)


def test_a_broken_entry_is_made_again(base: Checkpoint, tmp_path: Path) -> None:
    (path,) = files(tmp_path / "videos", 1)
    extractor(base, tmp_path / "cache").video(path)
    for entry in (tmp_path / "cache").rglob("*.safetensors"):
        entry.write_bytes(entry.read_bytes()[:-4])
    found = extractor(base, tmp_path / "cache").video(path)
    assert np.asarray(found.preview.features).tolist() == [[0.0] * 4] * 2


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from made_extraction import extractor
from nsnet_cli.labelled.features import extract_all
from nsnet_cli.weights.checkpoint import resolve_checkpoint
made = extractor(resolve_checkpoint("imagenet-lite"), Path({cache!r}))
look = made.open
def opened(path, options):
    if path.stem == "5":
        os.kill(os.getpid(), signal.SIGKILL)
    return look(path, options)
object.__setattr__(made, "open", opened)
extract_all([Path({videos!r}) / f"{{i}}.mp4" for i in range(8)], made)
"""


def test_what_was_extracted_before_a_kill_is_not_extracted_again(base: Checkpoint, tmp_path: Path) -> None:
    paths = files(tmp_path / "videos", 8)
    code = KILLED.format(
        tests=str(Path(__file__).parent), cache=str(tmp_path / "cache"), videos=str(tmp_path / "videos")
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    again = extractor(base, tmp_path / "cache")
    opened: list[str] = []

    def look(path: Path, options: object) -> object:
        opened.append(path.stem)
        return scripted(read)(path, options)  # type: ignore[arg-type]

    found = extract_all(paths, replace(again, open=look))  # type: ignore[arg-type]
    assert opened == ["5", "6", "7"] and len(found.videos) == 8
    assert [float(np.asarray(found.videos[i].preview.features)[0, 0]) for i in range(8)] == list(range(8))
