"""What the `nsnet` program changes in its own process at start and at the end, and why.

Only the program calls this: importing nsnet_cli changes nothing in the program that imports it.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from contextlib import suppress
from typing import NoReturn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nsnet_cli.stopwatch import Stopwatch
    from nsnet_cli.video.pool import DecodePool

_began_s: float | None = None
"""None: this is not the program's own process. One that runs a command inside itself goes on after it."""
_pool: DecodePool | None = None
_kept: list[object] = []


def begin(arguments: list[str]) -> None:
    """Runs before anything else is imported."""
    global _began_s
    _began_s = time.perf_counter()
    # numpy's threads spin for 0.1 s after its import, and no array here is large enough to need them
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # A decode process starts while the command line is read. Not if a standard stream is closed: the socket to the
    # process would get the stream's number.
    if arguments[:1] != ["tag"] or None in (sys.stdin, sys.stdout, sys.stderr):
        return
    from nsnet_cli.video.pool import DecodePool

    global _pool
    _pool = DecodePool()
    with suppress(OSError):  # no processes or files left: opening a video will report it
        _pool.start()
    # Collecting garbage during the imports takes 20 ms and finds none.
    gc.disable()
    # The converter takes half of OpenVINO's import time. Only exports need it (nets/export.py allows it again).
    sys.modules["openvino.tools.ovc"] = None  # type: ignore[assignment]


def stopwatch() -> Stopwatch:
    """Begins to count where the seconds go, since the program started."""
    from nsnet_cli import stopwatch

    watch = stopwatch.begin(_began_s)
    watch.add(watch.steps, "starting, up to the command", time.perf_counter() - watch.began_s)
    return watch


def loaded() -> None:
    """Runs once all is imported: garbage is collected again, but not among what is loaded now."""
    if _began_s is not None:
        gc.freeze()
        gc.enable()


def decode_pool(timeout_s: float | None) -> DecodePool:
    """Returns the pool that `begin` started, or else a new one."""
    global _pool
    from nsnet_cli.video.pool import DecodePool

    pool, _pool = _pool or DecodePool(), None
    pool.timeout_s = timeout_s
    return pool


def keep(thing: object) -> None:
    """Keeps a thing until the process ends: freeing compiled networks takes 30 ms and gains nothing."""
    if _began_s is not None:
        _kept.append(thing)


def leave(code: int) -> NoReturn:
    """Ends the program at once, without the interpreter's usual clean-up.

    The clean-up would unload native code that threads may still be running. It also takes longer than the networks
    need for a clip.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)
