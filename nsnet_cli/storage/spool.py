"""A temporary copy of one video, for containers that can only be read whole: it is read while it is being written."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable

from nsnet_cli.storage import stores
from nsnet_cli.storage.faults import Fault
from nsnet_cli.storage.stat import Stat
from nsnet_cli.storage.urls import Url

MOST_BYTES = 4 << 30
"""The longest video that is copied."""
MOST_TRIES = 6


class Spool:
    """Starts to copy a video. The file has no name, so nothing of it stays behind. Raises Fault if it is too long."""

    def __init__(self, url: Url, version: Stat) -> None:
        self._url, self._version = url, version
        self._check(version.size_bytes or 0)
        try:
            self._file = tempfile.TemporaryFile(prefix="nsnet-")  # noqa: SIM115  `close` closes it
        except OSError:
            raise Fault("unreadable", "no place for its temporary copy", hint="set TMPDIR") from None
        self._have = 0
        self._fault: Fault | None = None
        self._done = False
        self._change = threading.Condition()
        self._work = stores.run(self._fill())

    def size(self) -> int:
        """The number of its bytes, once all are here."""
        self._until(lambda: self._done)
        return self._have

    def read(self, offset: int, count: int) -> bytes:
        """The bytes at `offset`. Waits as long as more bytes keep coming. Raises Fault."""
        self._until(lambda: self._done or self._have >= offset + count)
        return os.pread(self._file.fileno(), count, offset)

    def close(self) -> None:
        """Stops copying and gives the space back."""
        with self._change:
            self._done = True
        self._work.cancel()
        self._file.close()

    def _until(self, ready: Callable[[], bool]) -> None:
        with self._change:
            while not ready() and self._fault is None:
                have = self._have
                if not self._change.wait(stores.READ_S) and have == self._have:
                    raise Fault("store_timeout", "the store does not answer in time", hint="run again later")
            if self._fault is not None and not ready():
                raise self._fault

    def _check(self, size: int) -> None:
        if size > MOST_BYTES:
            hint = "copy it here, or convert it to a container with an index (MP4, Matroska)"
            raise Fault("too_large", f"it can only be read whole, and has more than {MOST_BYTES >> 30} GiB", hint=hint)

    async def _fill(self) -> None:
        """Copies, and goes on where a connection was cut."""
        try:
            for left in reversed(range(MOST_TRIES)):
                before = self._have
                try:
                    await stores.tried(self._on, 24 * 3600.0, 24 * 3600.0, forgive=False)
                    break
                except Fault as fault:
                    if not fault.again or not left:
                        raise
                    if self._have == before:
                        await stores.pause(MOST_TRIES - left)
            self._tell(done=True)
        except Fault as fault:
            self._tell(fault=fault)

    async def _on(self) -> None:
        whole = self._version.size_bytes
        start = self._have if self._version.ranges else 0
        at = start
        async for part in stores.stream(self._url, start, None, self._version):
            with self._change:
                if self._done:
                    return
                os.pwrite(self._file.fileno(), part, at)
                at += len(part)
                self._have = max(self._have, at)
                self._change.notify_all()
            self._check(at)
        if whole is not None and self._have < whole:
            raise Fault("connection_cut", f"the store sent {self._have} bytes of {whole}", again=True)

    def _tell(self, fault: Fault | None = None, done: bool = False) -> None:
        with self._change:
            self._fault, self._done = fault, done
            self._change.notify_all()
