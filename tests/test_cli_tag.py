"""`nsnet tag` on small real videos with the real networks, in its own process if streams or signals matter."""

from __future__ import annotations

import csv
import fcntl
import gc
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hung_disk import hung_disk
from PIL import Image

from nsnet_cli import startup
from nsnet_cli.errors import VIDEO_ERROR_KINDS, VideoError
from nsnet_cli.outputs.jsonlines import from_dict
from nsnet_cli.tagger import Tagger
from nsnet_cli.types import VideoResult

Out = subprocess.CompletedProcess[str]
HEAD = ["schema_version", "path", "status", "duration_s", "tags", "perhaps", "precision", "salient_frames", "sampling"]
HEAD += ["model", "cost", "timings", "error"]
CHEAP = ("--policy", "uniform", "--frames", "1", "--top-k", "1")
"""The least work per video, for tests of everything else."""


def nsnet(*args: str | Path, **kwargs: Any) -> Out:
    command = [sys.executable, "-m", "nsnet_cli", *map(str, args)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=250, **kwargs)


def rows(out: Out) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.stdout.splitlines()]


def results(folder: Path) -> dict[str, dict[str, Any]]:
    return {p.relative_to(folder).as_posix(): json.loads(p.read_bytes()) for p in folder.rglob("*.nsnet.json")}


def make_clip(path: Path, frames: list[np.ndarray], audio_only: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        if audio_only:
            sound = container.add_stream("aac", rate=44100)
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.float32), format="fltp", layout="mono")
            silence.sample_rate = 44100
            container.mux(sound.encode(silence))
            container.mux(sound.encode())
            return path
        stream = container.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        stream.height, stream.width, stream.pix_fmt = frames[0].shape[0], frames[0].shape[1], "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory, photos: dict[str, np.ndarray]) -> Path:
    """3 s of a cat, 224 x 160."""
    photo = Image.fromarray(photos["cat"]).resize((224, 160))
    return make_clip(tmp_path_factory.mktemp("clip") / "cat.mp4", [np.asarray(photo)] * 30)


@pytest.fixture
def many(tmp_path: Path, clip: Path) -> Callable[[int], Path]:
    """A folder of n copies, in two sub-folders."""

    def make(count: int) -> Path:
        folder = tmp_path / "in"
        for i in range(count):
            target = folder / f"d{i % 2}" / f"{i:03d}.mp4"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(clip, target)
        return folder

    return make


@pytest.fixture(scope="module")
def bad_folder(tmp_path_factory: pytest.TempPathFactory, clip: Path) -> Path:
    """One good clip, eleven bad ones, and files that are not videos."""
    folder = tmp_path_factory.mktemp("bad")
    whole = clip.read_bytes()
    shutil.copy(clip, folder / "good.mp4")
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("this is a text\n" * 100)
    (folder / "truncated.mp4").write_bytes(whole[: len(whole) // 2])
    make_clip(folder / "audio.mp4", [], audio_only=True)
    (folder / "folder.mp4").mkdir()
    (folder / "dangling.mp4").symlink_to("nowhere")
    os.mkfifo(folder / "pipe.mp4")
    (folder / "noise.mkv").write_bytes(np.random.default_rng(0).bytes(20_000))
    (folder / "zeros.avi").write_bytes(bytes(20_000))
    (folder / "header.webm").write_bytes(b"\x1aE\xdf\xa3" + bytes(200))
    with av.open(str(folder / "no-frames.mp4"), "w") as container:  # a video stream of zero length
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        container.start_encoding()
    (folder / "notes.txt").write_text("no video")
    (folder / ".hidden.mp4").write_text("hidden")
    return folder


def test_one_good_and_eleven_bad(bad_folder: Path) -> None:
    out = nsnet("tag", bad_folder, "--json")
    assert out.returncode == 3, out.stderr
    by_name = {Path(row["path"]).name: row for row in rows(out)}
    assert len(by_name) == len(rows(out)) == 12
    kinds = {name: row["error"]["kind"] for name, row in by_name.items() if row["status"] == "error"}
    assert set(by_name) - set(kinds) == {"good.mp4"}
    assert kinds["empty.mp4"] == "empty_file"
    assert kinds["text.mp4"] == "not_a_video"
    assert kinds["truncated.mp4"] == "truncated"
    assert kinds["audio.mp4"] == "no_video_stream"
    assert kinds["folder.mp4"] == "is_directory"
    assert kinds["dangling.mp4"] == "not_found"
    assert kinds["pipe.mp4"] == "not_a_video"
    assert set(kinds.values()) <= set(VIDEO_ERROR_KINDS)
    for name, row in by_name.items():
        assert list(row)[: len(HEAD)] == HEAD
        if name != "good.mp4":
            assert row["tags"] == row["salient_frames"] == [] and row["error"]["message"]
    assert "1 tagged, 11 failed" in out.stderr and "Traceback" not in out.stderr


def test_the_row_of_a_good_video(inside: Callable[..., Out], clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clip.parent)
    out = inside("tag", "cat.mp4", "--json", "--top-k", "3", "--frames", "2")
    assert out.returncode == 0, out.stderr
    (row,) = rows(out)
    assert list(row)[: len(HEAD)] == HEAD
    assert (row["path"], row["status"], row["error"]) == ("cat.mp4", "ok", None)
    assert row["duration_s"] == pytest.approx(3.0, abs=0.11)
    assert len(row["tags"]) == 3 and "cat" in row["tags"][0]["name"]
    assert re.fullmatch(r"n\d{8}", row["tags"][0]["id"])
    assert set(row["tags"][0]["evidence"][0]) == {"pts_s", "saliency", "score"}
    times = [frame["pts_s"] for frame in row["salient_frames"]]
    assert len(times) == 2 == row["sampling"]["salient_frames"] and times == sorted(times) and times[-1] < 3.0
    assert set(row["cost"]) >= {"frames_decoded", "gflops", "dense_gflops"}
    assert list(row["timings"]) == ["decode_s", "preview_s", "sampler_s", "recognise_s", "total_s"]
    assert from_dict(row).tags[0].name == row["tags"][0]["name"] and "fingerprint" not in row


def test_formats(inside: Callable[..., Out], bad_folder: Path, clip: Path) -> None:
    both = (bad_folder / "empty.mp4", clip)
    table = inside("tag", *both, *CHEAP)
    assert table.returncode == 3
    lines = table.stdout.splitlines()
    assert lines[0].split() == ["Video", "Length", "Tag", "Score", "Seen"] and len(lines) == 3
    assert any("empty_file: " in line for line in lines) and not any("\x1b" in line for line in lines)
    array = json.loads(inside("tag", *both, *CHEAP, "--format", "json").stdout)
    assert {row["path"]: row["status"] for row in array} == {
        str(both[0]): "error",
        str(clip): "ok",
    }  # rows come as videos end
    parsed = list(csv.DictReader(inside("tag", *both, *CHEAP, "--format", "csv").stdout.splitlines()))
    by_path = {row["path"]: row for row in parsed}
    assert len(parsed) == len(array) == 2 and set(by_path) == {str(path) for path in both}
    assert by_path[str(clip)]["top_tag"] and by_path[str(both[0])]["error_kind"] == "empty_file"


def test_profile_shows_where_the_seconds_went(inside: Callable[..., Out], clip: Path) -> None:
    plain, out = (inside("tag", clip, *CHEAP, *more) for more in ((), ("--profile",)))
    lines = out.stderr.splitlines()
    first = next(n for n, line in enumerate(lines) if re.fullmatch(r"where [\d.]+ s went:", line))
    (whole,) = re.findall(r"[\d.]+", lines[first])
    inside_at = lines.index("inside the steps, added up over all threads and processes:")
    steps = [float(line.split()[0]) for line in lines[first + 1 : inside_at]]
    assert sum(steps) == pytest.approx(float(whole), abs=0.05)
    names = " ".join(line.split("  ")[-1] for line in lines[first:])
    assert all(name in names for name in ("finding videos", "tagging", "decoding", "recogniser", "answers"))
    assert lines[-1].endswith("in its decode processes")
    assert plain.stdout.split()[:6] == out.stdout.split()[:6] and "where" not in plain.stderr


def test_one_document_formats(inside: Callable[..., Out], clip: Path, bad_folder: Path, tmp_path: Path) -> None:
    assert inside("tag", clip, *CHEAP, "--format", "vtt").stdout.startswith("WEBVTT\n")
    out = inside("tag", clip, bad_folder / "good.mp4", *CHEAP, "--format", "xmp")
    assert (out.returncode, out.stdout) == (2, "") and "--output-dir" in out.stderr
    assert inside("tag", clip, *CHEAP, "--format", "xmp", "--output-dir", tmp_path / "out").stdout == ""
    written = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert written == ["cat.mp4.nsnet", "cat.mp4.nsnet.json", "cat.mp4.xmp", "run.json"]


def test_everything_at_once(inside: Callable[..., Out], many: Callable[[int], Path], tmp_path: Path) -> None:
    folder, out = many(3), tmp_path / "out"
    args = ("--output-dir", out / "json", "--thumbnails", out / "frames", "--contact-sheet", out / "sheets")
    done = inside("tag", folder, *args, "--report", out / "page", "--frames", "2", "--top-k", "1", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sorted(results(out / "json")) == [f"d{i % 2}/{i:03d}.mp4.nsnet.json" for i in (0, 2, 1)]
    for name, row in results(out / "json").items():
        stem = name.removesuffix(".nsnet.json")
        expected = [f"{stem}.{frame['pts_s']:09.3f}s.jpg" for frame in row["salient_frames"]]
        assert sorted(p.relative_to(out / "frames").as_posix() for p in (out / "frames").glob(stem + ".*")) == expected
        for picture in (*expected, f"../sheets/{stem}.sheet.jpg"):
            with Image.open(out / "frames" / picture) as image:
                assert image.format == "JPEG"
    assert (out / "page" / "index.html").exists()
    summary = json.loads((out / "json" / "run.json").read_text())
    assert (summary["videos"], summary["done"], summary["failed"], summary["exit_code"]) == (3, 3, 0, 0)


def test_what_may_be_over_is_tried_again(cat_video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that failed, a machine that was short of memory: the next run looks again. A bad file stays bad."""
    from nsnet_cli.run.opening import Asked
    from nsnet_cli.run.tagging import Request, TaggingRun

    videos = [tmp_path / f"{kind}.mp4" for kind in ("unreadable", "timeout", "truncated")]
    for video in videos:
        video.write_bytes(cat_video.read_bytes())
    request = Request(tuple(map(str, videos)), Asked(policy="uniform", frames=1), output_dir=tmp_path / "out")

    def left() -> set[str]:
        run = TaggingRun(request)
        try:
            run.find()
            return {Path(job.path).stem for job in run.plan()}
        finally:
            run.close()

    def fail(path: Path, **_: object) -> VideoResult:
        raise VideoError("no", kind=path.stem)

    with monkeypatch.context() as patched:
        patched.setattr(Tagger, "tag", lambda self, path, **options: fail(path))
        run = TaggingRun(request)
        run.find()
        assert len(run.plan()) == 3
        assert {result.status for result in run.results()} == {"error"}
        run.close()
    assert left() == {"unreadable", "timeout"}


def test_done_is_skipped_until_something_changes(
    inside: Callable[..., Out], many: Callable[[int], Path], tmp_path: Path
) -> None:
    folder, out = many(3), tmp_path / "out"
    (folder / "text.mp4").write_text("no video")

    def tag(*more: str) -> dict[str, Any]:
        ran = inside("tag", folder, *CHEAP, "--output-dir", out, *more)
        assert ran.returncode == 3, ran.stderr
        return json.loads((out / "run.json").read_text())  # type: ignore[no-any-return]

    def counts(summary: dict[str, Any]) -> tuple[int, int, int]:
        return summary["done"], summary["skipped"], summary["failed"]

    assert counts(tag()) == (3, 0, 1)
    first = results(out)
    assert counts(tag()) == (0, 4, 1)
    assert results(out) == first
    assert tag("--retry-failed")["failed_by_reason"] == {"not_a_video": 1}
    os.utime(folder / "d0" / "000.mp4", ns=(1, 1))
    assert counts(tag()) == (1, 3, 1)
    (out / "d1" / "001.mp4.nsnet.json").write_text("{")
    assert counts(tag()) == (1, 3, 1)
    anew = tag("--threshold", "0.01")
    assert (counts(anew), anew["rendered"]) == ((0, 1, 1), 3)
    assert counts(tag("--threshold", "0.01", "--overwrite")) == (3, 0, 1)
    dry = inside("tag", folder, *CHEAP, "--output-dir", out, "--dry-run", "--json")
    assert dry.returncode == 0 and {row["action"] for row in rows(dry)} == {"render", "skip"}


def test_lists_globs_and_shards_together_do_everything_once(
    inside: Callable[..., Out], many: Callable[[int], Path], tmp_path: Path
) -> None:
    folder, out, listed = many(6), tmp_path / "out", tmp_path / "list"
    listed.write_bytes(b"\0".join(os.fsencode(p) for p in sorted(folder.rglob("*.mp4"))))
    first = nsnet("tag", "-", *CHEAP, "-o", out, "--shard", "1/2", "--json", input=listed.read_text())
    assert first.returncode == 0, first.stderr
    assert inside("tag", "--from", listed, *CHEAP, "-o", out, "--shard", "2/2").returncode == 0
    assert len(results(out)) == 6
    parts = [json.loads((out / f"run.{i}of2.json").read_text())["done"] for i in (1, 2)]
    assert sum(parts) == 6 and 0 < parts[0] < 6
    assert "6 skipped" in inside("tag", f"{folder}/*/*.mp4", *CHEAP, "-o", out).stderr


def test_names_of_any_bytes(clip: Path, tmp_path: Path) -> None:
    odd = [b"new\nline.mp4", b'quo"te.mp4', "🎬.mp4".encode(), b"latin-\xe9.mp4", b"x" * 251 + b".mp4", b"\x1b[31m.mp4"]
    folder = os.fsencode(tmp_path) + b"/in/"
    os.mkdir(folder)  # noqa: PTH102
    for name in odd:
        shutil.copy(clip, folder + name)
    out = tmp_path / "out"
    ran = subprocess.run(
        [sys.executable, "-m", "nsnet_cli", "tag", str(tmp_path / "in"), "--json", "-o", str(out), *CHEAP],
        capture_output=True,
        env={**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0"},
        timeout=250,
    )
    assert ran.returncode == 0, ran.stderr
    lines = [json.loads(line) for line in ran.stdout.decode("utf-8").splitlines()]
    assert {os.fsencode(row["path"]) for row in lines} == {folder + name for name in odd}
    assert {os.fsencode(row["path"]) for row in results(out).values()} == {folder + name for name in odd}
    assert b"\x1b" not in ran.stdout + ran.stderr


def test_nothing_to_do(inside: Callable[..., Out], tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    out = inside("tag", tmp_path)
    assert (out.returncode, out.stdout) == (4, "") and "no video in" in out.stderr
    out = inside("tag", tmp_path / "missing.mp4", "--json")
    assert out.returncode == 4 and rows(out)[0]["error"]["kind"] == "not_found"


def test_unknown_checkpoint_and_device(inside: Callable[..., Out], clip: Path) -> None:
    out = inside("tag", clip, "--checkpoint", "no-such")
    assert out.returncode == 5 and "no-such" in out.stderr and out.stdout == ""
    out = inside("tag", clip, "--device", "abacus")
    assert out.returncode == 5 and "abacus" in out.stderr and out.stdout == ""


def test_a_command_inside_a_program_leaves_its_memory_alone(inside: Callable[..., Out], clip: Path) -> None:
    """The program itself keeps all to its end, which is near. Here that would be gigabytes."""
    frozen = gc.get_freeze_count()
    assert inside("tag", clip, *CHEAP).returncode == 0
    assert gc.get_freeze_count() == frozen and gc.isenabled() and startup._kept == []


def test_a_closed_pipe_is_not_an_error(many: Callable[[int], Path]) -> None:
    count = 200  # more rows than a pipe holds: the run is still at work when the reader leaves
    command = [sys.executable, "-m", "nsnet_cli", "tag", str(many(count)), "--json", *CHEAP]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
    assert process.stdout is not None and process.stderr is not None
    if hasattr(fcntl, "F_SETPIPE_SZ"):  # Linux: a pipe of one page, so that few rows are enough
        fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 4096)
    first = process.stdout.readline()
    assert json.loads(first)["status"] == "ok" and count * len(first) > (1 << 16)
    process.stdout.close()
    assert process.wait(120) == 141
    assert "rror" not in process.stderr.read()


def test_a_run_that_was_stopped_for_a_while_loses_no_row(many: Callable[[int], Path]) -> None:
    """Ctrl-Z and fg, a debugger, a frozen container: the workers go on meanwhile."""
    command = [sys.executable, "-m", "nsnet_cli", "tag", str(many(24)), "--json", "--jobs", "2"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
    assert process.stdout is not None and process.stderr is not None
    lines = [process.stdout.readline()]  # by now it is at work
    for _ in range(2):
        process.send_signal(signal.SIGSTOP)
        time.sleep(3)
        process.send_signal(signal.SIGCONT)
        time.sleep(0.2)
    lines += process.stdout.readlines()  # not communicate(): readline() may have read ahead
    err = process.stderr.read()
    assert process.wait(timeout=200) == 0, err
    assert [json.loads(line)["status"] for line in lines] == ["ok"] * 24


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_pipe_that_does_not_block_loses_no_row(many: Callable[[int], Path], unbuffered: str) -> None:
    """Another process that shares the pipe may have made it non-blocking."""
    ours, theirs = os.pipe()
    fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(theirs, False)
    command = [sys.executable, "-m", "nsnet_cli", "tag", str(many(12)), "--json", *CHEAP]
    process = subprocess.Popen(command, stdout=theirs, stderr=subprocess.PIPE, env=_env(unbuffered))
    os.close(theirs)
    time.sleep(3)  # by now the first rows fill the pipe
    with open(ours, encoding="utf-8") as pipe:  # noqa: PTH123
        found = [json.loads(line) for line in pipe]
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert len({row["path"] for row in found}) == 12


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_stdout_that_is_full_is_an_error(clip: Path, tmp_path: Path, unbuffered: str) -> None:
    """The row does not fit: the system takes its beginning and reports no error."""
    limit = 700
    with (tmp_path / "out.json").open("wb") as out:
        done = subprocess.run(
            [sys.executable, "-m", "nsnet_cli", "tag", str(clip), "--json"],
            stdout=out,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            env={**_env(unbuffered), "PYTHONDONTWRITEBYTECODE": "1"},  # the limit would cut .pyc files too
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        )
    assert (tmp_path / "out.json").stat().st_size == limit
    assert done.returncode == 1 and "cannot write to stdout: File too large" in done.stderr
    with open("/dev/full", "wb") as out:  # noqa: PTH123
        for command in (["--help"], ["--version"], ["models", "list"]):
            full = subprocess.run(
                [sys.executable, "-m", "nsnet_cli", *command], stdout=out, stderr=subprocess.PIPE, env=_env(unbuffered)
            )
            assert full.returncode == 1 and b"No space left" in full.stderr, command


def _env(unbuffered: str) -> dict[str, str]:
    return {**os.environ, "PYTHONUNBUFFERED": unbuffered}


def test_a_disk_that_stops_answering_costs_its_own_video(clip: Path, tmp_path: Path) -> None:
    good = [shutil.copy(clip, tmp_path / f"{i}.mp4") for i in range(3)]
    with hung_disk(tmp_path / "disk") as disk:
        out = nsnet("tag", disk / "hung-open.mp4", *good, "--json", "--timeout", "2", "--jobs", "1", *CHEAP)
        kinds = {Path(row["path"]).name: row["error"] and row["error"]["kind"] for row in rows(out)}
    assert out.returncode == 3, out.stderr
    assert kinds == {"hung-open.mp4": "timeout", "0.mp4": None, "1.mp4": None, "2.mp4": None}


BROKEN = """
    import sys
    from nsnet_cli.video import process

    process.DEFAULT_READER = "fault_readers:broken"
    from nsnet_cli.cli.app import run

    if __name__ == "__main__":
        sys.exit(run())
"""


def test_a_run_of_internal_errors_alone_exits_with_1(
    many: Callable[[int], Path], bad_folder: Path, tmp_path: Path
) -> None:
    """A library that changed must not look like a folder of bad videos."""
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}

    def tag(*args: str | Path, **more: str) -> Out:
        command = [sys.executable, "-c", textwrap.dedent(BROKEN), "tag", *map(str, args), "--json"]
        return subprocess.run(command, capture_output=True, encoding="utf-8", env={**env, **more}, timeout=200)

    folder = many(3)
    out = tag(folder, "-o", tmp_path / "out")
    assert out.returncode == 1 and {row["error"]["kind"] for row in rows(out)} == {"internal"}
    assert "NSNET_DEBUG=1" in out.stderr and "Traceback" not in out.stderr
    assert json.loads((tmp_path / "out" / "run.json").read_text())["exit_code"] == 1
    assert "fault_readers.py" in tag(folder, NSNET_DEBUG="1").stderr
    assert tag(folder, bad_folder / "empty.mp4").returncode == 3, "one that is the file's own"


def wait_for_results(folder: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while len(list(folder.rglob("*.nsnet.json"))) < count:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_keeps_what_is_finished(
    many: Callable[[int], Path], tmp_path: Path, number: signal.Signals, code: int
) -> None:
    count = 200  # far more than can be done before the signal
    folder = many(count)
    took_s = []
    for out in (tmp_path / f"out{i}" for i in range(3)):
        command = [sys.executable, "-m", "nsnet_cli", "tag", str(folder), "-o", str(out), *CHEAP]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        wait_for_results(out, 3, process)
        sent = time.monotonic()
        process.send_signal(number)
        assert process.wait(120) == code
        took_s.append(time.monotonic() - sent)
        kept = results(out)
        summary = json.loads((out / "run.json").read_bytes())
        assert (summary["exit_code"], summary["done"]) == (code, len(kept))
        assert summary["not_reached"] == count - len(kept)
        assert 3 <= len(kept) < count and not (out / ".nsnet-tmp").exists()
        if took_s[-1] < 5.0:
            break
    assert min(took_s) < 5.0, "not once in three tries, so it is no busy machine's doing"


def test_killed_and_run_again(many: Callable[[int], Path], tmp_path: Path) -> None:
    folder, out = many(30), tmp_path / "out"
    command = [sys.executable, "-m", "nsnet_cli", "tag", str(folder), "-o", str(out), *CHEAP]
    for count in (1, 6):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for_results(out, count, process)
        process.kill()
        process.wait()
        results(out)  # every result is whole
    done = len(results(out))
    last = nsnet(*command[3:])
    assert last.returncode == 0, last.stderr
    summary = json.loads((out / "run.json").read_text())
    assert (summary["skipped"], summary["done"]) == (done, 30 - done)
    assert len(results(out)) == 30 and not (out / ".nsnet-tmp").exists()
    tags = {json.dumps(row["tags"]) for row in results(out).values()}
    assert len(tags) == 1  # copies of one clip


def test_a_full_disk_ends_the_run_and_the_next_one_completes_it(many: Callable[[int], Path], tmp_path: Path) -> None:
    """On a real small file system, if this machine can mount one."""
    folder, out = many(12), tmp_path / "out"
    out.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(out)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("may not mount a small tmpfs here")
    try:
        full = nsnet("tag", folder, "-o", out, *CHEAP)
        assert full.returncode == 1 and "No space left" in full.stderr and "Traceback" not in full.stderr
        kept = results(out)
        assert 0 < len(kept) < 12
        subprocess.run(["mount", "-o", "remount,size=1m", str(out)], check=True)
        assert nsnet("tag", folder, "-o", out, *CHEAP).returncode == 0
        assert len(results(out)) == 12 and kept.items() <= results(out).items()
    finally:
        subprocess.run(["umount", str(out)], check=False)


def test_a_terminal_sees_a_bar_and_a_file_does_not(many: Callable[[int], Path]) -> None:
    """`script` gives the program a real terminal."""
    import pty

    command = [sys.executable, "-m", "nsnet_cli", "tag", str(many(2)), *CHEAP]
    leader, follower = pty.openpty()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=follower)
    os.close(follower)
    seen = b""
    try:
        while chunk := os.read(leader, 65536):
            seen += chunk
    except OSError:
        pass  # the other end is closed
    finally:
        os.close(leader)
    stdout = process.communicate()[0]
    assert process.returncode == 0
    assert b"tagging" in seen and b"0/2" in seen and b"\x1b" in seen
    assert b"\x1b" not in stdout and stdout.count(b"\n") == 3


def test_a_single_file_loads_nothing_that_it_does_not_need(clip: Path, tmp_path: Path) -> None:
    """No needless libraries or programs: asking ctypes for a GPU would run a compiler."""
    nsnet("tag", clip)  # makes the exports
    for name in ("gcc", "cc", "ld", "objdump"):
        (tmp_path / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/ran-{name}\n")
        (tmp_path / name).chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPROFILEIMPORTTIME": "1"}
    out = nsnet("tag", "--json", clip, env=env)
    imported = {line.rpartition("|")[2].strip() for line in out.stderr.splitlines()}
    assert rows(out)[0]["status"] == "ok" and "openvino" in imported
    assert not imported & {
        "av",
        "torch",
        "timm",
        "PIL",
        "rich",
        "pydantic",
        "matplotlib",
        "numpy.ma",
        "importlib.metadata",
        "openvino.tools.ovc.convert",
        "pathspec",
        "fsspec",
        "aiohttp",
        "nsnet_cli.storage.stores",
        "ray",
        "pyarrow",
        "nsnet_cli.manifests",
        "nsnet_cli.run.on_ray",
        "nsnet_cli.outputs.parts",
    }
    assert not [path.name for path in tmp_path.glob("ran-*")]
