"""What `nsnet` does to its own process at start-up and at its end, and why. Only the program calls this, no library.

Importing nsnet_cli changes nothing of the program that imports it.
"""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress
from typing import NoReturn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nsnet_cli.video.pool import DecodePool

_pool: DecodePool | None = None
_kept: list[object] = []


def begin(arguments: list[str]) -> None:
    """Before anything is imported."""
    # numpy's threads spin for a tenth of a second after its import, and nothing here is large enough for them
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # A decoder comes up in the time that reading the command line takes. (Not where a stream is closed: the socket to
    # the process would get its number.)
    if arguments[:1] != ["tag"] or None in (sys.stdin, sys.stdout, sys.stderr):
        return
    from nsnet_cli.video.pool import DecodePool

    global _pool
    _pool = DecodePool()
    with suppress(OSError):  # no processes or files left: who opens a video later is told
        _pool.start()
    # So much is imported at first that collecting garbage takes 20 ms, and nothing of it is garbage.
    gc.disable()
    # OpenVINO's converter takes half of its import, and only exports need it (nets/export.py lets it in again).
    sys.modules["openvino.tools.ovc"] = None  # type: ignore[assignment]


def loaded() -> None:
    """Once all is imported: what is there stays, and garbage is collected as usual."""
    gc.freeze()
    gc.enable()


def decode_pool(timeout_s: float | None) -> DecodePool:
    """The pool that was started at first, else a new one."""
    global _pool
    from nsnet_cli.video.pool import DecodePool

    pool, _pool = _pool or DecodePool(), None
    pool.timeout_s = timeout_s
    return pool


def keep(thing: object) -> None:
    """Keep until the process ends: taking compiled networks apart takes 30 ms, and nobody waits for the memory."""
    _kept[:] = [thing]


def leave(code: int) -> NoReturn:
    """End the program at once: threads may still be inside native code, which a teardown would pull away from under
    them, and taking the interpreter apart takes longer than a clip's networks."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)
