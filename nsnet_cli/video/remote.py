"""A VideoReader whose video is read by a decode process of a pool: the parent's side of the socket.

The request is sent when the reader is made, so the process begins at once. The reader's methods wait for answers.
A RemoteCopy is the same for a copy of a span.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from nsnet_cli.bounded import bounded
from nsnet_cli.errors import NsnetError, VideoError
from nsnet_cli.media import (
    Copied,
    DecodeReport,
    FrameBatch,
    InputSpec,
    PlannedFrame,
    PreviewPlan,
    ReadOptions,
    VideoHeader,
    VideoInfo,
)
from nsnet_cli.storage.urls import Place, Url
from nsnet_cli.video import wire
from nsnet_cli.video.process import START_TRIES, DecodeProcess
from nsnet_cli.video.reader import Closing

if TYPE_CHECKING:
    import numpy as np

    from nsnet_cli.video.opened import Bytes

START_TIMEOUT_S = 60.0
HEADER_TIMEOUT_S = 30.0
SLOWEST_READ_BYTES_S = 10e6
"""A file without an index is read whole before its header comes: it gets the time that a slow disk needs."""
MAX_TIMEOUT_S = 1800.0
COPY_TIMES = 3
"""A copy may read a file twice, without an index, and write as much."""


def default_timeout_s(duration_s: float) -> float:
    """Returns the time limit for decoding a preview: 30 s plus the length of the video, at most 30 min."""
    return min(MAX_TIMEOUT_S, HEADER_TIMEOUT_S + max(0.0, duration_s))


class Lender(Protocol):
    """Lends a process to a reader, as DecodePool does."""

    timeout_s: float | None

    def new_process(self) -> DecodeProcess: ...

    def discard(self, process: DecodeProcess) -> None: ...

    def give_back(self, process: DecodeProcess | None) -> None: ...

    def came_up(self) -> None: ...

    def did_not_come_up(self, path: Place, how: str) -> NsnetError: ...


class _Lent(Closing):
    """A process that is lent for one video: it is asked, waited for, and given back."""

    work, slow = "decoding", "raise --timeout"
    """What it does, and what to do if that takes too long."""
    _deadline: wire.Deadline

    def __init__(self, path: Place, request: tuple[object, ...], pool: Lender, process: DecodeProcess | None) -> None:
        """Sends the request to `process`, or to a new process if that is None."""
        self.path, self._request = path, request
        self._pool, self._process, self._asked = pool, process, False
        self._sound = True
        self._open = True
        self._bytes: Bytes | None = None
        """What the process is given of a video in a store."""
        try:
            if isinstance(path, Url):
                from nsnet_cli.storage.ranges import RangeReader

                self._bytes = RangeReader(path, pool.timeout_s or MAX_TIMEOUT_S)
            if self._process is None:
                self._process = pool.new_process()
            with contextlib.suppress(OSError):  # it died while it was idle: `_wait_until_asked` will start another
                self._ask()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Gives the process back to the pool. One that is still at work is ended."""
        if not self._open:
            return
        self._open = False
        process, self._process = self._process, None
        if self._bytes is not None:
            self._bytes.close()
        try:
            if process is not None and not self._sound:
                self._pool.discard(process)
                process = None
        finally:
            self._pool.give_back(process)

    def _ask(self) -> None:
        assert self._process is not None
        self._sound = False
        wire.send(self._process.socket, self._request)
        self._asked = True
        self._process.served += 1

    def _wait_until_asked(self) -> None:
        how = ""
        for _ in range(START_TRIES):
            try:
                if self._process is None:
                    self._process = self._pool.new_process()
                if self._process.pid is None:
                    raise EOFError
                if not self._process.ready:
                    wire.receive(self._process.socket, wire.Deadline(START_TIMEOUT_S))
                    self._process.ready = True
                    self._pool.came_up()
                if not self._asked:
                    self._ask()
                return
            except (EOFError, OSError) as error:  # TimeoutError is an OSError
                how = self._process.last_words() if self._process else str(error)
                if self._process is not None:
                    self._pool.discard(self._process)
                self._process, self._asked = None, False
        raise self._pool.did_not_come_up(self.path, how)

    def _receive(self) -> Any:
        """Returns the next answer. Raises the video's VideoError, or one for a process that hangs or died."""
        assert self._process is not None
        try:
            while isinstance(message := wire.receive(self._process.socket, self._deadline), wire.Ask):
                self._give_bytes(self._process, *message.what)
        except TimeoutError:
            waited_s = self._deadline.waited_s
            raise VideoError(
                f"{self.path}: {self.work} did not end within {waited_s:.0f} s", self.slow, "timeout"
            ) from None
        except EOFError:
            raise VideoError(f"{self.path}: the decoder died: {self._process.last_words()}", kind="crashed") from None
        if isinstance(message, VideoError):
            self._sound = True
            raise message
        return message

    def _give_bytes(self, process: DecodeProcess, what: str, *details: Any) -> None:
        """Answers a process that asks for bytes. Waiting for the store is not waiting for the process."""
        assert self._bytes is not None
        reply: object = None
        try:
            if what == "size":
                reply = self._bytes.size_bytes
            else:
                reply = getattr(self._bytes, {"read": "read", "want": "want", "whole": "whole"}[what])(*details)
        except VideoError as error:
            reply = error
        with contextlib.suppress(OSError):  # it died: the next message says so
            wire.send(process.socket, reply)


class RemoteReader(_Lent):
    """A VideoReader. Every call may also raise VideoErrors of the kinds "timeout" and "crashed"."""

    report: DecodeReport

    def __init__(self, path: Place, options: ReadOptions, pool: Lender, process: DecodeProcess | None) -> None:
        """Requests the video from `process`, or from a new process if that is None."""
        self.options = options
        self._header: VideoHeader | None = None
        super().__init__(path, ("open", named(path), options), pool, process)

    @property
    def info(self) -> VideoInfo:
        return self._begin().info

    @property
    def plan(self) -> PreviewPlan:
        return self._begin().plan

    def preview(self) -> Iterator[FrameBatch]:
        self._begin()
        yield from self._until_reported()

    def more(self, frames: Sequence[PlannedFrame]) -> Iterator[FrameBatch]:
        self._ask_again("more", frames)
        yield from self._until_reported()

    def views(self, at_s: Sequence[float] | np.ndarray, spec: InputSpec) -> FrameBatch:
        self._ask_again("views", at_s, spec)
        views: FrameBatch = self._receive()
        self._sound = True
        return views

    def _until_reported(self) -> Iterator[FrameBatch]:
        while not isinstance(message := self._receive(), DecodeReport):
            yield message
        self.report, self._sound = message, True

    def _ask_again(self, *request: object) -> None:
        """Sends a request about the open video. It has a time limit of its own."""
        assert self._process is not None
        self._deadline = self._new_deadline()
        self._sound = False
        with contextlib.suppress(OSError):  # it died since the preview: `_receive` says so
            wire.send(self._process.socket, request)

    def _begin(self) -> VideoHeader:
        """Returns the header. Replaces a process that died while idle or starting: the video is not at fault."""
        if self._header is None:
            self._wait_until_asked()
            timeout_s = self._pool.timeout_s
            self._deadline = wire.Deadline(timeout_s if timeout_s is not None else _header_timeout_s(self.path))
            self._header = self._receive()
            if timeout_s is None:
                self._deadline.left_s = default_timeout_s(self._header.info.duration_s)
        return self._header

    def _new_deadline(self) -> wire.Deadline:
        timeout_s = self._pool.timeout_s
        return wire.Deadline(timeout_s if timeout_s is not None else default_timeout_s(self.info.duration_s))


class RemoteCopy(_Lent):
    """A copy of a span that a process makes."""

    work, slow = "copying", "look at the disks that it is read from and written to"

    def result(self) -> Copied:
        """Waits for the copy. Raises VideoError, or OSError if the target cannot be written."""
        self._wait_until_asked()
        timeout_s = self._pool.timeout_s
        self._deadline = wire.Deadline(
            timeout_s if timeout_s is not None else COPY_TIMES * _header_timeout_s(self.path)
        )
        answer = self._receive()
        self._sound = True
        if isinstance(answer, OSError):
            raise answer
        copied: Copied = answer
        return copied


def named(path: Place) -> bytes | Url:
    """What a process is told of a video: the bytes of its path, or its URL as it is shown to everybody."""
    return Url(path.shown) if isinstance(path, Url) else os.fsencode(path)


def _header_timeout_s(path: Place) -> float:
    if isinstance(path, Url):
        return HEADER_TIMEOUT_S
    try:
        return HEADER_TIMEOUT_S + bounded(path.stat).st_size / SLOWEST_READ_BYTES_S
    except OSError:  # the process will report it
        return HEADER_TIMEOUT_S
