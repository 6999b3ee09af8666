"""What a download tells its user: a bar on a terminal, plain lines elsewhere, nothing when asked to be quiet.

The bar goes to stderr, lines go to the logger (which the command line shows, or not with --quiet).
"""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import Protocol

PLAIN_LINE_EVERY_S = 5.0

logger = logging.getLogger("nsnet_cli.weights")


class Reporter(Protocol):
    def start(self, name: str, total_bytes: int | None) -> None: ...

    def advance(self, done_bytes: int) -> None: ...

    def finish(self, ok: bool) -> None: ...

    def note(self, text: str) -> None: ...


class Lines:
    """A line at the start, one every few seconds, one at the end: for logs and pipes."""

    def start(self, name: str, total_bytes: int | None) -> None:
        self.name, self.total, self.done = name, total_bytes, 0
        self.began = self.last = time.monotonic()
        self.note(f"downloading {name}, {megabytes(total_bytes)}")

    def advance(self, done_bytes: int) -> None:
        self.done = done_bytes
        now = time.monotonic()
        if now - self.last >= PLAIN_LINE_EVERY_S:
            self.last = now
            self.note(f"  {self.name}: {megabytes(self.done)} of {megabytes(self.total)}")

    def finish(self, ok: bool) -> None:
        if ok:
            self.note(f"downloaded {self.name}, {megabytes(self.done)} in {time.monotonic() - self.began:.1f} s")

    def note(self, text: str) -> None:
        logger.info("%s", text)


class Bar:
    """A rich progress bar on a terminal."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console, self.live = Console(stderr=True), False

    def start(self, name: str, total_bytes: int | None) -> None:
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self.bar = Progress(*columns, TimeRemainingColumn(), console=self.console)
        self.task = self.bar.add_task(name, total=total_bytes)
        self.bar.start()
        self.live = True

    def advance(self, done_bytes: int) -> None:
        self.bar.update(self.task, completed=done_bytes)

    def finish(self, ok: bool) -> None:
        self.bar.stop()
        self.live = False

    def note(self, text: str) -> None:
        if self.live:  # above the bar
            self.console.print(text, highlight=False, markup=False, soft_wrap=True)
        else:
            logger.info("%s", text)


def current() -> Reporter:
    """A bar on a terminal, lines elsewhere."""
    # The command line's console hangs on the logger; it knows of --quiet.
    consoles = [getattr(handler, "console", None) for handler in logging.getLogger("nsnet_cli").handlers]
    quiet = any(getattr(console, "quiet", False) for console in consoles)
    unwanted = os.environ.get("HF_HUB_DISABLE_PROGRESS_BARS", "").upper() in ("1", "ON", "YES", "TRUE")
    return Bar() if sys.stderr.isatty() and not quiet and not unwanted else Lines()


def note(text: str) -> None:
    current().note(text)


def megabytes(size_bytes: int | None) -> str:
    """12345678 -> '12.3 MB' (powers of ten, as the Hub shows sizes)."""
    if size_bytes is None:
        return "size unknown"
    if size_bytes >= 1e9:
        return f"{size_bytes / 1e9:.1f} GB"
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 1e5 else f"{size_bytes / 1e3:.1f} kB"
