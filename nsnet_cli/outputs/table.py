"""The table for people: a block of lines per video, one line per tag, written when each video ends."""

from __future__ import annotations

import io
from collections.abc import Iterable

from nsnet_cli.outputs.words import clock
from nsnet_cli.text import harmless, printable
from nsnet_cli.types import VideoResult

SHARE_OF_PATH = 0.45
"""The video's name takes at most this share of the width; longer names fold."""
WIDE = 10_000
"""The width if stdout is a file: no line folds."""


class TableRows:
    """Head and rows as text. Column widths are fixed at the start, so that rows need not wait for others."""

    def __init__(self, paths: Iterable[str], width: int | None, color: bool) -> None:
        from rich.cells import cell_len
        from rich.console import Console

        self._out = io.StringIO()
        self._console = Console(
            file=self._out,
            width=width or WIDE,
            force_terminal=color,
            color_system="standard" if color else None,
            highlight=False,
            markup=False,
            emoji=False,
            legacy_windows=False,
        )
        widest = max((cell_len(printable(path)) for path in paths), default=5)
        most = int(width * SHARE_OF_PATH) if width else widest
        self._path_width = max(5, min(widest, most))

    def head(self) -> str:
        return self._render([("Video", "Length", "Tag", "Score", "Seen at")], "bold")

    def row(self, result: VideoResult) -> str:
        name = printable(result.path)
        length = clock(result.duration_s, 0) if result.duration_s is not None else ""
        if result.error is not None:
            return self._render(
                [(name, "error", f"{result.error.kind}: {harmless(result.error.message)}", "", "")], "red"
            )
        if not result.tags:
            return self._render([(name, length, "(no tag above the threshold)", "", "")], "")
        lines = []
        for tag in result.tags:
            times = sorted({clock(evidence.pts_s) for evidence in tag.evidence}, key=_as_number)
            lines.append((name, length, printable(tag.name), f"{tag.score:.2f}", " ".join(times)))
            name = length = ""
        return self._render(lines, "")

    def tail(self) -> str:
        return ""

    def _render(self, lines: list[tuple[str, str, str, str, str]], style: str) -> str:
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(width=self._path_width, overflow="fold")
        longest = max(len(line[1]) for line in lines)
        table.add_column(width=max(7, longest), justify="right")  # a rare 10 hours only shift one row
        table.add_column(min_width=24, overflow="fold")
        table.add_column(min_width=5, justify="right")
        table.add_column(overflow="fold")
        for number, line in enumerate(lines):
            first = style or ("bold" if number == 0 else "")
            table.add_row(*(Text(cell, style=first if column in (2, 3) else style) for column, cell in enumerate(line)))
        self._console.print(table)
        text = self._out.getvalue()
        self._out.seek(0)
        self._out.truncate()
        return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def _as_number(stamp: str) -> tuple[int, str]:
    return len(stamp), stamp
