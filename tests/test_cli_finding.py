"""What `nsnet tag` finds and where it writes, from the command line: lists, folders, outputs of others."""

from __future__ import annotations

import csv
import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hung_disk import hung_disk
from shown_names import spreadsheet_text, unprintable

from nsnet_cli import bounded, looking
from nsnet_cli.inputs import find_videos

Out = subprocess.CompletedProcess[str]
CHEAP = ("--policy", "uniform", "--frames", "1", "--top-k", "1")


def make_clip(path: Path, level: int = 100, codec: str = "libx264", format: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format=format) as container:
        stream = container.add_stream(codec, rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for _ in range(6):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), level, np.uint8))))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def nsnet(*args: str | Path, stdin: bytes, cwd: Path) -> Out:
    command = [sys.executable, "-m", "nsnet_cli", *map(str, args)]
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=250, cwd=cwd)
    return Out(command, done.returncode, done.stdout.decode(), done.stderr.decode())


def results(folder: Path) -> dict[str, dict[str, Any]]:
    return {p.relative_to(folder).as_posix(): json.loads(p.read_bytes()) for p in folder.rglob("*.nsnet.json")}


def planned(out: Out) -> dict[str, str]:
    assert out.returncode == 0, out.stderr
    rows = [json.loads(line) for line in out.stdout.splitlines()]
    return {Path(row["path"]).as_posix(): row["action"] for row in rows}


# ---- lists ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-16-le", "utf-32"])
@pytest.mark.parametrize("names", [["clip.mp4"], ["clip.mp4", "日本語 é.mp4"]])
def test_lists_in_any_encoding(inside: Callable[..., Out], here: Path, encoding: str, names: list[str]) -> None:
    for name in names:
        (here / name).touch()
    (here / "list.txt").write_bytes(("\r\n".join(names) + "\r\n").encode(encoding))
    assert set(planned(inside("tag", "--from", "list.txt", "--dry-run", "--json"))) == set(names)


@pytest.mark.parametrize("kind", ["mp4", "mkv", "zip", "random"])
def test_files_that_are_not_lists_are_refused(here: Path, clip: Path, kind: str) -> None:
    data, looks = {
        "mp4": (clip.read_bytes(), "a video (mp4)"),
        "mkv": (make_clip(here / "a.mkv").read_bytes(), "a video (matroska)"),
        "zip": (b"PK\x03\x04" + bytes(500), "a zip archive"),
        "random": (np.random.default_rng(0).bytes(9000), "binary data"),
    }[kind]
    out = nsnet("tag", "-", "--dry-run", stdin=data, cwd=here)
    assert (out.returncode, out.stdout) == (2, "") and "list on stdin" in out.stderr and looks in out.stderr


def test_a_folder_in_a_list_is_searched_and_mentioned(here: Path) -> None:
    (here / "clip.mp4").touch()
    (here / "below").mkdir()
    (here / "below" / "b.mp4").touch()
    out = nsnet("tag", "-", "--dry-run", "--json", stdin=b"below\nclip.mp4\n", cwd=here)
    assert set(planned(out)) == {"below/b.mp4", "clip.mp4"}
    assert out.stderr.index("the list has 1 folder to search: below") < out.stderr.index("2 of 2 videos")
    out = nsnet("tag", "-", "--dry-run", "--json", stdin=b".\0/\0clip.mp4\0", cwd=here)
    assert set(planned(out)) == {"clip.mp4"}
    assert "the list has 2 folders, left out: ., /" in out.stderr


# ---- folders --------------------------------------------------------------------------------------------------------


def test_what_a_folder_search_leaves_out(inside: Callable[..., Out], here: Path) -> None:
    hidden = ["@eaDir/clip.mp4/SYNOVIDEO.mp4", "#recycle/a.mp4", "$RECYCLE.BIN/b.mp4", ".Trash-1000/c.mp4"]
    hidden += [".thumbnails/d.mp4", "lost+found/e.mp4", "System Volume Information/f.mp4", ".h/g.mp4"]
    for name in [*hidden, "clip.mp4", "raw/t.mp4", "raw/keep.mp4", "a.txt", "b.txt", "c.jpg", "README"]:
        (here / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (here / "in" / name).touch()
    (here / "in/@eaDir/other.mp4").mkdir()  # a folder named as a video, as Synology makes them
    plan = ("tag", "in", "--dry-run", "--json")
    assert set(planned(inside(*plan))) == {"in/clip.mp4", "in/raw/t.mp4", "in/raw/keep.mp4"}
    assert set(planned(inside("tag", "in/**", "--dry-run", "--json"))) == {
        "in/clip.mp4",
        "in/raw/t.mp4",
        "in/raw/keep.mp4",
    }
    assert set(planned(inside(*plan, "--exclude", "raw/"))) == {"in/clip.mp4"}
    excluded = planned(inside(*plan, "--exclude", "raw/*", "--exclude", "!keep.mp4"))
    assert set(excluded) == {"in/clip.mp4", "in/raw/keep.mp4"}
    everything = set(planned(inside(*plan, "--hidden")))
    assert {f"in/{name}" for name in hidden} <= everything and "in/@eaDir/other.mp4" in everything
    wrong = inside(*plan, "--exclude", "!")
    assert wrong.returncode == 2 and "--exclude !" in wrong.stderr
    out = inside("tag", "in", "--exclude", "*.mp4")
    assert out.returncode == 4 and "left out: 2 .txt, 1 .jpg, 1 without ending" in out.stderr


def test_camera_files_are_found_and_the_rest_is_counted(inside: Callable[..., Out], clip: Path, here: Path) -> None:
    for name in ("cam.264", "cam.265", "cam.avc", "ch01.dav"):
        (here / "in" / name).parent.mkdir(exist_ok=True)
        (here / "in" / name).touch()
    (here / "in" / "nameless").write_bytes(b"DHAV" + bytes(40))
    for i in range(3):
        (here / "in" / f"{i}.jpg").touch()
    (here / "in" / "notes.\x1b[31m").touch()
    make_clip(here / "in" / "raw.h264", format="h264")
    shutil.copy(clip, here / "in" / "clip.mp4")
    out = inside("tag", "in", *CHEAP, "-o", "out")
    assert out.returncode == 3, out.stderr
    assert len(results(here / "out")) == 7 and results(here / "out")["raw.h264.nsnet.json"]["status"] == "ok"
    assert "left out: 3 .jpg, 1 .\\x1b[31m" in out.stderr and "\x1b" not in out.stderr
    assert json.loads((here / "out" / "run.json").read_text())["left_out"][".jpg"] == 3


def test_files_on_a_hung_disk_do_not_hold_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "LOOK_S", 0.5)
    monkeypatch.setattr(bounded, "LOOK_S", 0.5)
    with hung_disk(tmp_path / "disk") as disk:
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "a").symlink_to(disk / "hung-stat")
        (tmp_path / "in" / "b.mp4").symlink_to(disk / "hung-stat.mp4")
        (tmp_path / "in" / "c").symlink_to(disk / "hung-open")  # its first bytes never arrive
        make_clip(tmp_path / "in" / "d.mp4")
        found = find_videos([str(tmp_path / "in"), str(disk / "hung-stat-2.mp4")])
        kinds = {Path(video.path).name: video.error and video.error.kind for video in found.videos}
        assert kinds == {"b.mp4": "timeout", "d.mp4": None, "hung-stat-2.mp4": "timeout"}
        assert [warning.split(":")[0] for warning in found.warnings] == [str(tmp_path / "in" / n) for n in ("a", "c")]


# ---- where results go -----------------------------------------------------------------------------------------------


def test_runs_over_two_cameras_lose_nothing(inside: Callable[..., Out], here: Path, clip: Path) -> None:
    for camera in ("cam1", "cam2"):
        (here / "cams" / camera).mkdir(parents=True)
        shutil.copy2(clip, here / "cams" / camera / "GX01.MP4")  # same size, same time
    for _ in range(2):
        for camera in ("cam1", "cam2"):
            out = inside("tag", f"cams/{camera}/GX01.MP4", *CHEAP, "-o", "out")
            assert out.returncode == 0, out.stderr
    assert "1 skipped" in out.stderr
    kept = results(here / "out")
    assert {row["source"] for row in kept.values()} == {str(here / f"cams/{c}/GX01.MP4") for c in ("cam1", "cam2")}
    both = inside("tag", "cams/cam2/GX01.MP4", "cams/cam1/GX01.MP4", *CHEAP, "-o", "out")
    assert "2 skipped" in both.stderr, "names are the same whatever else a run is given"
    assert set(results(here / "out")) == set(kept)
    as_folder = inside("tag", "cams", *CHEAP, "-o", "tree")
    assert as_folder.returncode == 0
    assert set(results(here / "tree")) == {f"cam{i}/GX01.MP4.nsnet.json" for i in (1, 2)}


def test_sidecars_go_beside_videos_and_spare_files_of_others(
    inside: Callable[..., Out], here: Path, clip: Path
) -> None:
    for name in ("a/one.mp4", "a/two.mp4"):
        (here / name).parent.mkdir(exist_ok=True)
        shutil.copy(clip, here / name)
    (here / "a" / "one.mp4.xmp").write_text("<x:xmpmeta x:xmptk='digiKam'>rating, GPS, people</x:xmpmeta>")
    out = inside("tag", "a/one.mp4", "a/two.mp4", *CHEAP, "--format", "xmp", "-o", ".")
    assert out.returncode == 0, out.stderr
    assert f"warning: {Path('a/one.mp4.xmp')}: left alone" in out.stderr and "2 tagged" in out.stderr
    assert "GPS" in (here / "a/one.mp4.xmp").read_text() and b"nsnet" in (here / "a/two.mp4.xmp").read_bytes()
    again = inside("tag", "a", *CHEAP, "--format", "xmp", "-o", ".")
    assert "2 skipped" in again.stderr


def test_folders_named_as_outputs_do_not_end_the_run(inside: Callable[..., Out], here: Path, clip: Path) -> None:
    for name in ("one.mp4", "two.mp4"):
        (here / "in").mkdir(exist_ok=True)
        shutil.copy(clip, here / "in" / name)
    (here / "out" / "one.mp4.nsnet.json").mkdir(parents=True)
    (here / "out" / "run.json").mkdir()
    for more in ((), ("--overwrite",)):
        out = inside("tag", "in", *CHEAP, "-o", "out", "--json", *more)
        assert out.returncode == 3, out.stderr
        rows = {row["path"]: row for row in map(json.loads, out.stdout.splitlines())}
        assert rows["in/one.mp4"]["error"]["kind"] == "output" and "run.json: left alone" in out.stderr
        assert (here / "out" / "two.mp4.nsnet.json").is_file() and (here / "out" / "run.json").is_dir()


def test_a_named_output_is_never_the_video(inside: Callable[..., Out], here: Path, clip: Path) -> None:
    shutil.copy(clip, here / "clip")
    before = (here / "clip").read_bytes()
    for option in ("--html", "--png"):
        out = inside("explain", "clip", option, "clip")
        assert out.returncode == 2 and "is a video" in out.stderr
    assert (here / "clip").read_bytes() == before


@pytest.mark.parametrize("command", ["frames clip.mp4 --out", "explain clip.mp4 --html", "tag clip.mp4 --report"])
def test_a_full_disk_is_unexpected_everywhere(here: Path, clip: Path, command: str) -> None:
    """A limit on the size of a file stands in for the disk."""
    shutil.copy(clip, here / "clip.mp4")
    words = [sys.executable, "-m", "nsnet_cli", *command.split(), "out" if "html" not in command else "out.html"]
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (400, 400))"
    script = f"import os, resource, sys; {limit}; os.execv(sys.argv[1], sys.argv[1:])"
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}  # the limit would cut .pyc files too
    out = subprocess.run(
        [sys.executable, "-c", script, *words], capture_output=True, encoding="utf-8", timeout=250, env=env
    )
    assert out.returncode == 1 and "cannot write" in out.stderr and "this is a bug" not in out.stderr, out.stderr


# ---- names on a terminal and in tables ------------------------------------------------------------------------------


def on_a_terminal(*args: str, cwd: Path) -> str:
    leader, follower = pty.openpty()
    process = subprocess.Popen([sys.executable, "-m", "nsnet_cli", *args], stdout=follower, stderr=follower, cwd=cwd)
    os.close(follower)
    seen = b""
    try:
        while chunk := os.read(leader, 65536):
            seen += chunk
    except OSError:
        pass  # the other end is closed
    os.close(leader)
    assert process.wait(250) == 0, seen
    return seen.decode()


def test_names_cannot_steer_a_terminal_and_reach_pipes_unchanged(here: Path, clip: Path) -> None:
    name = "\x1b]0;owned\x07 \n.mp4"
    shutil.copy(clip, here / name)
    for more in (("--times",), ("--out", "f")):
        seen = on_a_terminal("frames", name, *CHEAP[:4], *more, cwd=here)
        assert "\x1b]0;owned" not in seen and "\\x1b]0;owned" in seen
        whole = nsnet("frames", name, *CHEAP[:4], *more, "--print0", stdin=b"", cwd=here)
        assert name in whole.stdout and whole.stdout.count("\0") == 1


def test_explain_prints_no_raw_names(inside: Callable[..., Out], here: Path, clip: Path) -> None:
    shutil.copy(clip, here / "clip.mp4")
    out = inside("explain", "clip.mp4", *CHEAP[:4], "--html", "\x1b[31m\n.html")
    assert out.returncode == 0 and "\\x1b[31m\\n.html" in out.stderr and "\x1b" not in out.stderr


def test_csv_has_no_formulas_and_no_broken_lines(inside: Callable[..., Out], here: Path) -> None:
    names = ["=1+1.mp4", "-2.mp4", "@x.mp4", "'quoted.mp4", "a\nb.mp4", "back\\slash.mp4", "\udcff.mp4"]
    for name in names:
        (here / name).touch()
    out = inside("tag", "./", "--format", "csv", *CHEAP)
    rows = list(csv.DictReader(out.stdout.splitlines()))
    assert {unprintable(spreadsheet_text(row["path"])) for row in rows} == set(names)
    assert not [row for row in rows if row["path"][0] in "=+-@\t\r"]
