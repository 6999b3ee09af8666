"""How far a run is: shown as a plain line now and then, or not at all. The bar of a terminal is in live_progress.py."""

from __future__ import annotations

import time
from collections.abc import Callable

from nsnet_cli.text import clock

PLAIN_INTERVAL_S = 10.0
"""Between two plain progress lines where stderr is no terminal."""


class Progress:
    """How far a run is. This one shows nothing; the others show it."""

    def advance(self, count: int = 1) -> None: ...

    def update(
        self, *, label: str | None = None, total: int | None = None, done: int | None = None, unit: str | None = None
    ) -> None:
        """Change the text beside the bar, or the totals (a stage that is measured in frames)."""

    def close(self) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class PlainProgress(Progress):
    """One line now and then: how many, how fast, how long still."""

    def __init__(self, say: Callable[[str], None], label: str, total: int | None, unit: str) -> None:
        self.say, self.label, self.total, self.unit = say, label, total, unit
        self.done = 0
        self.start = self.last = time.monotonic()

    def advance(self, count: int = 1) -> None:
        self.done += count
        now = time.monotonic()
        if now - self.last >= PLAIN_INTERVAL_S and self.done != self.total:
            self.last = now
            rate = self.done / (now - self.start)
            left = f", {clock((self.total - self.done) / rate)} left" if self.total and rate > 0 else ""
            of = f"/{self.total}" if self.total else ""
            self.say(f"{self.label}: {self.done}{of} {self.unit}, {rate:.2f} a second{left}")

    def update(
        self, *, label: str | None = None, total: int | None = None, done: int | None = None, unit: str | None = None
    ) -> None:
        self.label = label if label is not None else self.label
        self.total = total if total is not None else self.total
        self.unit = unit if unit is not None else self.unit
        if done is not None:
            self.advance(done - self.done)
