"""How many cores this process may use."""

from __future__ import annotations

import os

_most: int | None = None


def usable_cores() -> int:
    """Returns at least 1. A container or `taskset` may allow fewer cores than the machine has."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores if _most is None else min(cores, _most)


def use_at_most(cores: int) -> None:
    """Limits this process, which shares its machine with others: an actor of Ray has only the cores it asked for."""
    global _most
    _most = cores
