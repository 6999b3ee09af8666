"""Where the seconds of a run go. Nothing is counted until `begin` is called.

Steps follow each other in the main thread. Stages are done by many threads at once, so their seconds add up to more.

    with step("finding videos"):
        ...
    with stage("writing results"):
        ...
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Seconds = dict[str, tuple[float, int]]
"""By name, in order of the first end: seconds, and how often."""


@dataclass(slots=True)
class Stopwatch:
    """What was counted. Any thread may add to it."""

    began_s: float = field(default_factory=time.perf_counter)
    steps: Seconds = field(default_factory=dict)
    stages: Seconds = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, where: Seconds, name: str, seconds: float) -> None:
        with self._lock:
            before_s, times = where.get(name, (0.0, 0))
            where[name] = before_s + seconds, times + 1


_watch: Stopwatch | None = None  # not a ContextVar: stages also end in threads that other modules start


def begin(began_s: float | None = None) -> Stopwatch:
    """Counts from now on, in this whole process, and returns what is counted. `began_s`: when the program started."""
    global _watch
    _watch = Stopwatch() if began_s is None else Stopwatch(began_s)
    return _watch


def end() -> None:
    """Stops counting."""
    global _watch
    _watch = None


def spent(name: str, seconds: float) -> None:
    """Adds seconds to a stage, if anything is counted."""
    if _watch is not None:
        _watch.add(_watch.stages, name, seconds)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Adds the seconds of the block to a stage."""
    started_s = time.perf_counter()
    try:
        yield
    finally:
        spent(name, time.perf_counter() - started_s)


@contextmanager
def step(name: str) -> Iterator[None]:
    """Adds the seconds of the block to a step."""
    started_s = time.perf_counter()
    try:
        yield
    finally:
        if _watch is not None:
            _watch.add(_watch.steps, name, time.perf_counter() - started_s)
