"""Mini-Kinetics: 200 classes of Kinetics. Two sets have this name, and figures on them cannot be compared.

- 121,070 training and 9,864 validation videos: OCSampler's and AdaFuse's lists, which AdaFocus and others use
- 80,000 and 5,000: s9xie's lists of YouTube ids alone; the Kinetics CSV says what each shows

Half of the first set's training videos are in the second's too, so lists of both are refused. Videos are taken to be
cut to their ten seconds, as Kinetics is handed around: a CSV's start and end name the file, and nothing else.
"""

from __future__ import annotations

import csv
import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from nsnet_cli.errors import NoInputError, UsageError
from nsnet_cli.labelled.labels import LabelledVideo, LabelSet
from nsnet_cli.labelled.listing import (
    Media,
    class_file,
    found_set,
    is_class_file,
    lines_of,
    read_classes,
    video_key,
)
from nsnet_cli.labelled.peers import looks_like_list, named, one_per_split, read_entries, split_of
from nsnet_cli.labelled.protocol import MINI_KINETICS
from nsnet_cli.records import dataclass

log = logging.getLogger(__name__)

BIG, SMALL = "121k/9.9k", "80k/5k"
YOUTUBE_ID = re.compile(r"[\w-]{11}")
COLUMNS = ("label", "youtube_id", "time_start", "time_end", "split")


def is_here(files: Sequence[Path]) -> bool:
    names = [path.name.lower().replace("-", "_") for path in files]
    return any(part in name for name in names for part in ("mini_kinetics", "minik_classind", "ytid_list"))


def read(source: Path, folder: Path, files: Sequence[Path], fold: str = "") -> LabelSet:
    """Reads the videos of `folder`. Raises UsageError that names file and line, NoInputError if nothing is there."""
    lists = [path for path in files if path.suffix == ".txt" and split_of(path) and not is_class_file(path)]
    big = [path for path in lists if looks_like_list(path)]
    small = [path for path in lists if path not in big and _is_id_list(path)]
    if big and small:
        raise UsageError(
            f"{folder} has lists of two sets: {big[0].name} ({BIG} videos) and {small[0].name} ({SMALL})",
            "they are different sets: keep the lists of one of them",
        )
    if not big and not small:
        raise NoInputError(
            f"{folder} has no list of Mini-Kinetics' videos",
            "expected lists of VIDEO FRAMES LABEL, or of YouTube ids and the Kinetics CSVs, named after train and val",
        )
    one_per_split(big or small)
    log.info("%s: the set of %s videos; figures on the other set cannot be compared", folder, BIG if big else SMALL)
    if big:
        return found_set(source, MINI_KINETICS, Media.of(folder), _numbered(big, files))
    return found_set(source, MINI_KINETICS, Media.of(folder), _by_id(small, files, folder))


def _is_id_list(path: Path) -> bool:
    first = next(lines_of(path), None)
    return first is not None and YOUTUBE_ID.fullmatch(first[1]) is not None


# ---- the set of 121k videos -----------------------------------------------------------------------------------------


def _numbered(lists: Sequence[Path], files: Sequence[Path]) -> Iterator[tuple[str, LabelledVideo]]:
    given = class_file(files)
    classes = read_classes(given) if given else None
    if classes is None:
        log.info("no file of class names beside the lists, so the tags are the class ids")
    seen: dict[str, str] = {}
    for path in lists:
        for entry in read_entries(path, several=False):
            key = video_key(entry.name)
            if key in seen:
                raise UsageError(f"{entry.where}: {entry.name!r} is already at {seen[key]}", "lists of two sets?")
            seen[key] = entry.where
            labels = named(entry, classes, str(given)) if classes else tuple(map(str, entry.labels))
            folder = entry.name.split("/")[-2] if "/" in entry.name else ""
            if classes and folder in classes and folder != labels[0]:
                message = (
                    f"{entry.where}: label {entry.labels[0]} is {labels[0]!r} in {given}, the folder is {folder!r}"
                )
                raise UsageError(message, "expected the list of classes that belongs to this list")
            yield entry.name, LabelledVideo(path, labels, entry.where, split_of(path))


# ---- the set of 80k videos ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Clip:
    """A row of the Kinetics CSV."""

    label: str
    start_s: float
    end_s: float

    def name(self, youtube_id: str) -> str:
        """Returns what the usual tools call its file."""
        return f"{youtube_id}_{int(self.start_s):06d}_{int(self.end_s):06d}"


def _by_id(lists: Sequence[Path], files: Sequence[Path], folder: Path) -> Iterator[tuple[str, LabelledVideo]]:
    tables = [path for path in files if path.suffix == ".csv" and not is_class_file(path)]
    clips: dict[str, Clip] = {}
    for path in tables:
        clips |= read_clips(path)
    if not clips:
        raise NoInputError(
            f"{lists[0]} has YouTube ids alone, and {folder} has no Kinetics CSV that says what they show",
            f"expected a CSV with the columns {','.join(COLUMNS)}",
        )
    unknown: list[str] = []
    for path in lists:
        for where, line in lines_of(path):
            if not YOUTUBE_ID.fullmatch(line):
                raise UsageError(f"{where}: {line[:80]!r} is no YouTube id", "expected 11 characters and nothing else")
            clip = clips.get(line)
            if clip is None:
                unknown.append(where)
                continue
            yield clip.name(line), LabelledVideo(path, (clip.label,), where, split_of(path))
    if unknown:
        log.warning("left out %d ids that are in no CSV: their class is not known; first: %s", len(unknown), unknown[0])


def read_clips(path: Path) -> dict[str, Clip]:
    """Returns the rows of a Kinetics CSV by YouTube id. Raises UsageError that names line and value."""
    rows = lines_of(path)
    where, header = next(rows, (f"{path} line 1", ""))
    columns = [cell.strip().lower() for cell in header.split(",")]
    if not set(COLUMNS[:4]) <= set(columns):
        raise UsageError(f"{where}: the header is {header[:80]!r}", f"expected {','.join(COLUMNS)}[,is_cc]")
    clips = {}
    for where, line in rows:
        cells = dict(zip(columns, next(csv.reader([line])), strict=False))
        try:
            start_s, end_s = float(cells["time_start"]), float(cells["time_end"])
            good = YOUTUBE_ID.fullmatch(cells["youtube_id"]) and cells["label"].strip() and 0 <= start_s < end_s
        except (KeyError, ValueError):
            good = None
        if not good:
            raise UsageError(f"{where}: {line[:80]!r}", f"expected {','.join(COLUMNS)}, with times in seconds")
        clips[cells["youtube_id"]] = Clip(" ".join(cells["label"].split()), start_s, end_s)
    return clips
