"""The progress bar of a terminal. Apart from progress.py because it alone needs rich, which takes 0.1 s to import."""

from __future__ import annotations

import threading
from typing import IO

from rich.console import Console as RichConsole
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress
from rich.text import Text

from nsnet_cli.cli.progress import Progress


class RateColumn(ProgressColumn):
    """1.42/s, or nothing while it is not known."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.2f}/s" if speed else "", style="progress.data.speed")


class LiveProgress(Progress):
    """Label, bar, 12/60 files, rate, elapsed and left. Lines written beside it: pause(), write, resume()."""

    def __init__(self, stream: IO[str], label: str, total: int | None, unit: str) -> None:
        self._lock = threading.RLock()
        self._rich = RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}", markup=False),
            RateColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=RichConsole(file=stream),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            refresh_per_second=8,
        )
        self._task = self._rich.add_task(label, total=total, unit=unit)
        self._rich.start()

    def advance(self, count: int = 1) -> None:
        self._rich.advance(self._task, count)

    def update(
        self, *, label: str | None = None, total: int | None = None, done: int | None = None, unit: str | None = None
    ) -> None:
        if unit is not None:
            self._rich.update(self._task, unit=unit)
        self._rich.update(self._task, description=label, total=total, completed=done)

    def close(self) -> None:
        self._rich.stop()

    def pause(self) -> None:
        self._lock.acquire()
        self._rich.stop()

    def resume(self) -> None:
        self._rich.start()
        self._lock.release()
