"""How many cores this process may use."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """Returns at least 1. A container or `taskset` may allow fewer cores than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
