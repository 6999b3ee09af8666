"""A call that may never come back: on a dead network disk, `stat` and `open` keep their thread in the kernel for ever.

Nothing can end such a thread. It is left behind, and whoever asked goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
LOOK_S = 30.0
"""What a look at a file (`stat`, `open`, its first bytes) may take. A disk that sleeps needs ten seconds to spin up."""
SLICE_S = 1.0
"""Longest single wait. A longer one was no waiting: this process was stopped (Ctrl-Z) or the machine slept."""


def bounded(call: Callable[[], T], seconds: float = LOOK_S) -> T:
    """What `call` returns or raises. Raises TimeoutError (an OSError) if it has not ended after `seconds` of waiting.

    It costs a thread, 0.1 ms: for many quick looks put them into one call.
    """
    outcome: list[T] = []
    failure: list[BaseException] = []
    ended = threading.Event()

    def target() -> None:
        try:
            outcome.append(call())
        except BaseException as error:
            failure.append(error)
        finally:
            ended.set()

    threading.Thread(target=target, name="bounded", daemon=True).start()
    left_s = seconds
    while not ended.wait(max(0.0, min(left_s, SLICE_S))):
        left_s -= SLICE_S
        if left_s <= 0:
            raise TimeoutError(f"no answer within {seconds:g} s")
    if failure:
        raise failure[0]
    return outcome[0]
