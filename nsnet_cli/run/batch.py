"""Tags many videos, each in a thread, and gives exactly one row for each, whatever happens to it.

    thread:  job -> decode in a free process of the pool -> networks (shared engine) -> Finished -> queue -> the caller

A process is lent only for decoding. With one more thread than processes, a process goes on to the next video while the
last one is still in the networks. Threads mostly wait: for a process, or inside the engine, which releases the
interpreter lock. Memory grows with their number, not with the number of videos. Only the caller writes, in its own
thread.
"""

from __future__ import annotations

import os
import queue
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from nsnet_cli.bounded import LOOK_S, bounded
from nsnet_cli.errors import NsnetError, VideoError
from nsnet_cli.media import FrameBatch, ReadOptions
from nsnet_cli.run.jobs import Finished, Job
from nsnet_cli.stopwatch import stage
from nsnet_cli.storage.urls import Place
from nsnet_cli.types import ErrorInfo, VideoResult

if TYPE_CHECKING:
    from nsnet_cli.video.reader import VideoReader

T = TypeVar("T")
Watch = Callable[[str, int], None]
"""Receives the progress of a video: ("planned", T frames), ("decoded", N more frames), ("read", 0)."""
JOIN_S = 1.0
"""How long an interrupted run waits for its threads; their processes are killed by then."""


class VideoTagger(Protocol):
    """What a batch needs from nsnet_cli.tagger.Tagger."""

    def tag(self, path: Place, *, open: Callable[[Place, ReadOptions], VideoReader]) -> VideoResult: ...

    def fingerprint(self, path: Place) -> str: ...


class Pool(Protocol):
    """What a batch needs from nsnet_cli.video.pool.DecodePool."""

    killed: bool

    def open(self, path: Place, options: ReadOptions) -> VideoReader: ...

    def kill(self) -> None: ...

    def close(self) -> None: ...


def run(
    tagger: VideoTagger,
    jobs: Iterable[Job],
    *,
    pool: Pool,
    threads: int,
    timeout_s: float | None = None,
    watch: Watch | None = None,
) -> Iterator[Finished]:
    """Tags all `jobs` and yields each as it ends. `threads` videos are in work at once.

    As many videos are decoded at once as `pool` has processes. The pool is closed at the end. Closing the iterator (or
    an exception in the caller's loop) kills the pool and drops unfinished videos. A fault of one video is a row; any
    other fault is raised, such as a broken engine. `timeout_s` limits looks at a file from this process.
    """
    source, source_lock = iter(jobs), threading.Lock()
    out: queue.Queue[Finished | BaseException | None] = queue.Queue(maxsize=2 * threads)
    doing = Work(tagger, pool, timeout_s, watch)
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
    """Puts an item into a queue, or gives up once `stop` is set."""
    while not stop.is_set():
        with suppress(queue.Full):
            out.put(item, timeout=0.2)
            return


class Work:
    """What is done with a job, by each thread here and by an actor of Ray."""

    def __init__(self, tagger: VideoTagger, pool: Pool, timeout_s: float | None, watch: Watch | None = None) -> None:
        self._tagger, self._pool, self._timeout_s, self._watch = tagger, pool, timeout_s, watch

    def finish(self, job: Job) -> Finished:
        """Returns the row of one video. Raises only what is not the video's fault."""
        path = job.place
        try:
            before = self._fingerprint(path)
        except TimeoutError as error:
            known = job.error or ErrorInfo("timeout", f"the disk does not answer: {error}")
            return Finished(job, VideoResult.failed(job.path, known.kind, known.message), None)
        if job.error is not None:
            return Finished(job, VideoResult.failed(job.path, job.error.kind, job.error.message), before)
        try:
            result = replace(self._tagger.tag(path, open=self._open), path=job.path)
        except VideoError as error:
            if error.kind == "internal":
                self._trace(error)
            result = VideoResult.failed(job.path, error.kind, str(error).removeprefix(f"{path}: "))
        except (NsnetError, KeyboardInterrupt, SystemExit):
            raise
        except MemoryError:
            words = "not enough memory (lower --jobs or --preview)"
            result = VideoResult.failed(job.path, "out_of_memory", words)
        except Exception as error:  # a bug of ours must not cost the other videos their tags
            self._trace(error)
            result = VideoResult.failed(job.path, "internal", f"{type(error).__name__}: {error}")
        return self._unless_changed(job, path, result, before)

    def _trace(self, error: Exception) -> None:
        """Prints the traceback of a bug of ours if NSNET_DEBUG is set. An error from a worker has its own as a note."""
        if os.environ.get("NSNET_DEBUG", "") not in ("", "0") and not self._pool.killed:
            traceback.print_exception(error)

    def _unless_changed(self, job: Job, path: Place, result: VideoResult, before: str | None) -> Finished:
        if before is None or (result.error is not None and result.error.kind == "timeout"):
            return Finished(job, result, before)  # nothing to compare, or a disk that may not answer again
        try:
            after = self._fingerprint(path)
        except TimeoutError:
            after = before  # all of it was read before the disk went away
        if before == after:
            return Finished(job, result, before)
        what = "it was removed" if after is None else "its size or modification time changed"
        words = f"{what} while it was read (run again when it is complete)"
        return Finished(job, VideoResult.failed(job.path, "changed", words), None)

    def _fingerprint(self, path: Place) -> str | None:
        """Returns None if the file cannot be examined. Raises TimeoutError if its disk does not answer."""
        try:
            return bounded(lambda: self._tagger.fingerprint(path), min(self._timeout_s or LOOK_S, LOOK_S))
        except TimeoutError:
            raise
        except (OSError, ValueError, VideoError):
            return None

    def _open(self, path: Place, options: ReadOptions) -> VideoReader:
        with stage("waiting for a decode process"):
            video = self._pool.open(path, options)
        return video if self._watch is None else _Watched(video, self._watch)


class _Watched:
    """A reader that reports the progress of its preview."""

    def __init__(self, video: VideoReader, watch: Watch) -> None:
        self._video, self._watch = video, watch

    def preview(self) -> Iterator[FrameBatch]:
        self._watch("planned", len(self._video.plan))
        for batch in self._video.preview():
            self._watch("decoded", len(batch))
            yield batch
        self._watch("read", 0)

    def __enter__(self) -> _Watched:
        return self

    def __exit__(self, *error: object) -> None:
        self._video.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._video, name)


def interruptible(work: Callable[[], T]) -> T:
    """Runs `work` in a thread, so that a signal ends the wait at once even while `work` is inside native code."""
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
