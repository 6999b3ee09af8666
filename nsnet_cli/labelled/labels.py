"""Label files and folders: which video shows what, and where known, when.

A label file is a CSV with a header: `path,label[,split][,segments]`; other columns are ignored. It is UTF-8, or UTF-16
with a byte order mark, with commas or with tabs throughout (as spreadsheets save "Unicode text").

- path: the video, or a folder of its extracted frames, relative to the CSV's folder (or absolute)
- label: one tag, or several as `tag;tag`; for a fixed vocabulary WordNet ids or names
- split: train, val or test; empty: nsnet decides
- segments: when the label can be seen, `start-end;start-end` in seconds from the video's start
- parents: what stands directly over the label, several as `parent;parent` (see parents.py)
- source or background: what the video shares with others, a recording for example (see judged.py)

A folder can replace a label file: each of its folders is a class, and the videos in it, at any depth, are examples of
that class. Folders named after splits are splits, above the classes (`DATA/train/CLASS/...`) or inside them.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import io
import logging
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from nsnet_cli.errors import NoInputError, UsageError
from nsnet_cli.inputs import find_videos, looks_like_video
from nsnet_cli.labelled.parents import Declared
from nsnet_cli.labelled.protocol import Benchmark
from nsnet_cli.records import dataclass
from nsnet_cli.types import TagName
from nsnet_cli.video.extracted import is_frames_folder

log = logging.getLogger(__name__)

Split = Literal["train", "val", "test"]
SPLITS: dict[str, Split | None] = {
    "": None, "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test",
}  # fmt: skip
COLUMNS = ("path", "label", "split", "segments", "parents")
SEGMENT = re.compile(r"\s*([0-9.]+)\s*-\s*([0-9.]+)\s*")


@dataclass(frozen=True, slots=True)
class LabelledVideo:
    """One row: a video, its labels, and the stretches (start_s, end_s) that show them (empty: not known)."""

    path: Path
    labels: tuple[str, ...]
    where: str
    """For messages: 'labels.csv line 3', or the file itself."""
    split: Split | None = None
    segments: tuple[tuple[float, float], ...] = ()
    source: str = ""
    """What the video shares with others: the recording, the place or the person. Empty: nothing is known."""
    unjudged: tuple[str, ...] = ()
    """Labels that are neither right nor wrong. All others are wrong."""
    weight: float = 1.0
    """How much it counts when probabilities are fitted: less than 1 for a video that was made, not found."""
    duration_s: float | None = None
    """How long it is, where the labels say so: extracted frames do not."""


@dataclass(frozen=True, slots=True)
class LabelSet:
    source: Path
    videos: tuple[LabelledVideo, ...]
    missing: tuple[LabelledVideo, ...] = ()
    """Rows whose file does not exist. They are not in `videos`."""
    declared: tuple[Declared, ...] = ()
    """What stands over the labels."""
    benchmark: Benchmark | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """All labels, sorted: a vocabulary. Raises UsageError if two differ only in case."""
        first: dict[str, tuple[str, str]] = {}
        for video in self.videos:
            for label in video.labels:
                known, where = first.setdefault(label.casefold(), (label, video.where))
                if known != label:
                    raise UsageError(f"{video.where}: label {label!r} is {known!r} at {where}", "use one spelling")
        return tuple(sorted(known for known, _ in first.values()))

    @property
    def multi_label(self) -> bool:
        return any(len(video.labels) > 1 for video in self.videos)


def read_labels(source: Path) -> LabelSet:
    """Reads the labelled videos of a CSV file, or of a folder of class folders.

    Raises UsageError that names the wrong line and value, NoInputError if no video is left.
    """
    declared: list[Declared] = []
    if source.is_dir():
        rows = list(_folder_rows(source))
        problem = f"{source} has no folder with videos in it; expected {source}/CLASS/VIDEO"
    elif source.is_file():
        rows = list(_csv_rows(source, declared))
        problem = f"{source} has a header but no rows"
    else:
        raise NoInputError(
            f"no label file or folder {source}", "give a CSV with the columns path,label, or a folder of class folders"
        )
    return label_set(source, rows, problem, declared)


def label_set(source: Path, rows: Sequence[LabelledVideo], problem: str, declared: Iterable[Declared] = ()) -> LabelSet:
    """Returns the rows as a set. Raises NoInputError: with `problem` if there are no rows, or if no file exists."""
    if not rows:
        raise NoInputError(problem)
    there = [row.path.is_file() or is_frames_folder(row.path) for row in rows]
    present = tuple(row for row, is_there in zip(rows, there, strict=True) if is_there)
    missing = tuple(row for row, is_there in zip(rows, there, strict=True) if not is_there)
    if not present:
        raise NoInputError(
            f"none of the {len(rows)} videos of {source} exists; the first is {missing[0].path}",
            "paths are relative to the label file's folder",
        )
    return LabelSet(source, present, missing, tuple(declared))


def _folder_rows(folder: Path) -> Iterator[LabelledVideo]:
    videos: list[tuple[str, tuple[str, ...]]] = []  # each with its folders, from the top
    children = sorted(child for child in folder.iterdir() if not child.name.startswith("."))
    for child in filter(Path.is_dir, children):
        for video in find_videos([str(child)]).videos:
            if video.error is None:
                videos.append((video.path, Path(video.path).relative_to(folder).parent.parts))
    if lost := [child.name for child in children if child.is_file() and looks_like_video(child)]:
        log.info("%s: left out, in no class folder: %d videos (%s, ...)", folder, len(lost), lost[0])
    split_at, class_at = _layout(folder, videos)
    for path, parts in videos:
        split = None if split_at is None else SPLITS[parts[split_at].lower()]
        yield LabelledVideo(Path(path), (_label(parts[class_at], path),), path, split)


def _layout(folder: Path, videos: list[tuple[str, tuple[str, ...]]]) -> tuple[int | None, int]:
    """Which of a video's folders names its split (None: none does), and which its class. Raises UsageError."""
    tops = {parts[0] for _, parts in videos}
    splits = {top for top in tops if top.lower() in SPLITS}
    if splits and splits == tops:
        for path, parts in videos:
            if len(parts) < 2:
                raise UsageError(
                    f"{path} is in a split folder but in no class folder", f"expected {folder / parts[0]}/CLASS/VIDEO"
                )
        return 0, 1
    if len({SPLITS[split.lower()] for split in splits}) > 1:
        names, others = (", ".join(sorted(group)) for group in (splits, tops - splits))
        raise UsageError(
            f"{folder} has split folders ({names}) and other folders with videos ({others})",
            "use one folder per split or one per class; move or rename the others",
        )
    if videos and all(len(parts) > 1 and parts[1].lower() in SPLITS for _, parts in videos):
        return 1, 0
    return None, 0


def _csv_rows(source: Path, declared: list[Declared]) -> Iterator[LabelledVideo]:
    """The videos of a label file. What it says about parents is added to `declared`."""
    seen: dict[Path, str] = {}
    text = read_text(source)
    header = text.split("\n", 1)[0]
    delimiter = "\t" if "\t" in header and "," not in header else ","
    reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True, delimiter=delimiter)
    try:
        reader.fieldnames = _columns(reader.fieldnames or (), source)
        for row in reader:
            where = f"{source} line {reader.line_num}"
            if not any(cell.strip() for cells in row.values() for cell in cells or ()):
                continue  # an empty row, as spreadsheets leave them
            video = _csv_row(row, reader.fieldnames, source.parent, where, declared)
            if video is None:
                continue
            real = video.path.resolve()
            if real in seen:
                raise UsageError(
                    f"{where}: path {row['path']!r} is already at {seen[real]}",
                    "use one line per video; join several labels with ';'",
                )
            seen[real] = where
            yield video
    except csv.Error as error:
        raise UsageError(f"{source} line {reader.line_num}: {error}", "save it as CSV in UTF-8") from error


def read_text(source: Path) -> str:
    """Returns the text of a CSV file. Raises UsageError."""
    try:
        data = source.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {source}: {error.strerror}", "give a readable CSV file") from error
    encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(
            f"{source} line {line}: not {encoding.removesuffix('-sig').upper()}", "save it as CSV in UTF-8"
        ) from error
    if "\0" in text:
        raise UsageError(f"{source} is not text: it contains NUL characters", "save it as CSV in UTF-8")
    return text


def _columns(header: Sequence[str], source: Path) -> list[str]:
    """The header's names in lower case. Raises UsageError if a column would be lost silently."""
    columns = [column.strip().lower() for column in header]
    shape, where = "path,label[,split][,segments]", f"{source} line 1"
    if not {"path", "label"} <= set(columns):
        raise UsageError(f"{where}: the header is {','.join(columns)!r}; it needs the columns path and label", shape)
    for column in columns:
        if column in COLUMNS and columns.count(column) > 1:
            raise UsageError(f"{where}: two columns are named {column!r}", "rename one; write several labels as 'a;b'")
        near = difflib.get_close_matches(column, COLUMNS, n=1, cutoff=0.8)
        if column not in COLUMNS and near and near[0] not in columns:
            raise UsageError(f"{where}: column {column!r} is unknown", f"did you mean {near[0]!r}?")
    return columns


def _csv_row(
    row: dict[str | None, Any], columns: Sequence[str], base: Path, where: str, declared: list[Declared]
) -> LabelledVideo | None:
    """Returns one row's video; None for a row without a path, which only says what stands over its label."""
    cells = {column: " ".join((row[column] or "").split()) for column in COLUMNS if column in row}
    for column in COLUMNS:
        cell = row.get(column) or ""
        if len(cell.splitlines()) > 1 and not (column == "path" and (base / cell.strip()).is_file()):
            raise UsageError(f"{where}: the {column} {cell[:40]!r}... contains a line break", "is a quote not closed?")
    more = [cell for cell in row.get(None) or () if cell.strip()]
    if more:
        raise UsageError(
            f"{where}: {more[0]!r} has no column; the header has {len(columns)} ({','.join(columns)})",
            "write several labels as 'a;b'; put quotes around a cell that contains a comma",
        )
    path, parents = (row["path"] or "").strip(), cells.get("parents")
    labels = split_labels(cells["label"], where)
    if parents is not None and labels and (parents or not path):
        declared.append(Declared.of(labels, split_labels(parents, where), where))
        if not path:
            return None
    if not path:
        raise UsageError(f"{where}: the path is empty", "give the video's path, relative to the label file's folder")
    if not labels:
        raise UsageError(f"{where}: {path!r} has no label", "give one (several as 'a;b') or remove the line")
    split = cells.get("split", "").lower()
    if split not in SPLITS:
        raise UsageError(f"{where}: split {split!r} is unknown", "use train, val, test or leave it empty")
    segments = parse_segments(cells.get("segments", ""), where)
    return LabelledVideo(base / path, labels, where, SPLITS[split], segments, shared_source(row))


def shared_source(row: Mapping[Any, Any]) -> str:
    """Returns what a video shares with others: its `source`, or the footage that it was made with."""
    return (row.get("source") or row.get("background") or "").strip()


def split_labels(cell: str, where: str) -> tuple[str, ...]:
    """Returns the labels of a cell, `a;b`, each once. Raises UsageError."""
    return tuple(dict.fromkeys(_label(part, where) for part in cell.split(";") if part.strip()))


def _label(text: str, where: str) -> str:
    """One spelling of a label: single spaces, and accents composed (names of folders on macOS have them apart)."""
    label = " ".join(unicodedata.normalize("NFC", text).split())
    if not label.isprintable():
        raise UsageError(f"{where}: label {label!r} has characters that cannot be printed", "rename it")
    return label


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
            raise UsageError(f"{where}: segment {part.strip()!r} is not start-end", "give seconds, as in 7.5-9;20-22.5")
        segments.append((start_s, end_s))
    return tuple(segments)


def label_indices(videos: Sequence[LabelledVideo], vocabulary: Sequence[TagName]) -> list[tuple[int, ...]]:
    """Each video's labels as positions in the vocabulary, by id or by name (case ignored).

    Raises UsageError that names the first line whose label is not in the vocabulary or is the name of two tags.
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
    hint = f"similar: {', '.join(near)}" if near else f"it has ids like {vocabulary[0].id}"
    return f"label {label!r} is not in the checkpoint's vocabulary of {len(vocabulary)} tags ({hint})"
