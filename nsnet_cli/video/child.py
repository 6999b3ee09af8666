"""Runs in a decode process: takes requests, sends what its VideoReader gives, ends with its parent.

    request                   answer
    ("open", path, options)   header, batches of the preview, report; the video stays open
    ("more", frames)          batches of more frames of the open video, report
    ("views", at_s, spec)     a FrameBatch of the open video
    ("copy", path, target, start_s, end_s, options)     Copied, or the OSError that writing `target` gave

A VideoError in place of any message ends the answer. `path` is bytes, or a Url of a video in a store: then messages
`Ask` come between those of the answer, and the parent answers each that has a reply. This process has no network.

Imports nothing but numpy, PyAV (or decord) and the video package: no torch, no terminal libraries.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import queue
import resource
import select
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nsnet_cli.errors import VideoError
from nsnet_cli.media import PlannedFrame, ReadOptions, VideoHeader
from nsnet_cli.storage.urls import Url
from nsnet_cli.video import wire
from nsnet_cli.video.opened import Stored, VideoPath

if TYPE_CHECKING:
    from nsnet_cli.video.reader import VideoReader

AHEAD = 8
"""Batches that may wait to be sent while decoding goes on."""
F_SETSIG = 10  # its value on Linux; not every Python has fcntl.F_SETSIG

OpenVideo = Callable[[VideoPath, ReadOptions], "VideoReader"]


def main(socket_fd: int, life_fd: int, memory_bytes: int, reader_name: str) -> None:
    """Serves requests until the parent closes the socket. `reader_name`: the "module:function" used as open_video."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    die_with_parent(life_fd)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    gc.disable()  # the imports leave no garbage
    module, name = reader_name.split(":")
    open_video: OpenVideo = getattr(importlib.import_module(module), name)
    if reader_name.startswith("nsnet_cli."):
        import nsnet_cli.video.pyav_source  # noqa: F401  loaded before the first video comes
    gc.freeze()
    gc.enable()
    limit_memory(memory_bytes)
    sock = socket.socket(fileno=socket_fd)
    with contextlib.suppress(EOFError, OSError):
        wire.send(sock, "ready")
        serve(sock, open_video)


def die_with_parent(life_fd: int) -> None:
    """Makes the kernel kill this process when the parent's end of the life pipe closes, even if Python cannot run.

    A thread that waits for the end of the pipe is not enough: a decoder may hold the interpreter lock for ever.
    PR_SET_PDEATHSIG is not right either: it fires when the *thread* that started this process ends.
    """
    if not sys.platform.startswith("linux"):
        return  # an idle worker still ends when its socket closes
    import fcntl

    fcntl.fcntl(life_fd, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(life_fd, F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(life_fd, fcntl.F_SETFL, fcntl.fcntl(life_fd, fcntl.F_GETFL) | os.O_ASYNC)
    poll = select.poll()
    poll.register(life_fd, select.POLLIN)
    if poll.poll(0):  # the parent is gone already
        os._exit(1)


def limit_memory(memory_bytes: int) -> None:
    """Limits how much more memory this process may allocate.

    RLIMIT_DATA counts writable private memory (heap and anonymous mappings) when it is requested, so a file that makes
    a decoder request gigabytes is refused cleanly. RLIMIT_AS would also count libraries and address space that is
    never used.
    """
    used = 0
    with contextlib.suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/self/status").read_text().splitlines()
        used = 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmData:"))
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (used + memory_bytes, used + memory_bytes))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")  # if memory runs out, the kernel kills this process first


def serve(sock: socket.socket, open_video: OpenVideo) -> None:
    """Answers requests until the socket closes (EOFError). A video stays open until the next one is requested."""
    video: VideoReader | None = None
    path: VideoPath = Path()
    sending = Sending(sock)
    while True:
        request, *details = wire.receive(sock)
        if request == "open":
            if video is not None:
                video.close()
            video = None
            sending = Sending(sock)
            path, options = _video_path(details[0], sending), details[1]

            def opened(path: VideoPath = path, options: ReadOptions = options) -> Iterator[object]:
                nonlocal video
                video = open_video(path, options)
                yield VideoHeader(video.info, video.plan)
                yield from video.preview()
                yield video.report

            answer(sending, path, opened())
        elif request == "copy":
            answer(Sending(sock), Path(os.fsdecode(details[0])), copied(*details))
        elif video is not None and request == "more":
            answer(sending, path, more(video, *details))
        elif video is not None:
            at_s, spec = details
            answer(sending, path, (video.views(at_s, spec) for _ in (None,)))


def more(video: VideoReader, frames: Sequence[PlannedFrame]) -> Iterator[object]:
    yield from video.more(frames)
    yield video.report


def copied(path: bytes, target: bytes, start_s: float, end_s: float, options: ReadOptions) -> Iterator[object]:
    from nsnet_cli.video.copying import copy_span

    try:
        yield copy_span(Path(os.fsdecode(path)), Path(os.fsdecode(target)), start_s, end_s, options)
    except OSError as error:
        yield error


def _video_path(given: bytes | Url, sending: Sending) -> VideoPath:
    return Stored(given, Asked(sending)) if isinstance(given, Url) else Path(os.fsdecode(given))


class Sending:
    """What waits to be sent to the parent. One thread sends it while decoding goes on."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.waiting: queue.Queue[object] = queue.Queue(maxsize=AHEAD)

    def start(self) -> threading.Thread:
        sender = threading.Thread(target=_send_all, args=(self.sock, self.waiting), daemon=True)
        sender.start()
        return sender


class Asked:
    """The bytes of a video in a store, which the parent is asked for. Its user holds the lock of `Stored`."""

    def __init__(self, sending: Sending) -> None:
        self._sending = sending
        self._size: int | None = None

    @property
    def size_bytes(self) -> int:
        if self._size is None:
            self._size = self._ask("size")
        return self._size

    def read(self, offset: int, count: int) -> bytes:
        data: bytes = self._ask("read", offset, count)
        return data

    def want(self, ranges: Sequence[tuple[int, int]]) -> None:
        self._ask("want", ranges)

    def whole(self) -> None:
        self._ask("whole")

    def close(self) -> None:
        """Does nothing: the parent closes it with its reader."""

    def _ask(self, *what: Any) -> Any:
        self._sending.waiting.put(wire.Ask(what))
        reply = wire.receive(self._sending.sock)
        if isinstance(reply, VideoError):
            raise reply
        return reply


def answer(sending: Sending, path: VideoPath, messages: Iterator[object]) -> None:
    """Sends what `messages` yields, and a VideoError if that fails."""
    waiting, sender = sending.waiting, sending.start()
    try:
        for message in messages:
            waiting.put(message)
    except VideoError as error:
        waiting.put(error)
    except MemoryError:
        waiting.put(VideoError(f"{path}: decoding needs more memory than allowed", kind="out_of_memory"))
    except OSError as error:  # from the disk
        waiting.put(VideoError(f"{path}: cannot be read: {error.strerror or error}", kind="unreadable"))
    except Exception as error:  # a bug of ours
        fault = VideoError(f"{path}: {type(error).__name__}: {error}", kind="internal")
        fault.add_note(traceback.format_exc())
        waiting.put(fault)
    waiting.put(None)
    sender.join()


def _send_all(sock: socket.socket, waiting: queue.Queue[object]) -> None:
    """Ends the process if it cannot send: the reader would wait for ever until `waiting` has space."""
    try:
        while (message := waiting.get()) is not None:
            wire.send(sock, message)
    except ConnectionError:
        os._exit(0)  # the parent is gone
    except BaseException:
        traceback.print_exc()  # the parent reports its last line
        sys.stderr.flush()
        os._exit(1)
