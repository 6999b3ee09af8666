"""Progress of long work: the library reports it here, and the program around it decides how it is shown.

    with progress("training", 40, "epochs") as bar:
        for epoch in epochs:
            ...
            bar.advance()

Nothing is shown until `show_with` is called. The command line shows a bar on a terminal and plain lines elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Progress:
    """One piece of work that is being counted. This class shows nothing; subclasses show it."""

    def advance(self, count: int = 1) -> None: ...

    def update(
        self, *, label: str | None = None, total: int | None = None, done: int | None = None, unit: str | None = None
    ) -> None:
        """Change the label, the totals, or what is counted. None leaves a value as it is."""

    def close(self, ok: bool = True) -> None:
        """The work has ended. `ok`: without an exception."""


Show = Callable[[str, int | None, str], Progress]
"""Takes a label, a total (None if unknown) and a unit. The unit "bytes" stands for a download."""


def _nothing(label: str, total: int | None, unit: str) -> Progress:
    return Progress()


_show: Show = _nothing  # not a ContextVar: work also begins in threads that other modules start


def show_with(show: Show | None) -> None:
    """Show all progress of this process with `show` from now on; None shows nothing."""
    global _show
    _show = show or _nothing


@contextmanager
def progress(label: str, total: int | None, unit: str = "files") -> Iterator[Progress]:
    """Yields a Progress that is closed when the block ends. Any thread may call it."""
    bar, ok = _show(label, total, unit), False
    try:
        yield bar
        ok = True
    finally:
        bar.close(ok)
