"""Files that are there whole or not at all, and what a file system has for that: renames, links, locks, names."""

from __future__ import annotations

import errno
import os
import socket
import time
from contextlib import suppress
from itertools import count
from pathlib import Path

LOCK_S = 5.0
"""How long a run waits for another one that writes into the same folder. A stopped one (Ctrl-Z) keeps its lock."""
ODD_NAME = '?:*<>|"\\\x01\udcff. '
"""Of everything that some file system refuses or drops."""

_serial = count()


def write_atomic(target: Path, data: bytes, temporary: Path | None = None, replace: bool = True) -> None:
    """Write a temporary file (in `temporary`, else beside `target`), sync, rename. An OSError leaves nothing behind.

    With `replace` False: FileExistsError where `target` is there by then.
    """
    folder = temporary or target.parent
    folder.mkdir(exist_ok=True)
    path = folder / (unique() if temporary else "." + unique())
    try:
        with path.open("xb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        if not replace and _claim(path, target):
            path.unlink()
        else:
            path.replace(target)
    except BaseException:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


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


def lock(descriptor: int) -> bool:
    """Whether the folder is this process's until the descriptor is closed. False: no locks, or no patience left."""
    try:
        import fcntl
    except ImportError:
        return False
    deadline = time.monotonic() + LOCK_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        except OSError:
            return False


def takes(folder: Path, name: str) -> bool:
    """Whether a file can have this very name here."""
    path = folder / name
    try:
        path.write_bytes(b"")
    except (OSError, ValueError):
        return False
    try:
        return name in os.listdir(folder)  # noqa: PTH208
    finally:
        path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the system knows how."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def unique() -> str:
    return f"{socket.gethostname()}@{os.getpid()}-{next(_serial)}"
