"""Many videos: N decode workers, a thread a video in work; every video ends as exactly one row, whatever befalls it.

    thread:  job -> decode in a free worker process -> networks (shared engine) -> Finished -> queue -> the caller

A worker is lent for the decoding alone. With one thread more than workers it goes on to the next video while the last
one is still in the networks. Threads mostly wait (for a worker, or inside the engine, which releases the interpreter
lock), and memory follows their number, not the number of videos. The caller alone writes, in its own thread.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

from nsnet_cli.bounded import LOOK_S, bounded
from nsnet_cli.errors import NsnetError, VideoError
from nsnet_cli.types import DecodeReport, ErrorInfo, FrameBatch, ReadOptions, Source, VideoHeader, VideoResult

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
    source: Source | None = None
    """The file as it was found. None: it could not be looked at."""


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
    workers: int | None = None,
    timeout_s: float | None = None,
    watch: Watch | None = None,
) -> Iterator[Finished]:
    """Tag all `jobs`, yielding each as it ends, in order of ending: `threads` at once, `workers` (as many) decoding.

    Closing the iterator (or an exception in the caller's loop) kills the workers and drops what is in work. Raises what
    is no one video's fault (an engine that broke); a video's own faults are rows.
    """
    source, source_lock = iter(jobs), threading.Lock()
    out: queue.Queue[Finished | BaseException | None] = queue.Queue(maxsize=2 * threads)
    pool = _Pool(make_worker, workers or threads)
    doing = _Work(tagger, pool, timeout_s, watch)
    stop = threading.Event()

    def work() -> None:
        try:
            while not stop.is_set():
                with source_lock:
                    job = next(source, None)
                if job is None:
                    break
                _put(out, doing.finish(job), stop)
        except BaseException as error:
            _put(out, error, stop)
        finally:
            _put(out, None, stop)

    crew = [threading.Thread(target=work, name=f"video-{i}", daemon=True) for i in range(threads)]
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
        pool.kill()
        for thread in crew:
            thread.join(JOIN_S / threads)
        pool.close()


def _put(out: queue.Queue[T], item: T, stop: threading.Event) -> None:
    """Hand on, or give up once nobody takes any more."""
    while not stop.is_set():
        with suppress(queue.Full):
            out.put(item, timeout=0.2)
            return


class _Pool:
    """The decode workers of a run, each lent to one thread at a time and made when it is first needed."""

    def __init__(self, make: Callable[[], Worker], count: int) -> None:
        self._make = make
        self._made: list[Worker] = []
        self._free: queue.LifoQueue[Worker | None] = queue.LifoQueue()  # one that is up already comes first
        for _ in range(count):
            self._free.put(None)
        self.killed = False

    @contextmanager
    def lent(self) -> Iterator[Worker]:
        """Waits for a worker that is free. Raises VideoError once the run has ended."""
        worker = self._free.get()
        try:
            if self.killed:
                raise VideoError("the run has ended")
            if worker is None:
                worker = self._make()
                self._made.append(worker)
            yield worker
        finally:
            self._free.put(worker)

    def kill(self) -> None:
        """End the processes, from any thread; the threads that read from them find out."""
        self.killed = True
        for worker in list(self._made):
            if (pid := worker.pid) is not None:
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        """Once no thread reads any more (one that still does keeps its worker: its process is dead)."""
        while not self._free.empty():
            if (worker := self._free.get()) is not None:
                with suppress(OSError):
                    worker.close()


class _Work:
    """What each thread does with a job."""

    def __init__(self, tagger: VideoTagger, pool: _Pool, timeout_s: float | None, watch: Watch | None) -> None:
        self._tagger, self._pool, self._timeout_s, self._watch = tagger, pool, timeout_s, watch

    def finish(self, job: Job) -> Finished:
        """The row of one video. Raises only what is not the video's fault."""
        path = Path(job.path)
        try:
            before = self._fingerprint(path)
        except TimeoutError as error:
            hung = ErrorInfo("timeout", f"the disk does not answer: {error}")
            return Finished(job, error_row(job.path, job.error or hung), None)
        if job.error is not None:
            return Finished(job, error_row(job.path, job.error), before)
        try:
            result = replace(self._tagger.tag(path, read=self._read), path=job.path)
        except VideoError as error:
            if error.kind == "internal":
                self._trace(error)
            result = error_row(job.path, ErrorInfo(error.kind, str(error).removeprefix(f"{path}: ")))
        except (NsnetError, KeyboardInterrupt, SystemExit):
            raise
        except MemoryError:
            result = error_row(job.path, ErrorInfo("out_of_memory", "not enough memory (lower --jobs or --preview)"))
        except Exception as error:  # a fault of ours must not cost the other videos their tags
            self._trace(error)
            result = error_row(job.path, ErrorInfo("internal", f"{type(error).__name__}: {error}"))
        return self._unless_changed(job, path, result, before)

    def _trace(self, error: Exception) -> None:
        """Where a mistake of ours is, for those who look for it. What came from a worker carries its own as a note."""
        if os.environ.get("NSNET_DEBUG", "") not in ("", "0") and not self._pool.killed:
            traceback.print_exception(error)

    def _unless_changed(self, job: Job, path: Path, result: VideoResult, before: str | None) -> Finished:
        if before is None or (result.error is not None and result.error.kind == "timeout"):
            return Finished(job, result, before)  # nothing to compare, or a disk that may not answer again
        try:
            after = self._fingerprint(path)
        except TimeoutError:
            after = before  # it was all read before the disk went away
        if before == after:
            return Finished(job, result, before)
        what = "it was removed" if after is None else "its size or modification time changed"
        changed = ErrorInfo("changed", f"{what} while it was read (run again when it is complete)")
        return Finished(job, error_row(job.path, changed), None)

    def _fingerprint(self, path: Path) -> str | None:
        """None: the file cannot be looked at. Raises TimeoutError where its disk does not answer."""
        try:
            return bounded(lambda: self._tagger.fingerprint(path), min(self._timeout_s or LOOK_S, LOOK_S))
        except TimeoutError:
            raise
        except (OSError, ValueError, VideoError):
            return None

    def _read(self, path: Path, options: ReadOptions) -> Iterator[Item]:
        with self._pool.lent() as worker:
            for item in worker.read(path, options, timeout_s=self._timeout_s):
                if self._watch is not None:
                    self._watch(item)
                yield item


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
