"""Progress as plain lines, for logs and pipes. The bar of a terminal is in live_progress.py."""

from __future__ import annotations

import time
from collections.abc import Callable

from nsnet_cli.progress import Progress
from nsnet_cli.text import clock, megabytes

RUN_INTERVAL_S = 10.0
DOWNLOAD_INTERVAL_S = 5.0


class PlainProgress(Progress):
    """A line every 10 s: how many are done, how fast, how much time is left."""

    interval_s = RUN_INTERVAL_S

    def __init__(self, write: Callable[[str], None], label: str, total: int | None, unit: str) -> None:
        self.write, self.label, self.total, self.unit = write, label, total, unit
        self.done = 0
        self.start = self.last = time.monotonic()

    def advance(self, count: int = 1) -> None:
        self.done += count
        now = time.monotonic()
        if now - self.last >= self.interval_s and self.done != self.total:
            self.last = now
            self.write(self.line(now - self.start))

    def line(self, passed_s: float) -> str:
        rate = self.done / passed_s
        left = f", {clock((self.total - self.done) / rate)} left" if self.total and rate > 0 else ""
        of = f"/{self.total}" if self.total else ""
        return f"{self.label}: {self.done}{of} {self.unit}, {rate:.2f} per second{left}"

    def update(
        self, *, label: str | None = None, total: int | None = None, done: int | None = None, unit: str | None = None
    ) -> None:
        self.label = label if label is not None else self.label
        self.total = total if total is not None else self.total
        self.unit = unit if unit is not None else self.unit
        if done is not None:
            self.advance(done - self.done)


class PlainDownload(PlainProgress):
    """A line when a download starts, one every 5 s, and one when it is complete."""

    interval_s = DOWNLOAD_INTERVAL_S

    def __init__(self, write: Callable[[str], None], label: str, total: int | None) -> None:
        super().__init__(write, label, total, "bytes")
        write(f"downloading {label}, {megabytes(total)}")

    def line(self, passed_s: float) -> str:
        return f"  {self.label}: {megabytes(self.done)} of {megabytes(self.total)}"

    def close(self, ok: bool = True) -> None:
        if ok:
            self.write(f"downloaded {self.label}, {megabytes(self.done)} in {time.monotonic() - self.start:.1f} s")
