"""Progress as the bar of a terminal. Separate from progress.py because rich takes 0.1 s to import."""

from __future__ import annotations

import threading
from typing import IO

from rich.console import Console as RichConsole
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as RichProgress
from rich.text import Text

from nsnet_cli.progress import Progress


class RateColumn(ProgressColumn):
    """1.42/s, or nothing while it is not known."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.2f}/s" if speed else "", style="progress.data.speed")


class LiveProgress(Progress):
    """Label, bar, how much is done, rate and time left. To write other lines: pause(), write, resume().

    `over`: the bar on the terminal so far. It is paused until this one closes, in the thread that made this one.
    """

    def __init__(
        self, stream: IO[str], label: str, total: int | None, unit: str, over: LiveProgress | None = None
    ) -> None:
        self.over, self.closed = over, False
        if over is not None:
            over.pause()
        self._lock = threading.RLock()
        self._download = unit == "bytes"
        self._rich = RichProgress(
            TextColumn("{task.description}", markup=False),
            *(_download_columns() if self._download else _count_columns()),
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

    def close(self, ok: bool = True) -> None:
        self.closed = True
        self._rich.live.transient = not self._download  # the bar of a download stays on the terminal
        self._rich.stop()
        if self.over is not None:
            self.over.resume()

    def pause(self) -> None:
        self._lock.acquire()
        self._rich.stop()

    def resume(self) -> None:
        if not self.closed:
            self._rich.start()
        self._lock.release()


def _count_columns() -> tuple[ProgressColumn, ...]:
    unit = TextColumn("{task.fields[unit]}", markup=False)
    columns = (BarColumn(bar_width=None), MofNCompleteColumn(), unit, RateColumn(), TimeElapsedColumn())
    return (*columns, TextColumn("left"), TimeRemainingColumn())


def _download_columns() -> tuple[ProgressColumn, ...]:
    return (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
