"""What a person says about videos: the truth that `nsnet calibrate` learns from.

A file with the columns `path,right` says which tags are right, in WordNet ids or names, several as `tag;tag`. It may
have `unjudged` (tags that are neither right nor wrong), `weight`, `source` and `part`. Lines that begin with # are
comments. Everything else that `nsnet train` takes is read too: there a video's labels are right.

- right: the most specific tags that are right; what stands over them is right too. Empty: there is nothing to name.
- weight: how much the video counts, at most 1. Below 1 it was made and not found: nothing is measured on it.
- source: what videos share, a recording for example. Without it every video is a source of its own.
- part: a name for some of the rows, to read only these.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from nsnet_cli.errors import NoInputError, UsageError
from nsnet_cli.labelled.labels import (
    LabelledVideo,
    LabelSet,
    label_set,
    read_labels,
    read_text,
    shared_source,
    split_labels,
)


def read_judged(source: Path, *, root: Path | None = None, part: str | None = None) -> LabelSet:
    """Reads what is right in videos, from a label file, a folder of class folders, or a file with a column `right`.

    `root` and `part` are for files with that column: the folder that paths are relative to (None: the file's own), and
    the part to read (None: all rows). Raises UsageError with line and value, NoInputError if no video is left.
    """
    if not source.is_file():
        return read_labels(source)
    columns, rows = _rows(source)
    if "right" not in columns:
        return read_labels(source)
    if "path" not in columns:
        raise UsageError(
            f"{source}: the header is {','.join(columns)!r}; it has no column path",
            "begin it with path,right[,unjudged]",
        )
    chosen = [(where, row) for where, row in rows if part is None or "part" not in columns or row["part"] == part]
    if rows and not chosen:
        parts = ", ".join(sorted({row["part"] for _, row in rows}))
        raise NoInputError(f"{source} has no row with part {part!r}", f"its parts: {parts}")
    if nameless := [where for where, row in chosen if not row["path"]]:
        raise UsageError(f"{nameless[0]}: the path is empty", "give the video's path, or begin a comment with #")
    base = root or source.parent
    videos = [
        LabelledVideo(
            base / row["path"],
            split_labels(row["right"], where),
            where,
            source=shared_source(row),
            unjudged=split_labels(row.get("unjudged", ""), where),
            weight=_weight(row.get("weight", ""), where),
        )
        for where, row in chosen
    ]
    return label_set(source, videos, f"{source} has a header but no rows")


def _weight(text: str, where: str) -> float:
    try:
        weight = float(text) if text else 1.0
    except ValueError:
        weight = 0.0
    if not 0 < weight <= 1:
        raise UsageError(
            f"{where}: the weight {text!r} is not between 0 and 1", "give more than 0 and at most 1, or leave it empty"
        )
    return weight


def _rows(source: Path) -> tuple[list[str], list[tuple[str, dict[str, str]]]]:
    """Returns the columns of a file, and its rows that are not empty, each with its place. Cells are stripped."""
    lines = read_text(source).split("\n")
    kept = ["" if line.startswith("#") or not line.strip() else line for line in lines]  # keeps the line numbers
    above = next((n for n, line in enumerate(kept) if line), 0)
    reader = csv.reader(kept[above:], skipinitialspace=True)
    header: list[str] = []
    rows = []
    try:
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if not any(cells):
                continue
            if not header:
                header = [cell.lower() for cell in cells]
                continue
            where = f"{source} line {above + reader.line_num}"
            if "right" in header and any(cells[len(header) :]):
                message = f"{where}: {cells[len(header)]!r} has no column; the header has {len(header)}"
                raise UsageError(message, "write several tags as 'a;b'; put quotes around a cell that contains a comma")
            cells += [""] * (len(header) - len(cells))
            rows.append((where, dict(zip(header, cells, strict=False))))
    except csv.Error as error:
        raise UsageError(f"{source} line {above + reader.line_num}: {error}", "save it as CSV in UTF-8") from error
    return header, rows


def together(sets: Sequence[LabelSet]) -> LabelSet:
    """Returns one set of all videos. Raises UsageError for a video that is in two."""
    videos = tuple(video for found in sets for video in found.videos)
    seen: dict[Path, str] = {}
    for video in videos:
        real = video.path.resolve()
        if real in seen:
            raise UsageError(f"{video.where}: {video.path} is already at {seen[real]}", "name each video once")
        seen[real] = video.where
    return LabelSet(sets[0].source, videos, tuple(video for found in sets for video in found.missing))
