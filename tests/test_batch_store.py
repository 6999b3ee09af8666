"""The folder of results: files whole or absent, names without collisions, done only if really done."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsnet_cli.atomic import write_whole
from nsnet_cli.errors import EXIT_UNEXPECTED, EXIT_USAGE, OutputError
from nsnet_cli.outputs.files import FileOutputs
from nsnet_cli.outputs.names import fit_name, output_name, spelled
from nsnet_cli.outputs.store import ResultStore
from nsnet_cli.types import ErrorInfo, FrameScore, SalientFrame, Tag, VideoResult

OK = VideoResult("clip.mp4", "ok", 2.0, (Tag("n1", "cat", 0.9),), (SalientFrame(1.0, 0.8),))
BAD = VideoResult("clip.mp4", "error", error=ErrorInfo("truncated", "no index"))


def tree(root: Path) -> list[str]:
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    store = ResultStore(tmp_path / "out")
    store.check()
    return store


def test_a_result_is_done_if_its_fingerprint_is_current(store: ResultStore) -> None:
    assert store.look("a/clip.mp4", lambda: "f1").state == "missing"
    path = store.save("a/clip.mp4", OK, "f1")
    assert path == store.root / "a" / "clip.mp4.nsnet.json"
    assert json.loads(path.read_text())["fingerprint"] == "f1"
    assert store.look("a/clip.mp4", lambda: "f1").state == "done"
    assert store.look("a/clip.mp4", lambda: "f1").result == OK
    assert store.look("a/clip.mp4", lambda: "f2").state == "stale"
    assert store.look("a/clip.mp4", lambda: None).state == "stale"
    store.save("a/clip.mp4", BAD, "f2")
    assert store.look("a/clip.mp4", lambda: "f2").state == "failed"
    store.save("a/clip.mp4", BAD, None)
    assert store.look("a/clip.mp4", lambda: None).state == "stale"


@pytest.mark.parametrize("content", [b"", b"{", b'{"schema_version": 99}', b"\xff\xfe"])
def test_a_file_that_is_not_a_result_is_made_again(store: ResultStore, content: bytes) -> None:
    store.path("clip.mp4").write_bytes(content)
    assert store.look("clip.mp4", lambda: "f").state == "stale"


def test_a_result_cut_at_any_byte_is_not_done(store: ResultStore) -> None:
    whole = store.save("clip.mp4", OK, "f").read_bytes()
    for size in range(len(whole) - 2):
        store.path("clip.mp4").write_bytes(whole[:size])
        assert store.look("clip.mp4", lambda: "f").state == "stale"


def test_only_results_are_left(store: ResultStore) -> None:
    store.save("clip.mp4", OK, "f")
    store.write_summary({"done": 1})
    store.close()
    assert [p.name for p in sorted(store.root.iterdir())] == ["clip.mp4.nsnet.json", "run.json"]


def test_leftovers_of_killed_runs_are_swept_and_those_of_running_ones_are_not(store: ResultStore) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    host = os.uname().nodename
    names = {pid: f"{host}@{pid}-0" for pid in (gone.pid, os.getpid())}
    for name in (*names.values(), f"elsewhere@{gone.pid}-0"):
        (store.root / ".nsnet-tmp" / name).touch()
    store.check()
    assert tree(store.root / ".nsnet-tmp") == sorted([names[os.getpid()], f"elsewhere@{gone.pid}-0"])


def test_a_failed_write_leaves_the_old_file_and_no_temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "file"
    target.write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(target, b"new")
    assert target.read_text() == "old" and tree(tmp_path) == ["file"]


def test_a_full_disk_is_named_and_ends_the_run_with_its_own_code(tmp_path: Path) -> None:
    script = """
import resource, sys
sys.dont_write_bytecode = True  # the limit would cut .pyc files too
from pathlib import Path
from nsnet_cli.outputs.store import ResultStore
from nsnet_cli.atomic import write_whole
from nsnet_cli.errors import OutputError
store = ResultStore(Path(sys.argv[1])); store.check()
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
store.write("small", b"x" * 900)
try:
    store.write("large", b"x" * 9000)
except OutputError as error:
    print(error.kind, error.exit_code)
"""
    out = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, encoding="utf-8", check=True
    ).stdout
    assert out.split() == ["disk_full", str(EXIT_UNEXPECTED)]
    assert tree(tmp_path) == ["small.nsnet.json"]


def test_a_folder_that_cannot_be_written_is_found_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nowhere")):
        with pytest.raises(OutputError, match="cannot write") as caught:
            ResultStore(place).check()
        assert caught.value.exit_code == EXIT_USAGE


def test_names_that_are_too_long_are_cut_and_hashed() -> None:
    assert fit_name("clip.mp4", ".nsnet.json") == "clip.mp4.nsnet.json"
    long = fit_name("é" * 126 + ".mp4", ".nsnet.json")
    assert len(os.fsencode(long)) <= 255 and long.endswith(".nsnet.json") and "\udcc3" not in long
    assert fit_name("é" * 125 + "x.mp4", ".nsnet.json") != long


@given(
    st.lists(st.text(st.sampled_from("ab.é🎬\n/-%3F?: \udcff"), min_size=1, max_size=300), max_size=8), st.booleans()
)
def test_a_name_belongs_to_one_input_and_stays_below_the_folder(names: list[str], any_name: bool) -> None:
    names = sorted({os.path.normpath(name.strip("/")) for name in names if name.strip("/")} - {".", ".."})
    names = [name for name in names if not name.startswith("../")]
    store = ResultStore(Path("/out"))
    store._takes_any_name = any_name
    files = [str(store.path(output_name(name))) for name in names]
    assert len(set(files)) == len(names)
    for file in files:
        assert file.startswith("/out/") and ".." not in Path(file).parts
        assert all(len(os.fsencode(part)) <= 255 for part in Path(file).parts)


@given(st.text(st.sampled_from('a.é🎬%3Ff?:*<>|"\\\x01\udcff ')))
def test_names_spelled_for_picky_file_systems_can_be_read_back(name: str) -> None:
    safe = spelled(name)
    undone = re.sub(rb"%([0-9A-Fa-f]{2})", lambda m: bytes([int(m[1], 16)]), os.fsencode(safe))
    assert os.fsdecode(undone) == name and spelled("100 % fun.mp4") == "100 % fun.mp4"
    assert not set(safe) & set('?:*<>|"\\\x01\udcff') and safe.rstrip(". ") == safe


def test_done_means_that_every_requested_file_is_there(tmp_path: Path) -> None:
    frames = (FrameScore(1.0, 0.8, True), FrameScore(2.0, 0.1, False))
    result = VideoResult(OK.path, "ok", 2.0, OK.tags, OK.salient_frames, frames=frames, jpegs=(b"jpeg 1", b"jpeg 2"))
    files = FileOutputs(tmp_path / "out")
    files.open()
    files.write("clip.mp4", result, "f")
    files.close()
    assert files.look("clip.mp4", lambda: "f").state == "done"
    more = FileOutputs(tmp_path / "out", sidecar="xmp", thumbnails=tmp_path / "pictures")
    assert more.need_jpegs
    more.open()
    assert more.look("clip.mp4", lambda: "f").state == "stale"
    more.write("clip.mp4", result, "f")
    more.close()
    assert more.look("clip.mp4", lambda: "f").state == "done"
    assert tree(tmp_path) == ["out/clip.mp4.nsnet.json", "out/clip.mp4.xmp", "pictures/clip.mp4.00001.000s.jpg"]
    assert (tmp_path / "pictures/clip.mp4.00001.000s.jpg").read_bytes() == b"jpeg 1"
