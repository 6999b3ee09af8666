"""Puts a time limit on calls that may never return: on a dead disk, `stat` and `open` block in the kernel for ever.

Nothing can end such a call, or a process with a thread inside one. So the call is made in a fork of this process if
such disks are mounted and this process has only one thread (`nsnet tag` looks for its inputs before it starts more).
Otherwise it is made in a thread. A fork or thread that hangs is left behind.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import struct
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")
LOOK_S = 30.0
"""Longest time to look at a file (`stat`, `open`, its first bytes). A sleeping disk needs ten seconds to spin up."""
SLICE_S = 1.0
"""Longest single wait. If it took longer, this process was stopped (Ctrl-Z) or the machine slept: not counted."""
HANGING = ("fuse", "fuseblk", "nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "lustre", "glusterfs", "virtiofs")
"""File systems that depend on another program or machine. Names that begin with "fuse." count too."""
_LENGTH = struct.Struct("<Q")


def bounded(call: Callable[[], T], seconds: float = LOOK_S) -> T:
    """Returns or raises what `call` does. Raises TimeoutError (an OSError) if `call` takes longer than `seconds`.

    A call costs a thread (0.1 ms) or a fork (1 ms); for many quick looks use `until_hung`. `call` may run in another
    process: it must return plain data and change nothing outside itself.
    """
    done, hung = until_hung([call], lambda one: one(), seconds)
    if hung:
        raise TimeoutError(f"no answer within {seconds:g} s")
    return done[0]


def until_hung(items: Sequence[T], look: Callable[[T], R], seconds: float = LOOK_S) -> tuple[list[R], bool]:
    """Returns `look(item)` for each item in order, up to the first that hangs, and whether one hung.

    An item hangs if it gives no answer for `seconds`. Raises what `look` raises.
    """
    out: list[Any] = []
    hung = _in_a_fork(items, look, seconds, out) if _fork_is_better() else False
    if not hung and len(out) < len(items) and not (out and isinstance(out[-1], _Raised)):
        hung = _in_a_thread(items[len(out) :], look, seconds, out)  # no fork, or it died, or it could not pickle
    if out and isinstance(out[-1], _Raised):
        raise out[-1].error
    return out, hung


class _Raised:
    """Carries what a look raised."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


def _looks(items: Sequence[T], look: Callable[[T], R], tell: Callable[[Any], None]) -> None:
    try:
        for item in items:
            tell(look(item))
    except BaseException as error:
        tell(_Raised(error))


def _in_a_thread(items: Sequence[T], look: Callable[[T], R], seconds: float, out: list[Any]) -> bool:
    """Fills `out` and returns whether a look hung."""
    told: list[Any] = []  # not `out`: a look that hung must not add to it later
    thread = threading.Thread(target=_looks, args=(items, look, told.append), name="bounded", daemon=True)
    thread.start()
    left_s, count = seconds, 0
    while thread.is_alive() and left_s > 0:
        thread.join(min(left_s, SLICE_S))
        left_s -= SLICE_S
        if len(told) > count:
            left_s, count = seconds, len(told)
    hung = thread.is_alive()
    out += told
    return hung


def _in_a_fork(items: Sequence[T], look: Callable[[T], R], seconds: float, out: list[Any]) -> bool:
    """Fills `out` and returns whether a look hung."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.dup2(theirs, 0)
            os.closerange(1, os.sysconf("SC_OPEN_MAX"))  # a fork that hangs must not keep a pipe or worker alive
            _looks(items, look, _tell)
        finally:
            os._exit(0)
    os.close(theirs)
    poll = select.poll()
    poll.register(ours, select.POLLIN)
    data, left_s = b"", seconds
    try:
        while left_s > 0:
            started = time.monotonic()
            if not poll.poll(1000 * min(left_s, SLICE_S)):
                left_s -= min(time.monotonic() - started, SLICE_S)
                continue
            left_s = seconds
            if not (piece := os.read(ours, 1 << 20)):
                os.waitpid(child, 0)
                return False
            data = _told(data + piece, out)
        return True
    finally:
        os.close(ours)
        if left_s <= 0:
            os.kill(child, signal.SIGKILL)  # it dies when the disk answers


def _tell(outcome: Any) -> None:
    """Sends an outcome from the fork to its parent, through the fork's stdin."""
    try:
        body = pickle.dumps(outcome)
    except Exception:
        os._exit(1)
    view = memoryview(_LENGTH.pack(len(body)) + body)
    while view:
        view = view[os.write(0, view) :]


def _told(data: bytes, out: list[Any]) -> bytes:
    """Moves the complete messages in `data` to `out` and returns the rest."""
    while len(data) >= _LENGTH.size and len(data) >= (end := _LENGTH.size + _LENGTH.unpack_from(data)[0]):
        out.append(pickle.loads(data[_LENGTH.size : end]))
        data = data[end:]
    return data


def _fork_is_better() -> bool:
    """Whether to fork. Not with several threads: a lock that another thread holds would stay locked in the fork."""
    with suppress(OSError):
        return hasattr(os, "fork") and _disks_that_hang() and len(os.listdir("/proc/self/task")) == 1  # noqa: PTH208
    return False


@cache
def _disks_that_hang() -> bool:
    """Whether such a disk is mounted. The kernel's list of mounts answers without touching the disks."""
    with open("/proc/self/mountinfo", "rb") as mounts:  # noqa: PTH123
        kinds = (line.partition(b" - ")[2].split(b" ")[0].decode() for line in mounts)
        return any(kind in HANGING or kind.startswith("fuse.") for kind in kinds)
