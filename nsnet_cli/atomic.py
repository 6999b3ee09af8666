"""Files that are there whole or not at all. Every file that nsnet writes goes through `write_whole`."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import BinaryIO

_serial = count()


def write_whole(target: Path, data: bytes, *, temporary: Path | None = None, replace: bool = True) -> None:
    """Put `data` at `target` in one step: a crash at any moment leaves the old file or the new one.

    The bytes go to a file of another name (in the folder `temporary`, else beside `target`), are synced, and take the
    name `target`. A link there is replaced, not followed. With `replace` False: FileExistsError where something is
    there by then. Raises OSError, which leaves nothing behind.
    """
    if temporary is not None:
        temporary.mkdir(exist_ok=True)
    path, handle = _fresh(temporary, target.parent)
    try:
        with handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        if not replace and _claim(path, target):
            path.unlink()
        else:
            path.replace(target)
    except BaseException as error:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:  # a full disk names no file
            error.filename = str(target)
        raise
    with suppress(OSError):  # some systems cannot sync a folder
        sync(target.parent)


def sync(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk. Raises OSError, as of a full disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def unique() -> str:
    """A file name that no other process and no other call has: host@process-number."""
    return f"{_host()}@{os.getpid()}-{next(_serial)}"


def sweep(folder: Path) -> None:
    """Remove the files with names of `unique` that processes of this machine left when they were killed."""
    with suppress(OSError):
        for path in folder.iterdir():
            host, _, rest = path.name.rpartition("@")
            pid = rest.partition("-")[0]
            if host == _host() and pid.isdigit() and not _alive(int(pid)):
                path.unlink(missing_ok=True)


def _fresh(temporary: Path | None, beside: Path) -> tuple[Path, BinaryIO]:
    """A new file to write to. A killed process that had this one's number may have left files of such names."""
    while True:
        path = beside / f".{unique()}.tmp" if temporary is None else temporary / unique()
        with suppress(FileExistsError):
            return path, path.open("xb")


def _claim(path: Path, target: Path) -> bool:
    """Give `path` the name `target` too, in one step that fails where that is there. False: no links here."""
    try:
        target.hardlink_to(path)
        return True
    except FileExistsError:
        raise
    except OSError:
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
        return False


def _host() -> str:
    import socket  # commands that write nothing do not wait for it

    return socket.gethostname()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
