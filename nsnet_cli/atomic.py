"""Writes files in one step, so that each is there whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import BinaryIO

_serial = count()


def write_whole(
    target: Path,
    data: bytes,
    *,
    temporary: Path | None = None,
    replace: bool = True,
    settle: bool = True,
    ready: Callable[[BinaryIO], None] | None = None,
) -> None:
    """Writes `data` to `target` in one step: a crash at any moment leaves the old file or the new one.

    The bytes are written to another file (in the folder `temporary`, or beside `target`), synced, and renamed to
    `target`. A link at `target` is replaced, not followed. Raises FileExistsError if `replace` is False and `target`
    exists by then, and OSError if writing fails. No error leaves a partial file behind.

    With `settle` False the folder's list of names is not synced. That is for a file that means nothing until another
    one is written beside it. `ready` gets the new file just before it is renamed, and may raise to stop that.
    """
    if temporary is not None:
        temporary.mkdir(exist_ok=True)
    path, handle = _fresh(temporary, target.parent)
    try:
        with handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
            if ready is not None:
                ready(handle)
        _name(path, target, replace)
    except BaseException as error:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:  # a full disk names no file
            error.filename = str(target)
        raise
    if settle:
        with suppress(OSError):  # some systems cannot sync a folder
            sync(target.parent)


@contextmanager
def temporary_file(folder: Path) -> Iterator[Path]:
    """Makes an empty file in `folder` for a writer that needs a path. It is removed at the end, unless it was named."""
    path, handle = _fresh(None, folder)
    handle.close()
    try:
        yield path
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def give_name(path: Path, target: Path, *, replace: bool = False) -> None:
    """Syncs a temporary file and renames it to `target`. Raises OSError.

    With `replace` False, raises FileExistsError if there is a file already.
    """
    sync(path)
    _name(path, target, replace)
    with suppress(OSError):  # some systems cannot sync a folder
        sync(target.parent)


def sync(path: Path) -> None:
    """Waits until a file, or a folder's list of names, is on the disk. Raises OSError, for example if it is full."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def unique() -> str:
    """Returns a file name that no other process or call uses: host@process-number."""
    return f"{_host()}@{os.getpid()}-{next(_serial)}"


def sweep(folder: Path) -> None:
    """Removes files named by `unique` that killed processes of this machine left behind."""
    with suppress(OSError):
        for path in folder.iterdir():
            host, _, rest = path.name.removeprefix(".").rpartition("@")
            pid = rest.partition("-")[0]
            if host == _host() and pid.isdigit() and not _alive(int(pid)):
                path.unlink(missing_ok=True)


def _fresh(temporary: Path | None, beside: Path) -> tuple[Path, BinaryIO]:
    """Opens a new file. Skips names that a killed process with the same id left behind."""
    while True:
        path = beside / f".{unique()}.tmp" if temporary is None else temporary / unique()
        with suppress(FileExistsError):
            return path, path.open("xb")


def _name(path: Path, target: Path, replace: bool) -> None:
    if not replace and _claim(path, target):
        path.unlink()
    else:
        path.replace(target)


def _claim(path: Path, target: Path) -> bool:
    """Links `target` to `path`. Raises FileExistsError if `target` exists; returns False if links are not supported."""
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
    import socket  # here, so that commands that write nothing do not load it

    return socket.gethostname()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
