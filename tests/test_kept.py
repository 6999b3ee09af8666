"""What is kept of a look: results rendered from it are those of a fresh run, and nothing damaged is believed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_files import written
from conftest import noise, pan, write_video
from safetensors.numpy import load, save

from nsnet_cli.errors import KeptError, WeightsError
from nsnet_cli.outputs.files import FileOutputs
from nsnet_cli.outputs.kept_results import kept_path, pack, read_kept, render, render_kept, unpack
from nsnet_cli.outputs.store import ResultStore
from nsnet_cli.policies import POLICIES
from nsnet_cli.tagger import Tagger
from nsnet_cli.types import TagOptions, VideoResult
from nsnet_cli.weights.projection import INDEX_FILE, load_projection, random_projection

Out = subprocess.CompletedProcess[str]
OTHERS = (
    {"precision": 0.95, "top_k": 1},
    {"precision": 0.5, "top_k": 20},
    {"precision": 0.0, "threshold": 0.05},
    {"precision": 0.03, "threshold": 0.2, "top_k": 3},
)


def keeping(tagger: Tagger, **changes: Any) -> Tagger:
    """The same loaded networks under other options, with results that carry what is kept."""
    return Tagger(tagger.checkpoint, tagger.engine, replace(tagger.options, **changes), keep=True)


def whole(result: VideoResult) -> tuple[Any, ...]:
    """All of a result, with the fields that do not count in a comparison. Timings vary."""
    tags = [*result.tags, *([result.perhaps] if result.perhaps else [])]
    return replace(result, timings=None), [tag.why for tag in tags], repr(replace(result, timings=None, jpegs=()))


@pytest.fixture(scope="module")
def looked(tagger: Tagger, cat_video: Path) -> VideoResult:
    return keeping(tagger).tag(cat_video)


# ---- rendering ------------------------------------------------------------------------------------------------------

WAYS = [*({"policy": policy} for policy in POLICIES), {"budget": "6"}, {"frames": 9, "preview": 31}]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(map(str, way.values())))
def test_a_kept_look_gives_what_a_fresh_run_gives(tagger: Tagger, cat_video: Path, way: dict[str, Any]) -> None:
    first = keeping(tagger, **way).tag(cat_video)
    assert replace(first, kept=b"") == render(unpack(first.kept), replace(tagger.options, **way), str(cat_video))
    for other in OTHERS:
        options = replace(tagger.options, **way, **other)
        if way.get("budget"):  # then the precision decides how many frames are recognised
            options = replace(options, precision=tagger.options.precision)
        fresh = Tagger(tagger.checkpoint, tagger.engine, options).tag(cat_video)
        assert whole(render(unpack(first.kept), options, str(cat_video))) == whole(fresh)


def test_packing_changes_nothing(looked: VideoResult) -> None:
    assert pack(unpack(looked.kept)) == looked.kept


@pytest.mark.torch
@pytest.mark.parametrize("changes", [{}, {"multi_label": False}], ids=["independent", "one of two"])
def test_own_tags_without_a_calibration(tmp_path: Path, cat_video: Path, changes: dict[str, Any]) -> None:
    own = Tagger.from_checkpoint(str(written(tmp_path / "own", **changes)), device="cpu", keep=True)
    result = own.tag(cat_video)
    options = replace(own.options, top_k=1)
    fresh = Tagger(own.checkpoint, own.engine, options).tag(cat_video)
    assert len(fresh.tags) == 1 and whole(render(unpack(result.kept), options, str(cat_video))) == whole(fresh)
    assert unpack(result.kept).answers(1000), "both tags are kept, and there are no others"


def test_how_many_tags_can_be_rendered(tagger: Tagger, cat_video: Path, looked: VideoResult) -> None:
    assert unpack(looked.kept).answers(20) and not unpack(looked.kept).answers(21)
    assert unpack(keeping(tagger, top_k=30, policy="uniform").tag(cat_video).kept).answers(30)


def test_what_is_not_asked_for_is_not_kept(tagger: Tagger, cat_video: Path) -> None:
    assert (
        Tagger(tagger.checkpoint, tagger.engine, replace(tagger.options, policy="uniform")).tag(cat_video).kept == b""
    )
    assert unpack(keeping(tagger, policy="uniform").tag(cat_video).kept).features is None, "the preview did not look"


@pytest.mark.parametrize("frames", [4, 30])
def test_sixty_frames_take_at_most_40_kb(
    tagger: Tagger, photos: dict[str, np.ndarray], tmp_path: Path, frames: int
) -> None:
    shots = [shot for name in photos for shot in pan(photos[name], 20)]
    video = write_video(tmp_path / "clip.mp4", [*shots, *noise(60)], fps=2)
    all_at_once = keeping(tagger, preview=60, frames=frames)
    all_at_once.read_options = replace(all_at_once.read_options, in_rounds=False)
    result = all_at_once.tag(video)
    kept = unpack(result.kept)
    assert kept.features is not None and kept.features.shape == (60, 192) and kept.features.dtype == np.float16
    assert len(result.kept) <= 40_000


# ---- likeness -------------------------------------------------------------------------------------------------------


def test_the_shipped_projection_keeps_what_looks_alike(tagger: Tagger, cat_video: Path) -> None:
    projection = load_projection(tagger.checkpoint, 1280)
    config = json.loads((tagger.checkpoint.sampler / "config.json").read_text("utf-8"))  # type: ignore[operator]
    assert projection.identity == config["index_sha256"][:16] and projection.matrix.shape == (1280, 192)
    np.testing.assert_allclose(projection.matrix.T.astype(float) @ projection.matrix, np.eye(192), atol=0.01)


def test_a_projection_is_of_the_preview_network(tagger: Tagger, tmp_path: Path) -> None:
    """A checkpoint without a file of its own uses the shipped one; where none is shipped, a fixed random one."""
    alone = replace(tagger.checkpoint, sampler=None)
    assert load_projection(alone, 1280).identity == load_projection(tagger.checkpoint, 1280).identity
    other = replace(alone.preview, network=replace(alone.preview.network, name="another"))
    found = load_projection(replace(alone, preview=other), 1280)
    assert found.identity == "random-1280" == random_projection(1280).identity
    assert found.matrix[0, :2] == pytest.approx(random_projection(1280).matrix[0, :2])
    assert random_projection(8).reduced(np.eye(3, 8)).shape == (3, 8)


@pytest.mark.parametrize("change", ["bytes", "shape", "missing"])
def test_a_damaged_projection_is_named(tagger: Tagger, tmp_path: Path, change: str) -> None:
    import hashlib
    import shutil

    folder = tmp_path / "own"
    shutil.copytree(tagger.checkpoint.sampler, folder)  # type: ignore[arg-type]
    tensors = load((folder / INDEX_FILE).read_bytes())
    if change == "shape":
        tensors["index.projection"] = tensors["index.projection"][:-1]
    elif change == "missing":
        del tensors["index.mean"]
    else:
        tensors["index.mean"] = tensors["index.mean"] + 1
    data = save({name: np.ascontiguousarray(each) for name, each in tensors.items()})
    (folder / INDEX_FILE).write_bytes(data)
    if change != "bytes":
        config = json.loads((folder / "config.json").read_text("utf-8"))
        config["index_sha256"] = hashlib.sha256(data).hexdigest()
        (folder / "config.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(WeightsError, match=re.escape(str(folder / INDEX_FILE))):
        load_projection(replace(tagger.checkpoint, sampler=folder), 1280)


# ---- damage ---------------------------------------------------------------------------------------------------------


def changed(data: bytes, **arrays: np.ndarray | None) -> bytes:
    """The same file with other arrays; None leaves one out."""
    header = int.from_bytes(data[:8], "little")
    text = json.loads(data[8 : 8 + header])["__metadata__"]["nsnet"]
    found = {name: array for name, array in {**load(data), **arrays}.items() if array is not None}
    return save({name: np.ascontiguousarray(array) for name, array in found.items()}, {"nsnet": text})


def text_changed(data: bytes, **fields: Any) -> bytes:
    header = int.from_bytes(data[:8], "little")
    plain = json.loads(json.loads(data[8 : 8 + header])["__metadata__"]["nsnet"])
    return save(load(data), {"nsnet": json.dumps(plain | fields)})


def test_a_damaged_file_is_named_and_not_believed(looked: VideoResult) -> None:
    data, arrays = looked.kept, load(looked.kept)
    nan = arrays["scores"].copy()
    nan[0] = np.nan
    bad = {
        "cut short": data[: len(data) // 2],
        "empty": b"",
        "a header of a petabyte": (1 << 50).to_bytes(8, "little") + data[8:],
        "no safetensors": b"\x80\x04K\x01." * 100,
        "another type": changed(data, saliency=arrays["saliency"].astype(np.float64)),
        "another shape": changed(data, sums=arrays["sums"][:, :-1]),
        "another length": changed(data, features=arrays["features"][1:]),
        "not finite": changed(data, scores=nan),
        "no scores": changed(data, scores=None),
        "half a calibration": changed(data, trust=None),
        "unknown": changed(data, extra=np.zeros(1)),
        "a frame beyond the last": changed(data, chosen=arrays["chosen"] + 1000),
        "a frame twice": changed(data, chosen=np.zeros_like(arrays["chosen"])),
        "a node before the first": changed(data, series_of=arrays["series_of"] - 1000),
        "times that go back": changed(data, pts_s=arrays["pts_s"][::-1]),
        "no text": save(arrays),
        "another format": text_changed(data, format=2),
        "a name that is a number": text_changed(data, policy=4),
        "a parent that is not there": text_changed(data, above=[[10**9]] * len(arrays["scores"])),
        "a number that is not one": text_changed(data, bias=float("nan")),
        "deep": text_changed(data, names=json.loads("[" * 500 + "]" * 500)),
    }
    for what, each in bad.items():
        with pytest.raises(KeptError, match=r"results/clip.mp4.nsnet is damaged: .*\(tag the video again\)"):
            unpack(each, "results/clip.mp4.nsnet")
            pytest.fail(what)


def test_no_changed_byte_makes_more_than_a_message(looked: VideoResult) -> None:
    rng = np.random.default_rng(0)
    header = 8 + int.from_bytes(looked.kept[:8], "little")
    for _ in range(300):
        data = bytearray(looked.kept)
        data[int(rng.integers(0, header))] ^= 1 << int(rng.integers(0, 8))
        try:
            render(unpack(bytes(data)), TagOptions(), "clip.mp4")
        except KeptError:
            continue


# ---- beside results -------------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> FileOutputs:
    files = FileOutputs(tmp_path / "out")
    files.shown = TagOptions()
    files.open()
    return files


def state(files: FileOutputs, name: str = "clip.mp4", **options: Any) -> str:
    files.shown = TagOptions(**options)
    return files.look(name, lambda: "f").state


def test_other_options_of_showing_need_no_other_look(files: FileOutputs, looked: VideoResult) -> None:
    files.write("clip.mp4", looked, "f")
    assert state(files) == "done"
    assert state(files, top_k=20) == state(files, precision=0.9) == state(files, threshold=0.1) == "kept"
    assert state(files, top_k=21) == "stale", "so many tags are not kept"
    files.shown = TagOptions(precision=0.9)
    again = files.rendered("clip.mp4", looked.path, "f", None)
    assert again is not None and again.kept == looked.kept and again.precision == 0.9
    assert files.results is not None
    path = kept_path(files.results.path("clip.mp4"))
    before = path.stat()
    files.write("clip.mp4", again, "f")
    assert state(files, precision=0.9) == "done" and state(files) == "kept"
    assert path.stat() == before, "what is kept is not written again"


def test_a_result_of_version_0_1_is_looked_at_again(files: FileOutputs, looked: VideoResult) -> None:
    assert files.results is not None
    path = files.results.save("clip.mp4", replace(looked, kept=b""), "f")
    assert "kept" not in json.loads(path.read_bytes())
    assert state(files) == "stale"
    with pytest.raises(KeptError, match=re.escape(f"nothing is kept beside {path}")):
        read_kept(path)


DAMAGES: dict[str, Callable[[Path, bytes], object]] = {
    "removed": lambda path, other: path.unlink(),
    "cut short": lambda path, other: path.write_bytes(path.read_bytes()[:-1]),
    "longer": lambda path, other: path.write_bytes(path.read_bytes() + b"\0"),
    "another video's": lambda path, other: path.write_bytes(other),
    "of the same size": lambda path, other: path.write_bytes(path.read_bytes()[:-1] + b"\1"),
    "a folder": lambda path, other: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_named_and_the_video_looked_at_again(
    files: FileOutputs, looked: VideoResult, tagger: Tagger, cat_video: Path, heard: Any, damage: str
) -> None:
    files.write("clip.mp4", looked, "f")
    assert files.results is not None
    path = kept_path(files.results.path("clip.mp4"))
    DAMAGES[damage](path, changed(looked.kept, features=None))
    assert state(files) == state(files, precision=0.9) == "stale"
    assert str(path) in heard.text and "looking at the video again" in heard.text
    with pytest.raises(KeptError, match=re.escape(str(path))):
        render_kept(files.results.path("clip.mp4"), TagOptions())


def test_a_file_whose_content_is_wrong_is_named(files: FileOutputs, looked: VideoResult, heard: Any) -> None:
    """As if somebody had written both files: the hash is right, the numbers are not."""
    wrong = changed(looked.kept, saliency=load(looked.kept)["saliency"].astype(np.float64))
    files.write("clip.mp4", replace(looked, kept=wrong), "f")
    assert state(files, precision=0.9) == "stale"
    assert "clip.mp4.nsnet is damaged: saliency is float64" in heard.text


def test_a_file_of_another_program_is_left_alone(files: FileOutputs, looked: VideoResult, heard: Any) -> None:
    assert files.results is not None
    foreign = kept_path(files.results.path("clip.mp4"))
    foreign.write_bytes(b"a shopping list")
    files.write("clip.mp4", looked, "f")
    assert foreign.read_bytes() == b"a shopping list" and "left alone" in heard.text
    assert json.loads(files.results.path("clip.mp4").read_bytes())["kept"] is None
    assert state(files) == "done" and state(files, precision=0.9) == "stale"


def test_a_long_name_has_its_file_beside_it(files: FileOutputs, looked: VideoResult) -> None:
    names = ["x" * 246 + ".mp4", "x" * 247 + ".mp4"]
    for name in names:
        files.write(name, looked, "f")
    assert {state(files, name, precision=0.9) for name in names} == {"kept"}
    assert files.results is not None and len(list(files.results.root.glob("*.nsnet"))) == 2


def test_one_more_file_costs_one_more_sync(
    files: FileOutputs, looked: VideoResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced, folder = [], Path("/proc/self/fd")
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append((folder / str(descriptor)).readlink()))
    files.write("clip.mp4", looked, "f")
    assert files.results is not None
    assert len(synced) == 3 and synced[-1] == files.results.root, "two files, and once the folder"


@pytest.mark.parametrize("earlier", [False, True], ids=["new", "again"])
def test_a_kill_between_the_two_writes_is_noticed(files: FileOutputs, looked: VideoResult, earlier: bool) -> None:
    assert files.results is not None
    root = files.results.root
    if earlier:
        files.write("clip.mp4", replace(looked, kept=changed(looked.kept, features=None)), "f")
    (root / "kept.bin").write_bytes(looked.kept)
    script = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from nsnet_cli.outputs.files import FileOutputs
from nsnet_cli.outputs.kept_results import render, unpack
from nsnet_cli.outputs.store import ResultStore
from nsnet_cli.types import TagOptions
root = Path(sys.argv[1])
data = (root / "kept.bin").read_bytes()
files = FileOutputs(root)
files.shown = TagOptions()
files.open()
ResultStore.write = lambda *args, **options: os.kill(os.getpid(), signal.SIGKILL)
files.write("clip.mp4", replace(render(unpack(data), files.shown, sys.argv[2]), kept=data), "f")
"""
    killed = subprocess.run([sys.executable, "-c", script, str(root), looked.path], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (root / "clip.mp4.nsnet").read_bytes() == looked.kept, "it was written first"
    assert state(files) == ("stale" if earlier else "missing")
    files.write("clip.mp4", looked, "f")
    assert state(files) == "done"


# ---- without the video ----------------------------------------------------------------------------------------------


def row(folder: Path) -> dict[str, Any]:
    found = json.loads((folder / "cat.mp4.nsnet.json").read_bytes())
    return {name: value for name, value in found.items() if name not in ("timings", "kept")}  # these vary


def test_nothing_is_decoded_again(inside: Callable[..., Out], cat_video: Path, tmp_path: Path) -> None:
    video, out = tmp_path / "cat.mp4", tmp_path / "out"
    video.write_bytes(cat_video.read_bytes())
    asked = ("--precision", "0.5", "--top-k", "12", "--threshold", "1e-5")
    assert inside("tag", video, "-o", out).returncode == 0
    assert inside("tag", video, "-o", tmp_path / "fresh", *asked).returncode == 0
    stamp = video.stat()
    video.write_bytes(bytes(stamp.st_size))
    os.utime(video, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))

    def summary() -> tuple[int, int, int, int]:
        run = json.loads((out / "run.json").read_bytes())
        return run["done"], run["rendered"], run["skipped"], run["failed"]

    dry = inside("tag", video, "-o", out, *asked, "--dry-run", "--json")
    assert json.loads(dry.stdout)["action"] == "render" and "1 to render anew" in dry.stderr
    ran = inside("tag", video, "-o", out, *asked, "--json")
    assert ran.returncode == 0 and summary() == (0, 1, 0, 0), ran.stderr
    assert "1 rendered anew (looked at before)" in ran.stderr
    assert len(json.loads(ran.stdout)["tags"]) == len(row(out)["tags"]) == 12
    assert row(out) == row(tmp_path / "fresh")
    assert inside("tag", video, "-o", out, *asked).returncode == 0 and summary() == (0, 0, 1, 0)
    assert inside("tag", video, "-o", out, *asked, "--format", "xmp").returncode == 0 and summary() == (0, 1, 0, 0)
    assert (out / "cat.mp4.xmp").is_file()
    assert inside("tag", video, "-o", out, "--top-k", "21").returncode == 3, "that takes another look"
    assert summary() == (0, 0, 0, 1)


def test_rendering_needs_neither_video_nor_checkpoint_nor_network(looked: VideoResult, tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "out")
    store.check()
    path = store.save("gone.mp4", looked, "f", shown=TagOptions().shown())
    script = """
import sys
from pathlib import Path
from nsnet_cli.outputs.jsonlines import to_line
from nsnet_cli.outputs.kept_results import render_kept
from nsnet_cli.types import TagOptions
print(to_line(render_kept(Path(sys.argv[1]), TagOptions(top_k=7))))
loaded = {name.partition(".")[0] for name in sys.modules}
assert not loaded & {"torch", "timm", "openvino", "av", "PIL"}, loaded
assert "nsnet_cli.weights.checkpoint" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["tags"]) == 7
    with pytest.raises(KeptError, match="20 tags, --top-k 21 needs more"):
        render_kept(path, TagOptions(top_k=21))


def test_the_fingerprint_is_of_what_was_looked_at(tagger: Tagger, cat_video: Path) -> None:
    first = keeping(tagger).fingerprint(cat_video)
    for same in OTHERS:
        assert keeping(tagger, **same).fingerprint(cat_video) == first
    others = [{"frames": 5}, {"seed": 1}, {"policy": "dense"}, {"budget": "4"}, {"budget": "4", "precision": 0.5}]
    assert len({first, *(keeping(tagger, **other).fingerprint(cat_video) for other in others)}) == 6
    assert keeping(tagger, budget="4", top_k=9).fingerprint(cat_video) == keeping(tagger, budget="4").fingerprint(
        cat_video
    )
