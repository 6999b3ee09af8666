"""The batch: one row per video, whatever its decoder does. A fault of one video never costs another its tags.

The tagger here is a small fake, for faults that cannot be made for real; tests/test_cli_tag.py runs the real one.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from readers import LocalPool

from nsnet_cli.errors import DeviceError, VideoError
from nsnet_cli.media import ReadOptions
from nsnet_cli.run import batch
from nsnet_cli.run.jobs import Finished, Job
from nsnet_cli.types import ErrorInfo, Tag, VideoResult
from nsnet_cli.video.reader import VideoReader


class FakeTagger:
    """Does what the first word of the file says."""

    def __init__(self, **acts: Callable[[Path], Any]) -> None:
        self.acts = acts
        self.active = self.most_active = 0
        self.lock = threading.Lock()

    def fingerprint(self, path: Path) -> str:
        status = path.stat()
        return f"{status.st_size}-{status.st_mtime_ns}"

    def tag(self, path: Path, *, open: Callable[[Path, ReadOptions], VideoReader]) -> VideoResult:
        with self.lock:
            self.active += 1
            self.most_active = max(self.most_active, self.active)
        try:
            word = path.read_text()
            if word in self.acts:
                self.acts[word](path)
            return VideoResult(str(path), "ok", tags=(Tag("t", word, 1.0),))
        finally:
            with self.lock:
                self.active -= 1


def raises(error: BaseException) -> Callable[[Path], None]:
    def act(path: Path) -> None:
        raise error

    return act


def jobs(folder: Path, *words: str) -> list[Job]:
    out = []
    for i, word in enumerate(words):
        path = folder / f"{i}.mp4"
        path.write_text(word)
        out.append(Job(str(path), path.name))
    return out


def run(tagger: FakeTagger, todo: list[Job], threads: int = 2) -> dict[str, Finished]:
    finished = list(batch.run(tagger, todo, threads=threads, pool=LocalPool()))
    assert len({f.job.path for f in finished}) == len(finished)
    return {Path(f.job.path).name: f for f in finished}


def kinds(finished: dict[str, Finished]) -> dict[str, str | None]:
    return {name: f.result.error.kind if f.result.error else None for name, f in sorted(finished.items())}


def test_every_video_once_and_no_more_than_the_threads_at_a_time(tmp_path: Path) -> None:
    three = threading.Barrier(3)  # no thread goes on before three are at work
    tagger = FakeTagger(meet=lambda path: three.wait(60))
    finished = run(tagger, jobs(tmp_path, *["meet"] * 39), threads=3)
    assert len(finished) == 39 and all(f.fingerprint and f.result.status == "ok" for f in finished.values())
    assert tagger.most_active == 3


def test_a_fault_costs_its_own_video_only(tmp_path: Path) -> None:
    tagger = FakeTagger(
        bad=raises(VideoError("0.mp4: no index", "cut short?", kind="truncated")),
        bug=raises(ZeroDivisionError("a bug of ours")),
        memory=raises(MemoryError()),
    )
    todo = jobs(tmp_path, "bad", "good", "bug", "memory", "good")
    todo.append(Job(str(tmp_path / "x.mp4"), "x.mp4", ErrorInfo("is_directory", "a folder")))
    finished = run(tagger, todo)
    assert kinds(finished) == {
        "0.mp4": "truncated",
        "1.mp4": None,
        "2.mp4": "internal",
        "3.mp4": "out_of_memory",
        "4.mp4": None,
        "x.mp4": "is_directory",
    }
    assert finished["2.mp4"].result.error == ErrorInfo("internal", "ZeroDivisionError: a bug of ours")


def test_the_message_does_not_repeat_the_path(tmp_path: Path) -> None:
    def act(path: Path) -> None:
        raise VideoError(f"{path}: no index", kind="truncated")

    (finished,) = run(FakeTagger(bad=act), jobs(tmp_path, "bad")).values()
    assert finished.result.error == ErrorInfo("truncated", "no index")


def test_what_changes_or_vanishes_while_it_is_read_is_not_kept(tmp_path: Path) -> None:
    def grow(path: Path) -> None:
        path.write_text("grown: a copy was still running")

    def touch(path: Path) -> None:
        os.utime(path, ns=(1, 1))

    def grow_and_fail(path: Path) -> None:
        grow(path)
        raise VideoError("cut", kind="truncated")

    tagger = FakeTagger(grow=grow, touch=touch, remove=lambda path: path.unlink(), both=grow_and_fail)
    finished = run(tagger, jobs(tmp_path, "grow", "touch", "remove", "both", "good"))
    assert kinds(finished) == {f"{i}.mp4": "changed" for i in range(4)} | {"4.mp4": None}
    assert [f.fingerprint is None for _, f in sorted(finished.items())] == [True] * 4 + [False]
    removed = finished["2.mp4"].result.error
    assert removed is not None and "removed" in removed.message


def test_a_fault_of_no_video_ends_the_run(tmp_path: Path) -> None:
    tagger = FakeTagger(lost=raises(DeviceError("the GPU is gone")))
    with pytest.raises(DeviceError, match="GPU"):
        run(tagger, jobs(tmp_path, "good", "lost", *["good"] * 50))


def test_leaving_the_loop_ends_the_threads(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    tagger = FakeTagger(slow=lambda path: time.sleep(0.05))
    for _ in batch.run(tagger, jobs(tmp_path, *["slow"] * 60), threads=4, pool=LocalPool()):
        break
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
        assert not thread.is_alive()


def test_jobs_are_taken_only_as_results_are_read(tmp_path: Path) -> None:
    """A slow consumer slows the work down; results do not pile up."""
    taken = []

    def source() -> Iterator[Job]:
        for job in jobs(tmp_path, *["good"] * 100):
            taken.append(job)
            yield job

    running = batch.run(FakeTagger(), source(), threads=2, pool=LocalPool())
    next(running)
    time.sleep(0.3)
    assert len(taken) <= 2 + 2 * 2 + 2
    running.close()  # type: ignore[attr-defined]


def test_a_killed_worker_is_one_row(tmp_path: Path) -> None:
    """A real decode process, killed from outside in the middle of a video."""
    import signal

    from nsnet_cli.video.pool import DecodePool

    class Reads(FakeTagger):
        def tag(self, path: Path, *, open: Callable[[Path, ReadOptions], VideoReader]) -> VideoResult:
            options = ReadOptions(size_px=256)  # far more pixels than the socket between us holds
            with open(path, options) as video:
                if path.name == "0.mp4" and video.info:
                    os.kill(pool.pids[0], signal.SIGKILL)
                list(video.preview())
            return VideoResult(str(path), "ok")

    pool = DecodePool()
    import av
    import numpy as np

    todo = []
    for name in ("0.mp4", "1.mp4"):
        with av.open(str(tmp_path / name), "w") as container:
            stream = container.add_stream("mpeg4", rate=10)
            stream.width = stream.height = 64
            stream.pix_fmt = "yuv420p"
            rng = np.random.default_rng(0)
            for _ in range(60):
                frame = av.VideoFrame.from_ndarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8))
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        todo.append(Job(str(tmp_path / name), name))
    finished = list(batch.run(Reads(), todo, threads=1, pool=pool))
    assert [f.result.error.kind if f.result.error else None for f in finished] == ["crashed", None]


def test_a_file_that_cannot_be_looked_at_in_time_is_a_row(tmp_path: Path) -> None:
    """A disk that stops answering blocks the thread that asks about its file, not the run."""
    release = threading.Event()

    class Hung(FakeTagger):
        def fingerprint(self, path: Path) -> str:
            if path.read_text() == "hung":
                release.wait(60)
            return super().fingerprint(path)

    todo = jobs(tmp_path, "good", "hung", "good")
    finished = {f.job.path: f for f in batch.run(Hung(), todo, threads=1, pool=LocalPool(), timeout_s=0.3)}
    release.set()
    rows = [finished[job.path].result for job in todo]
    assert [row.error.kind if row.error else None for row in rows] == [None, "timeout", None]
    assert rows[1].error and "does not answer" in rows[1].error.message


def test_a_mistake_in_a_reader_shows_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It happens in the worker's process. Its traceback is passed on if it is asked for."""
    from video_files import make_video

    from nsnet_cli.video.pool import DecodePool

    class Reads(FakeTagger):
        def tag(self, path: Path, *, open: Callable[[Path, ReadOptions], VideoReader]) -> VideoResult:
            with open(path, ReadOptions(size_px=64)) as video:
                list(video.preview())
            raise AssertionError

    make_video(tmp_path / "clip.mp4", frames=20)

    def errors(debug: str) -> str:
        monkeypatch.setenv("NSNET_DEBUG", debug)
        todo = [Job(str(tmp_path / "clip.mp4"), "clip.mp4")]
        (row,) = batch.run(Reads(), todo, threads=1, pool=DecodePool(reader="fault_readers:broken"))
        assert row.result.error == ErrorInfo("internal", "ZeroDivisionError: one over nothing")
        return capfd.readouterr().err

    assert errors("0") == ""
    assert "fault_readers.py" in (said := errors("1")) and "in broken" in said


def test_interruptible_passes_on_value_and_failure() -> None:
    assert batch.interruptible(lambda: 7) == 7
    with pytest.raises(ValueError, match="no"):
        batch.interruptible(lambda: int("no"))
