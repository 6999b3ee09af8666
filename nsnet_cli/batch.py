"""Many videos: N threads, each with its own decode worker; every video ends as exactly one row, whatever happens to it.

    thread i:  job -> decode in worker process i -> networks (shared engine) -> Finished -> queue -> the caller's loop

A thread mostly waits (for its worker, or inside the engine, which releases the interpreter lock), so N videos are in
work at once and no more: memory follows N, not the number of videos. The caller alone writes, in its own thread.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

from nsnet_cli.errors import NsnetError, VideoError
from nsnet_cli.types import DecodeReport, ErrorInfo, FrameBatch, ReadOptions, VideoHeader, VideoResult

T = TypeVar("T")
Item = VideoHeader | FrameBatch | DecodeReport
Watch = Callable[[Item], None]
"""Told of every item that a decoder gives, as it comes: for a progress bar."""
JOIN_S = 1.0
"""How long an interrupted run waits for its threads; their processes are killed by then."""


class VideoTagger(Protocol):
    """What a batch needs of nsnet_cli.tagger.Tagger."""

    def tag(self, path: Path, *, read: Callable[[Path, ReadOptions], Iterator[Item]]) -> VideoResult: ...

    def fingerprint(self, path: Path) -> str: ...


class Worker(Protocol):
    """What a batch needs of nsnet_cli.video.worker.DecodeWorker."""

    @property
    def pid(self) -> int | None: ...

    def read(self, path: Path, options: ReadOptions, timeout_s: float | None = None) -> Iterator[Item]: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Job:
    """One video to tag. `name`: where its result goes in an output tree. `error`: known already, nothing to try."""

    path: str
    name: str
    error: ErrorInfo | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """One video's row, and the fingerprint under which it may be kept (None: the file could not be looked at)."""

    job: Job
    result: VideoResult
    fingerprint: str | None


def default_jobs() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run(
    tagger: VideoTagger,
    jobs: Iterable[Job],
    *,
    threads: int,
    make_worker: Callable[[], Worker],
    timeout_s: float | None = None,
    watch: Watch | None = None,
) -> Iterator[Finished]:
    """Tag all `jobs`, yielding each as it ends, in order of ending.

    Closing the iterator (or an exception in the caller's loop) kills the workers and drops what is in work. Raises what
    is no one video's fault (an engine that broke); a video's own faults are rows.
    """
    source, source_lock = iter(jobs), threading.Lock()
    out: queue.Queue[Finished | BaseException | None] = queue.Queue(maxsize=2 * threads)
    slots = [_Slot(tagger, make_worker, timeout_s, watch) for _ in range(threads)]
    stop = threading.Event()

    def work(slot: _Slot) -> None:
        try:
            while not stop.is_set():
                with source_lock:
                    job = next(source, None)
                if job is None:
                    break
                _put(out, slot.finish(job), stop)
        except BaseException as error:
            _put(out, error, stop)
        finally:
            slot.close()
            _put(out, None, stop)

    crew = [threading.Thread(target=work, args=(slot,), name=f"video-{i}", daemon=True) for i, slot in enumerate(slots)]
    try:
        for thread in crew:
            thread.start()
        working = threads
        while working:
            item = out.get()
            if item is None:
                working -= 1
            elif isinstance(item, Finished):
                yield item
            else:
                raise item
    finally:
        stop.set()
        for slot in slots:
            slot.kill()
        for thread in crew:
            thread.join(JOIN_S / threads)


def _put(out: queue.Queue[T], item: T, stop: threading.Event) -> None:
    """Hand on, or give up once nobody takes any more."""
    while not stop.is_set():
        with suppress(queue.Full):
            out.put(item, timeout=0.2)
            return


class _Slot:
    """One thread's worker, made when it is first needed. All but `kill` is for that thread alone."""

    def __init__(
        self, tagger: VideoTagger, make_worker: Callable[[], Worker], timeout_s: float | None, watch: Watch | None
    ) -> None:
        self._tagger, self._make_worker, self._timeout_s, self._watch = tagger, make_worker, timeout_s, watch
        self._worker: Worker | None = None
        self._killed = False

    def finish(self, job: Job) -> Finished:
        """The row of one video. Raises only what is not the video's fault."""
        path = Path(job.path)
        before = self._fingerprint(path)
        if job.error is not None:
            return Finished(job, error_row(job.path, job.error), before)
        try:
            result = replace(self._tagger.tag(path, read=self._read), path=job.path)
        except VideoError as error:
            result = error_row(job.path, ErrorInfo(error.kind, str(error).removeprefix(f"{path}: ")))
        except (NsnetError, KeyboardInterrupt, SystemExit):
            raise
        except MemoryError:
            result = error_row(job.path, ErrorInfo("out_of_memory", "not enough memory (lower --jobs or --preview)"))
        except Exception as error:  # a fault of ours must not cost the other videos their tags
            if os.environ.get("NSNET_DEBUG") and not self._killed:
                traceback.print_exc()
            result = error_row(job.path, ErrorInfo("internal", f"{type(error).__name__}: {error}"))
        return self._unless_changed(job, path, result, before)

    def _unless_changed(self, job: Job, path: Path, result: VideoResult, before: str | None) -> Finished:
        after = self._fingerprint(path)
        if before is None or before == after:
            return Finished(job, result, before)
        what = "it was removed" if after is None else "its size or modification time changed"
        changed = ErrorInfo("changed", f"{what} while it was read (run again when it is complete)")
        return Finished(job, error_row(job.path, changed), None)

    def _fingerprint(self, path: Path) -> str | None:
        try:
            return self._tagger.fingerprint(path)
        except (OSError, ValueError, VideoError):
            return None

    def _read(self, path: Path, options: ReadOptions) -> Iterator[Item]:
        if self._killed:
            raise VideoError("the run has ended")
        if self._worker is None:
            self._worker = self._make_worker()
        for item in self._worker.read(path, options, timeout_s=self._timeout_s):
            if self._watch is not None:
                self._watch(item)
            yield item

    def close(self) -> None:
        if self._worker is not None:
            with suppress(OSError):
                self._worker.close()

    def kill(self) -> None:
        """From another thread: end the process; the thread that reads from it finds out and closes the rest."""
        self._killed = True
        pid = self._worker.pid if self._worker is not None else None
        if pid is not None:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def error_row(path: str, error: ErrorInfo) -> VideoResult:
    return VideoResult(path=path, status="error", error=error)


def interruptible(work: Callable[[], T]) -> T:
    """Run `work` in a thread, so that a signal ends the wait at once even while it is inside native code."""
    outcome: list[T] = []
    failure: list[BaseException] = []

    def target() -> None:
        try:
            outcome.append(work())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=target, name="interruptible", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.1)
    if failure:
        raise failure[0]
    return outcome[0]


class InProcess:
    """A decoder in this process, in a Worker's shape: no deadline, no protection. For tests and the library."""

    pid = None

    def read(self, path: Path, options: ReadOptions, timeout_s: float | None = None) -> Iterator[Item]:
        from nsnet_cli.video import read_video

        return read_video(path, options)

    def close(self) -> None: ...
