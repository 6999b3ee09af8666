"""Decoding where it can be killed: one process, reused for video after video, replaced when it dies.

A hang that holds the interpreter lock, a crash inside a codec, memory that runs away: each costs the one video a
VideoError.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from nsnet_cli.bounded import bounded
from nsnet_cli.errors import NsnetError, VideoError
from nsnet_cli.types import DecodeReport, FrameBatch, ReadOptions, VideoHeader
from nsnet_cli.video import wire
from nsnet_cli.video.process import DEFAULT_MEMORY_BYTES, DEFAULT_READER, DecodeProcess, take_process

START_TIMEOUT_S = 60.0
START_TRIES = 3
HEADER_TIMEOUT_S = 30.0
SLOWEST_READ_BYTES_S = 10e6
"""A file without an index is read whole before its header: it gets the time that a slow disk needs."""
MAX_TIMEOUT_S = 1800.0
VIDEOS_PER_PROCESS = 1000
"""A fresh process now and then, so that leaks in codecs never add up."""

_came_up: set[str] = set()
"""Readers with which any worker has come up: from then on, one that does not is no fault of the installation."""


def default_timeout_s(duration_s: float) -> float:
    """Longest that decoding the preview of so long a video may take: half a minute and real time, at most 30 min."""
    return min(MAX_TIMEOUT_S, HEADER_TIMEOUT_S + max(0.0, duration_s))


class DecodeWorker:
    """Reads videos in a process of its own. One read at a time; for more at once, more workers.

    `memory_bytes`: what decoding may allocate. `reader`: where the child finds `read_video` ("module:function").
    """

    def __init__(self, memory_bytes: int = DEFAULT_MEMORY_BYTES, reader: str = DEFAULT_READER) -> None:
        self.memory_bytes = memory_bytes
        self.reader = reader
        self._process: DecodeProcess | None = None
        self._ready = False
        self._served = 0
        self._ahead: tuple[Path, ReadOptions] | None = None

    def __enter__(self) -> DecodeWorker:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The process that would serve the next read. None before start and after a death: others get its number."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start the process, without waiting until it is up. `read` does it where needed."""
        if self.pid is None:
            self.close()
            self._process = take_process(self.memory_bytes, self.reader)
            self._ready, self._served = False, 0

    def close(self) -> None:
        """End the process, at once."""
        if self._process is not None:
            self._process.end()
        self._process = self._ahead = None

    def read(
        self, path: Path, options: ReadOptions, timeout_s: float | None = None
    ) -> Iterator[VideoHeader | FrameBatch | DecodeReport]:
        """As `read_video`. `timeout_s` bounds the waiting for the worker, not what the caller does between batches.

        None: 30 s (more for big files) until the header, then `default_timeout_s` of the video's length.
        Raises VideoError, also of the kinds "timeout", "crashed" and "out_of_memory". Closing the iterator early ends
        the process; the next read starts another.
        """
        finished = False
        try:
            self._ask(path, options)
            deadline = wire.Deadline(timeout_s if timeout_s is not None else _header_timeout_s(path))
            while not finished:
                message = self._receive(path, deadline)
                if isinstance(message, VideoError):
                    finished = True
                    raise message
                if isinstance(message, VideoHeader) and timeout_s is None:
                    deadline.left_s = default_timeout_s(message.info.duration_s)
                finished = isinstance(message, DecodeReport)
                yield message
        finally:
            self._served += 1
            if not finished or self._served >= VIDEOS_PER_PROCESS:
                self.close()

    def ask_ahead(self, path: Path, options: ReadOptions) -> None:
        """Have the process begin although nobody listens yet. The next `read`, if of the same, goes on from there."""
        self.start()
        with contextlib.suppress(OSError):  # it died at once: `read` finds out and starts another
            self._send(path, options)
            self._ahead = path, options

    def _ask(self, path: Path, options: ReadOptions) -> None:
        """Send a request. That the process died while it was idle, or was starting, is not this video's doing."""
        if self._ahead not in (None, (path, options)):
            self.close()
        how = ""
        for _ in range(START_TRIES):
            try:
                self._wait_until_ready()
                if self._ahead is None:
                    self._send(path, options)
                self._ahead = None
                return
            except (EOFError, OSError) as error:  # TimeoutError is an OSError
                how = self._process.last_words() if self._process else str(error)
                self.close()
        tried = f"does not start, tried {START_TRIES} times: {how}"
        if self.reader in _came_up:
            raise VideoError(f"{path}: the decoder {tried}", "is memory short? lower --jobs", "crashed")
        raise NsnetError(f"the decode worker {tried}", "run `nsnet --version`?")

    def _send(self, path: Path, options: ReadOptions) -> None:
        assert self._process is not None
        wire.send(self._process.socket, (os.fsencode(path), options))

    def _wait_until_ready(self) -> None:
        self.start()
        if not self._ready:
            assert self._process is not None
            wire.receive(self._process.socket, wire.Deadline(START_TIMEOUT_S))
            self._ready = True
            _came_up.add(self.reader)

    def _receive(self, path: Path, deadline: wire.Deadline) -> VideoHeader | FrameBatch | DecodeReport | VideoError:
        assert self._process is not None
        try:
            return wire.receive(self._process.socket, deadline)
        except TimeoutError:
            raise VideoError(
                f"{path}: decoding did not end within {deadline.waited_s:.0f} s",
                "give it more with --timeout",
                "timeout",
            ) from None
        except EOFError:
            raise VideoError(f"{path}: the decoder died: {self._process.last_words()}", kind="crashed") from None


def _header_timeout_s(path: Path) -> float:
    try:
        return HEADER_TIMEOUT_S + bounded(path.stat).st_size / SLOWEST_READ_BYTES_S
    except OSError:  # the worker finds out what it is
        return HEADER_TIMEOUT_S
