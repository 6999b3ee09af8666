"""What `find` answers, and how it is shown: hits as JSON and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nsnet_cli.outputs.shown import percent, when
from nsnet_cli.records import dataclass
from nsnet_cli.text import harmless, printable
from nsnet_cli.types import Span

if TYPE_CHECKING:
    from nsnet_cli.moments.cut import Cut

WIDE = 10_000
"""The width if stdout is a file: no line folds."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A stretch of a video that answers a question."""

    path: str
    """As it was given when the video was tagged."""
    source: str
    """Absolute, links followed."""
    duration_s: float | None
    start_s: float
    end_s: float
    at_s: float
    """The moment to show."""
    tag: str | None = None
    """The name that was asked for. None: the question was a picture."""
    tag_id: str | None = None
    probability: float | None = None
    score: float | None = None
    certain: bool = False
    seen_as: str | None = None
    """The most specific certain tag below it in this stretch: minivan, for car."""
    similarity: float | None = None
    """Of a question that was a picture: the cosine, at most 1."""


def hit_dict(hit: Hit, clip: Cut | None = None) -> dict[str, Any]:
    """The object of `nsnet find --json`, in its documented order."""
    return {
        "path": hit.path,
        "start_s": round(hit.start_s, 6),
        "end_s": round(hit.end_s, 6),
        "at_s": round(hit.at_s, 6),
        "tag": hit.tag,
        "tag_id": hit.tag_id,
        "seen_as": hit.seen_as,
        "probability": _short(hit.probability),
        "score": _short(hit.score),
        "certain": hit.certain,
        "similarity": _short(hit.similarity),
        "duration_s": None if hit.duration_s is None else round(hit.duration_s, 6),
        "source": hit.source,
        "clip": None if clip is None else str(clip.path),
        "clip_start_s": None if clip is None else round(clip.start_s, 6),
        "clip_end_s": None if clip is None else round(clip.end_s, 6),
    }


def hit_words(hit: Hit) -> str:
    """What is seen: 'car: minivan', 'dog?' for a guess. Empty where the question was a picture."""
    if hit.tag is None:
        return ""
    below = f": {hit.seen_as}" if hit.seen_as else ""
    return harmless(hit.tag + below) + ("" if hit.certain or hit.probability is None else "?")


def hit_figure(hit: Hit) -> str:
    """'95 %', the probability; '0.83', a similarity, or the score where nothing was calibrated."""
    if hit.probability is not None:
        return percent(hit.probability)
    return f"{hit.similarity if hit.similarity is not None else hit.score or 0.0:.2f}"


def hit_when(hit: Hit) -> str:
    return when(Span(hit.start_s, hit.end_s, 0.0))


def table(rows: Sequence[Sequence[str]], right: Sequence[int], width: int | None, color: bool) -> str:
    """A table for people. The first row is its head; `right` are columns of figures; the first column may fold."""
    import io

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    out = io.StringIO()
    console = Console(
        file=out,
        width=width or WIDE,
        force_terminal=color,
        color_system="standard" if color else None,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
    grid = Table.grid(padding=(0, 2, 0, 0))
    for column in range(len(rows[0])):
        grid.add_column(overflow="fold", justify="right" if column in right else "left", no_wrap=column > 0)
    for number, row in enumerate(rows):
        style = "bold" if number == 0 else "dim" if any(cell.endswith("?") for cell in row[1:]) else ""
        grid.add_row(*(Text(cell, style=style) for cell in row))
    console.print(grid)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def hits_table(hits: Sequence[Hit], width: int | None, color: bool) -> str:
    """Video, when, tag and figure of each hit, the best first."""
    tagged = any(hit.tag is not None for hit in hits)
    head = ["Video", "When", *(["Tag"] if tagged else []), "Score" if tagged else "Alike"]
    rows = [head]
    for hit in hits:
        rows.append([printable(hit.path), hit_when(hit), *([hit_words(hit)] if tagged else []), hit_figure(hit)])
    return table(rows, [len(head) - 1], width, color)


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")
