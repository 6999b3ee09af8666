"""Looks at many files without waiting for ever for any of them (see nsnet_cli/bounded.py)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from nsnet_cli.bounded import LOOK_S, until_hung

T = TypeVar("T")
R = TypeVar("R")


def look_at_each(items: Sequence[T], look: Callable[[T], R], seconds: float | None = None) -> list[R | None]:
    """Returns `look(item)` for each item, in order; None for one that does not answer in `seconds`.

    `look` must not raise.
    """
    seen: list[R | None] = []
    while len(seen) < len(items):
        done, hung = until_hung(items[len(seen) :], look, LOOK_S if seconds is None else seconds)
        seen += done
        if hung:
            seen.append(None)
    return seen
