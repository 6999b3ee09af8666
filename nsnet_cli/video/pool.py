"""The decode processes of a program: started ahead, lent to one video at a time, killed when they hang, replaced.

A hang that holds the interpreter lock, a crash inside a codec, memory that runs out: each is a VideoError for that one
video. Imports little, because `nsnet tag` starts a pool before anything else.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress

from nsnet_cli.errors import NsnetError, VideoError
from nsnet_cli.video.process import DEFAULT_MEMORY_BYTES, DEFAULT_READER, START_TRIES, DecodeProcess
from nsnet_cli.video.reader import Closing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from nsnet_cli.media import Copied, ReadOptions
    from nsnet_cli.storage.urls import Place
    from nsnet_cli.video.remote import RemoteReader

VIDEOS_PER_PROCESS = 1000
"""Then a process is replaced, so that leaks in codecs do not add up."""

_came_up: set[str] = set()
"""Readers with which a process has started once. If one fails to start later, the installation is not at fault."""


class DecodePool(Closing):
    """At most `size` decode processes. Safe to use from several threads.

    `memory_bytes`: what decoding may allocate. `reader`: where a process finds `open_video` ("module:function").
    `timeout_s`: how long each video may keep its reader waiting. None: depends on the video's length.
    """

    def __init__(
        self,
        size: int = 1,
        *,
        memory_bytes: int = DEFAULT_MEMORY_BYTES,
        reader: str = DEFAULT_READER,
        timeout_s: float | None = None,
    ) -> None:
        self.memory_bytes, self.reader, self.timeout_s = memory_bytes, reader, timeout_s
        self._size = size
        self._all: set[DecodeProcess] = set()
        self._idle: list[DecodeProcess] = []
        self._lent = 0
        self._change = threading.Condition()
        self._ahead: RemoteReader | None = None
        self._owner = os.getpid()
        self.killed = False

    def start(self, size: int | None = None) -> None:
        """Sets the size, and starts that many processes without waiting for them."""
        self.resize(size or self._size)
        while len(self._idle) + self._lent < self._size:
            self._idle.append(self.new_process())

    def resize(self, size: int) -> None:
        """Sets the size. Surplus processes stay until the pool is closed."""
        with self._change:
            self._size = size
            self._change.notify_all()

    def open(self, path: Place, options: ReadOptions) -> RemoteReader:
        """Returns a reader of one video in a process of its own. Waits for a free process, which begins at once.

        Faults of the video raise VideoError when the reader is used. This call raises VideoError once the pool is
        killed.
        """
        from nsnet_cli.video.remote import RemoteReader

        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            if (ahead.path, ahead.options) == (path, options):
                return ahead
            ahead.close()
        return RemoteReader(path, options, self, self._borrow())

    def open_ahead(self, path: Place, options: ReadOptions) -> None:
        """Begins to read a video ahead. The next `open` continues there if it has the same path and options."""
        self._ahead = self.open(path, options)

    def copy(self, path: Path, target: Path, start_s: float, end_s: float, options: ReadOptions) -> Copied:
        """Copies a span of a video to the file `target`, without recoding, in a process of its own.

        Raises VideoError if the video is at fault, and OSError if `target` cannot be written.
        """
        from nsnet_cli.video.remote import RemoteCopy

        request = ("copy", os.fsencode(path), os.fsencode(target), start_s, end_s, options)
        with RemoteCopy(path, request, self, self._borrow()) as copy:
            return copy.result()

    @property
    def pids(self) -> list[int]:
        """Ids of the processes that are alive."""
        return [pid for process in list(self._all) if (pid := process.pid) is not None]

    def kill(self) -> None:
        """Ends all processes, from any thread. Readers that wait for one get an error."""
        self.killed = True
        for pid in self.pids:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        with self._change:
            self._change.notify_all()

    def close(self) -> None:
        """Ends the idle processes. A lent one ends with its reader."""
        self.killed = True
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.close()
        while self._idle:
            self.discard(self._idle.pop())

    # ---- for its readers ----

    def new_process(self) -> DecodeProcess:
        """Starts a process and returns at once. Its user waits until it is ready. Not after the pool is killed."""
        if self.killed:
            raise VideoError("the run has ended")
        process = DecodeProcess(self.memory_bytes, self.reader)
        self._all.add(process)
        return process

    def discard(self, process: DecodeProcess) -> None:
        """Ends a process that must not be lent again."""
        self._all.discard(process)
        with suppress(OSError):
            process.end()

    def give_back(self, process: DecodeProcess | None) -> None:
        """Takes back a process that can serve other videos. None: the reader has none left."""
        if process is not None and (process.served >= VIDEOS_PER_PROCESS or self.killed):
            self.discard(process)
            process = None
        with self._change:
            self._lent -= 1
            if process is not None:
                self._idle.append(process)
            self._change.notify()

    def came_up(self) -> None:
        _came_up.add(self.reader)

    def did_not_come_up(self, path: Place, how: str) -> NsnetError:
        """Returns the error for a process that did not start in START_TRIES tries."""
        tried = f"does not start, tried {START_TRIES} times: {how}"
        if self.reader in _came_up:
            return VideoError(f"{path}: the decoder {tried}", "if memory is short, lower --jobs", "crashed")
        return NsnetError(f"the decode process {tried}", "check the installation with `nsnet --version`")

    def _borrow(self) -> DecodeProcess | None:
        """Returns the idle process that was used last, which is ready. None: the reader starts one."""
        if os.getpid() != self._owner:  # a fork of this program: the processes belong to its parent
            self._all, self._idle, self._lent, self._owner = set(), [], 0, os.getpid()
            self._change = threading.Condition()
        with self._change:
            self._change.wait_for(lambda: self.killed or self._lent < self._size)
            if self.killed:
                raise VideoError("the run has ended")
            self._lent += 1
            return self._idle.pop() if self._idle else None
