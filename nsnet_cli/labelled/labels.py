"""Label files and folders: which video shows what, and where known, when.

A label file is a CSV with a header: `path,label[,split][,segments]`, other columns are ignored.

- path: the video, relative to the CSV's folder (or absolute)
- label: one tag, or several as `tag;tag`; for a fixed vocabulary WordNet ids or names
- split: train, val or test; empty = the tool decides
- segments: when the label can be seen, `start-end;start-end` in seconds from the video's start

A folder is a label file too: each of its folders is a class, the videos in it (at any depth) are its examples.
"""

from __future__ import annotations

import csv
import difflib
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nsnet_cli.errors import NoInputError, UsageError
from nsnet_cli.inputs import find_videos
from nsnet_cli.types import TagName

Split = Literal["train", "val", "test"]
SPLITS: dict[str, Split | None] = {
    "": None, "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test",
}  # fmt: skip
SEGMENT = re.compile(r"\s*([0-9.]+)\s*-\s*([0-9.]+)\s*")


@dataclass(frozen=True, slots=True)
class LabelledVideo:
    """One row: a video, what it shows, and the stretches (start_s, end_s) where it shows it (empty: not known)."""

    path: Path
    labels: tuple[str, ...]
    where: str
    """For messages: 'labels.csv line 3', or the file itself."""
    split: Split | None = None
    segments: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class LabelSet:
    source: Path
    videos: tuple[LabelledVideo, ...]
    missing: tuple[LabelledVideo, ...] = ()
    """Rows whose file is not there; `videos` does not have them."""

    @property
    def names(self) -> tuple[str, ...]:
        """All labels, sorted."""
        return tuple(sorted({label for video in self.videos for label in video.labels}))

    @property
    def multi_label(self) -> bool:
        return any(len(video.labels) > 1 for video in self.videos)


def read_labels(source: Path) -> LabelSet:
    """The labelled videos of a CSV or a folder of class folders.

    Raises UsageError naming the line and value that is wrong, NoInputError when no video is left.
    """
    if source.is_dir():
        rows = list(_folder_rows(source))
        problem = f"{source} has no folder with videos in it; expected {source}/CLASS/VIDEO"
    elif source.is_file():
        rows = list(_csv_rows(source))
        problem = f"{source} has a header and no rows"
    else:
        raise NoInputError(f"no label file or folder {source}", "a CSV with columns path,label or a folder per class")
    if not rows:
        raise NoInputError(problem)
    present = tuple(row for row in rows if row.path.is_file())
    missing = tuple(row for row in rows if not row.path.is_file())
    if not present:
        raise NoInputError(
            f"none of the {len(rows)} videos of {source} is there; the first is {missing[0].path}",
            "paths are relative to the label file's folder",
        )
    return LabelSet(source, present, missing)


def _folder_rows(folder: Path) -> Iterator[LabelledVideo]:
    for child in sorted(folder.iterdir()):
        if child.is_dir() and not child.name.startswith("."):
            for video in find_videos([str(child)]).videos:
                if video.error is None:
                    yield LabelledVideo(Path(video.path), (child.name,), video.path)


def _csv_rows(source: Path) -> Iterator[LabelledVideo]:
    seen: dict[Path, str] = {}
    try:
        with source.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle, skipinitialspace=True)
            columns = [column.strip().lower() for column in reader.fieldnames or ()]
            if not {"path", "label"} <= set(columns):
                raise UsageError(
                    f"{source} line 1: the header is {','.join(columns)!r}; it needs the columns path and label",
                    "path,label[,split][,segments]",
                )
            reader.fieldnames = columns
            for row in reader:
                where = f"{source} line {reader.line_num}"
                video = _csv_row(row, source.parent, where)
                if video.path in seen:
                    raise UsageError(
                        f"{where}: path {row['path']!r} is already at {seen[video.path]}",
                        "one line a video; several labels are joined with ';'",
                    )
                seen[video.path] = where
                yield video
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"cannot read {source}: {error}", "label files are CSV in UTF-8") from error


def _csv_row(row: dict[str, str | None], base: Path, where: str) -> LabelledVideo:
    path = (row["path"] or "").strip()
    if not path:
        raise UsageError(f"{where}: the path is empty", "give the video's path, relative to the label file's folder")
    labels = tuple(dict.fromkeys(part.strip() for part in (row["label"] or "").split(";") if part.strip()))
    if not labels:
        raise UsageError(f"{where}: {path!r} has no label", "give one, several as 'a;b', or take the line out")
    split = (row.get("split") or "").strip().lower()
    if split not in SPLITS:
        raise UsageError(f"{where}: split {split!r} is unknown", "train, val, test or empty")
    return LabelledVideo(base / path, labels, where, SPLITS[split], parse_segments(row.get("segments") or "", where))


def parse_segments(text: str, where: str) -> tuple[tuple[float, float], ...]:
    """'7.5-9;20-22.25' -> ((7.5, 9.0), (20.0, 22.25)). Raises UsageError."""
    segments = []
    for part in text.split(";"):
        if not part.strip():
            continue
        match = SEGMENT.fullmatch(part)
        try:
            start_s, end_s = (float(value) for value in match.groups()) if match else (math.nan, math.nan)
        except ValueError:
            start_s = end_s = math.nan
        if not start_s < end_s:
            raise UsageError(f"{where}: segment {part.strip()!r} is not start-end", "seconds, as in 7.5-9;20-22.25")
        segments.append((start_s, end_s))
    return tuple(segments)


def label_indices(videos: Sequence[LabelledVideo], vocabulary: Sequence[TagName]) -> list[tuple[int, ...]]:
    """Each video's labels as positions in the vocabulary, by id or by name (case ignored).

    Raises UsageError naming the first line with a label that the vocabulary lacks, or whose name stands for two tags.
    """
    by_id = {tag.id.lower(): index for index, tag in enumerate(vocabulary)}
    times = Counter(tag.name.lower() for tag in vocabulary)
    by_name = {tag.name.lower(): index for index, tag in enumerate(vocabulary)}
    found = []
    for video in videos:
        indices = []
        for label in video.labels:
            key = label.lower()
            if key not in by_id and times[key] > 1:
                ids = ", ".join(tag.id for tag in vocabulary if tag.name.lower() == key)
                raise UsageError(f"{video.where}: label {label!r} names {times[key]} tags", f"use an id: {ids}")
            index = by_id.get(key, by_name.get(key))
            if index is None:
                raise UsageError(f"{video.where}: {_unknown(label, vocabulary)}")
            indices.append(index)
        found.append(tuple(sorted(set(indices))))
    return found


def _unknown(label: str, vocabulary: Sequence[TagName]) -> str:
    names = [tag.name for tag in vocabulary]
    near = difflib.get_close_matches(label, names, n=3) or (names if len(names) <= 8 else [])
    hint = f"near it: {', '.join(near)}" if near else f"it has ids like {vocabulary[0].id}"
    return f"label {label!r} is not in the checkpoint's vocabulary of {len(vocabulary)} tags ({hint})"
