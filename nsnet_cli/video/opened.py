"""An open file as FFmpeg reads it: one on a disk, by its descriptor, or one in a store, by ranges of bytes.

A decode process has no network and no credentials. Its `Stored` videos get their bytes from its parent, which asks the
store (nsnet_cli/video/child.py, remote.py).
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, Protocol

from nsnet_cli.errors import VideoError
from nsnet_cli.records import dataclass
from nsnet_cli.storage.urls import Place, Url, located
from nsnet_cli.video.fragments import fragment_ranges


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """Shows whether a file is still the one that was opened."""

    size_bytes: int
    mtime_ns: int


def file_identity(status: os.stat_result) -> FileIdentity:
    return FileIdentity(status.st_size, status.st_mtime_ns)


class Bytes(Protocol):
    """The bytes of a video in a store. Its calls raise VideoError."""

    @property
    def size_bytes(self) -> int: ...

    def read(self, offset: int, count: int) -> bytes: ...

    def want(self, ranges: Sequence[tuple[int, int]]) -> None: ...

    def whole(self) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Stored:
    """A video in a store, where the video package takes the path of a file."""

    url: Url
    bytes: Bytes
    lock: threading.Lock = field(default_factory=threading.Lock, compare=False)
    """Several decoders may read one video."""

    def __str__(self) -> str:
        return str(self.url)

    @property
    def suffix(self) -> str:
        return self.url.suffix


VideoPath = Path | Stored


def stored(place: str | Place | Stored) -> VideoPath:
    """Returns the video at a place, for a reader in this process. Raises UsageError if something is not installed."""
    if not isinstance(place, Stored):
        place = located(place)
    if not isinstance(place, Url):
        return place
    from nsnet_cli.storage.ranges import RangeReader

    return Stored(place, RangeReader(place))


class DiskFile:
    """A file on a disk. FFmpeg gets its descriptor. Raises VideoError if it cannot be one of a video."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd, self.identity = _open_file(path)

    def media(self) -> tuple[Any, dict[str, str]]:
        """What av.open takes, and its options."""
        os.lseek(self.fd, 0, os.SEEK_SET)
        return "fd:", {"fd": str(self.fd), "protocol_whitelist": "fd"}

    def head(self, count: int) -> bytes:
        return os.pread(self.fd, count, 0)

    def check(self) -> None:
        """Reads again where FFmpeg read last: its errors do not tell a failing disk from damage. Raises VideoError."""
        try:
            # FFmpeg's descriptor is a copy of this one: both share a position
            os.pread(self.fd, 1, os.lseek(self.fd, 0, os.SEEK_CUR))
        except OSError as error:
            raise VideoError(
                f"{self.path}: cannot be read: {error.strerror}", "check its disk or network", "unreadable"
            ) from None

    def whole(self) -> None:
        """Does nothing: a disk needs no hint."""

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class StoreFile:
    """A video in a store, as a file that PyAV reads. FFmpeg may open nothing else."""

    def __init__(self, path: Stored) -> None:
        self.path = path
        self.fault: VideoError | None = None
        """Why reading stopped: FFmpeg takes that for the end, or damage."""
        self._at = 0
        with path.lock:
            self._size = path.bytes.size_bytes
        if self._size == 0:
            raise VideoError(f"{path}: is empty (0 bytes)", kind="empty_file")
        self.identity = FileIdentity(self._size, 0)
        if ranges := fragment_ranges(self.head(4096), self._size, self._read):
            self.want(ranges)

    def media(self) -> tuple[Any, dict[str, str]]:
        """What av.open takes, and its options."""
        self._at = 0
        return self, {"protocol_whitelist": "none"}

    def head(self, count: int) -> bytes:
        return self._read(0, count)

    def check(self) -> None:
        """Raises the VideoError that ended reading, if one did."""
        if self.fault is not None:
            raise self.fault

    def want(self, ranges: Sequence[tuple[int, int]]) -> None:
        with self.path.lock:
            self.path.bytes.want(ranges)

    def whole(self) -> None:
        with self.path.lock:
            self.path.bytes.whole()

    def close(self) -> None:
        """Does nothing: the video's bytes stay for the next decoder."""

    # ---- for PyAV ----

    name = ""

    def read(self, count: int) -> bytes:
        data = self._read(self._at, count)
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def _read(self, offset: int, count: int) -> bytes:
        self.check()
        try:
            with self.path.lock:
                return self.path.bytes.read(offset, count)
        except VideoError as error:
            self.fault = error
            raise


def open_file(path: VideoPath) -> DiskFile | StoreFile:
    """Opens the file of a video. Raises VideoError, whose kind says what is wrong."""
    return StoreFile(path) if isinstance(path, Stored) else DiskFile(path)


def _open_file(path: Path) -> tuple[int, FileIdentity]:
    try:
        # Not blocking: a named pipe must be refused, not waited for.
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (FileNotFoundError, NotADirectoryError):
        raise VideoError(f"{path}: no such file", kind="not_found") from None
    except IsADirectoryError:
        raise VideoError(f"{path}: is a folder, not a video", kind="is_directory") from None
    except PermissionError:
        raise VideoError(f"{path}: no permission to read it", "check its mode and owner", "permission_denied") from None
    except (OSError, ValueError) as error:
        raise VideoError(
            f"{path}: cannot be opened: {getattr(error, 'strerror', None) or error}", kind="unreadable"
        ) from None
    status = os.fstat(fd)
    problem = None
    if stat.S_ISDIR(status.st_mode):
        problem = VideoError(f"{path}: is a folder, not a video", kind="is_directory")
    elif not stat.S_ISREG(status.st_mode):
        problem = VideoError(f"{path}: is a device or pipe, not a file", kind="unsafe")
    elif status.st_size == 0:
        problem = VideoError(f"{path}: is empty (0 bytes)", kind="empty_file")
    if problem:
        os.close(fd)
        raise problem
    return fd, file_identity(status)
