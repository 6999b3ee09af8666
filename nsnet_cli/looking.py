"""Many quick looks at files, none of which may hold the caller for ever (see nsnet_cli/bounded.py)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from nsnet_cli.bounded import LOOK_S, SLICE_S

T = TypeVar("T")
R = TypeVar("R")


def look_at_each(items: Sequence[T], look: Callable[[T], R], seconds: float | None = None) -> list[R | None]:
    """`look(item)` of each, in order; None for one that had not ended after `seconds`. `look` must not raise.

    One thread does them all; it is left behind, and another begun, where a look hangs.
    """
    seen: list[R | None] = []
    while len(seen) < len(items):
        part, hung = _look_until_hung(items[len(seen) :], look, LOOK_S if seconds is None else seconds)
        seen += part
        if hung:
            seen.append(None)
    return seen


def _look_until_hung(items: Sequence[T], look: Callable[[T], R], seconds: float) -> tuple[list[R], bool]:
    out: list[R] = []
    ended = threading.Event()
    failure: list[BaseException] = []

    def work() -> None:
        try:
            for item in items:
                out.append(look(item))
        except BaseException as error:
            failure.append(error)
        finally:
            ended.set()

    threading.Thread(target=work, name="look", daemon=True).start()
    left_s, count = seconds, 0
    while not ended.wait(max(0.0, min(left_s, SLICE_S))):
        left_s -= SLICE_S
        if len(out) > count:
            left_s, count = seconds, len(out)
        elif left_s <= 0:
            return list(out), True
    if failure:
        raise failure[0]
    return out, False
