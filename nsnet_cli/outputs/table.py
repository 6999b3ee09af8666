"""The table for people: a block of lines per video, one line per tag, written when each video ends."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

from nsnet_cli.outputs.shown import certain, figure, fitted, guesses, judged, looked_at, mark, nothing_certain, when
from nsnet_cli.outputs.words import clock
from nsnet_cli.text import harmless, printable
from nsnet_cli.types import Tag, VideoResult

MOST_OF_PATH, LEAST_OF_PATH = 0.45, 0.25
"""The video's name takes at most this share of the width; longer names fold. On a narrow terminal it takes less."""
WIDE = 10_000
"""The width if stdout is a file: no line folds."""
TAG_WIDTH, LEAST_TAG_WIDTH, SEEN_WIDTH, LEAST_SEEN_WIDTH = 24, 16, 18, 12
"""In cells. Where there is no space for the least of `Seen`, the table does without it."""
OTHERS_WIDTH = 7 + 5 + 5 * 2
"""What length, score and the gaps take."""


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
        wide = width or WIDE
        most = min(wide * MOST_OF_PATH, max(wide * LEAST_OF_PATH, wide - OTHERS_WIDTH - LEAST_TAG_WIDTH - SEEN_WIDTH))
        self._path_width = max(5, min(widest, int(most)))
        self._left = wide - self._path_width - OTHERS_WIDTH  # for the tag and when it is seen
        self._tag_width = max(min(TAG_WIDTH, self._left - SEEN_WIDTH), min(LEAST_TAG_WIDTH, self._left), 1)
        self._columns = 5 if self._left - self._tag_width >= LEAST_SEEN_WIDTH else 4

    def head(self) -> str:
        return self._render([("Video", "Length", "Tag", "Score", "Seen")[: self._columns]], ["bold"], whole=True)

    def row(self, result: VideoResult) -> str:
        name = printable(result.path)
        length = clock(result.duration_s, 0) if result.duration_s is not None else ""
        if result.error is not None:
            words = f"{result.error.kind}: {harmless(result.error.message)}"
            return self._render([(name, "error", words)], ["red"], whole=True)
        tags, text = [*certain(result), *guesses(result)], ""
        message = nothing_certain(result) or ("" if tags else "(no tag above the threshold)")
        if message:
            text, name, length = self._render([(name, length, message)], [""]), "", ""
        lines, styles = [], []
        for tag in tags:
            shown = printable(tag.name) + mark(tag, result)
            cells = (name, length, shown, figure(tag, result), self._seen(tag, shown, result))
            lines.append(cells[: self._columns])
            styles.append("dim" if mark(tag, result) else "bold" if len(lines) == 1 else "")
            name = length = ""
        return text + self._render(lines, styles)

    def tail(self) -> str:
        return ""

    def _seen(self, tag: Tag, shown: str, result: VideoResult) -> str:
        """When a tag is seen: its spans; the times of its frames or clips if nothing was judged."""
        from rich.cells import cell_len

        times = list(dict.fromkeys(map(looked_at, sorted(tag.evidence, key=lambda each: each.pts_s))))
        width = self._left - max(self._tag_width, cell_len(shown))
        return fitted([when(span) for span in tag.spans] if judged(result) else times, max(width, LEAST_SEEN_WIDTH))

    def _render(self, lines: Sequence[tuple[str, ...]], styles: Sequence[str], whole: bool = False) -> str:
        """Lines of all columns, or of 3: then the last cell takes the place of the rest.

        A line's style is for its tag and score, or for the whole line.
        """
        from rich.table import Table
        from rich.text import Text

        if not lines:
            return ""
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(width=self._path_width, overflow="fold")
        longest = max(len(line[1]) for line in lines)
        table.add_column(width=max(7, longest), justify="right")  # a rare 10 hours only shift one row
        table.add_column(min_width=self._tag_width, overflow="fold")
        if len(lines[0]) > 3:
            table.add_column(min_width=5, justify="right")
        if len(lines[0]) > 4:
            table.add_column(overflow="fold")
        for line, style in zip(lines, styles, strict=True):
            cells = (Text(cell, style=style if whole or place in (2, 3) else "") for place, cell in enumerate(line))
            table.add_row(*cells)
        self._console.print(table)
        text = self._out.getvalue()
        self._out.seek(0)
        self._out.truncate()
        return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"
