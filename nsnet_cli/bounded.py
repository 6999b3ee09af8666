"""Calls that may never come back: on a dead disk, `stat` and `open` keep whoever makes them in the kernel for ever.

Nothing can end such a call, nor the process that has a thread inside one. So it is made in a fork of this process where
disks of such kinds are mounted and this process has one thread (`nsnet tag` looks for its inputs before it starts any),
else in a thread. Either is left behind when it hangs.
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
"""What a look at a file (`stat`, `open`, its first bytes) may take. A disk that sleeps needs ten seconds to spin up."""
SLICE_S = 1.0
"""Longest single wait. A longer one was no waiting: this process was stopped (Ctrl-Z) or the machine slept."""
HANGING = ("fuse", "fuseblk", "nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "lustre", "glusterfs", "virtiofs")
"""Kinds of file systems that another program or machine answers for (all that begin with "fuse.")."""
_LENGTH = struct.Struct("<Q")


def bounded(call: Callable[[], T], seconds: float = LOOK_S) -> T:
    """What `call` returns or raises. Raises TimeoutError (an OSError) if it has not ended after `seconds` of waiting.

    It costs a thread (0.1 ms) or a fork (1 ms): for many quick looks there is `until_hung`. What `call` returns must be
    plain data, and it must change nothing but its own variables: it may run in another process.
    """
    done, hung = until_hung([call], lambda one: one(), seconds)
    if hung:
        raise TimeoutError(f"no answer within {seconds:g} s")
    return done[0]


def until_hung(items: Sequence[T], look: Callable[[T], R], seconds: float = LOOK_S) -> tuple[list[R], bool]:
    """`look(item)` of each in order, as many as ended, and whether the next one hung: no answer for `seconds`.

    Raises what `look` raises.
    """
    out: list[Any] = []
    hung = _in_a_fork(items, look, seconds, out) if _fork_is_better() else False
    if not hung and len(out) < len(items) and not (out and isinstance(out[-1], _Raised)):
        hung = _in_a_thread(items[len(out) :], look, seconds, out)  # no fork, or it died, or its words cannot travel
    if out and isinstance(out[-1], _Raised):
        raise out[-1].error
    return out, hung


class _Raised:
    """What a look raised."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


def _looks(items: Sequence[T], look: Callable[[T], R], tell: Callable[[Any], None]) -> None:
    try:
        for item in items:
            tell(look(item))
    except BaseException as error:
        tell(_Raised(error))


def _in_a_thread(items: Sequence[T], look: Callable[[T], R], seconds: float, out: list[Any]) -> bool:
    """Fills `out`; whether a look hung."""
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
    """Fills `out`; whether a look hung."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.dup2(theirs, 0)
            os.closerange(1, os.sysconf("SC_OPEN_MAX"))  # one that hangs must not keep a pipe or a worker alive
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
    """From the fork, through what is its stdin."""
    try:
        body = pickle.dumps(outcome)
    except Exception:
        os._exit(1)
    view = memoryview(_LENGTH.pack(len(body)) + body)
    while view:
        view = view[os.write(0, view) :]


def _told(data: bytes, out: list[Any]) -> bytes:
    """Move the whole messages of `data` to `out`; what is left."""
    while len(data) >= _LENGTH.size and len(data) >= (end := _LENGTH.size + _LENGTH.unpack_from(data)[0]):
        out.append(pickle.loads(data[_LENGTH.size : end]))
        data = data[end:]
    return data


def _fork_is_better() -> bool:
    """Not with more threads: a lock that another one, of Python's or anybody's, holds would stay held in the fork."""
    with suppress(OSError):
        return hasattr(os, "fork") and _disks_that_hang() and len(os.listdir("/proc/self/task")) == 1  # noqa: PTH208
    return False


@cache
def _disks_that_hang() -> bool:
    """Whether any is mounted. Asked of the kernel, which knows without touching them."""
    with open("/proc/self/mountinfo", "rb") as mounts:  # noqa: PTH123
        kinds = (line.partition(b" - ")[2].split(b" ")[0].decode() for line in mounts)
        return any(kind in HANGING or kind.startswith("fuse.") for kind in kinds)
