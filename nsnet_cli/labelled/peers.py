"""Lists as other projects write them: one video per line, with its number of frames and its class ids.

    v_sJFgo9H6zNo 4169 33
    v_N-LaOcSqZaM,511,189,58
    images/val/air drumming/7LSJ2Ryv1a8_000000_000010;60;0
    ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1

Names may hold spaces, so lines are split from the right. The number of frames may be missing. A list of that kind can
be given in place of a label file; a file of class names beside it turns ids into names.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from nsnet_cli.errors import UsageError
from nsnet_cli.labelled.labels import SPLITS, LabelledVideo, LabelSet, Split
from nsnet_cli.labelled.listing import Media, class_file, found_set, is_class_file, lines_of, read_classes
from nsnet_cli.records import dataclass

log = logging.getLogger(__name__)

SEPARATORS = (";", ",", " ")
EXPECTED = "expected VIDEO FRAMES LABEL, VIDEO,FRAMES,LABEL[,LABEL] or VIDEO LABEL, with labels as whole numbers"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line. `frames` None: the list does not say."""

    name: str
    frames: int | None
    labels: tuple[int, ...]
    where: str


def read_entries(path: Path, *, several: bool | None = None) -> list[Entry]:
    """Returns the videos of a list.

    `several`: lines may end with several labels. None: if no name of the list holds the separator, so that a number
    at the end of a name cannot be meant. Raises UsageError that names file, line and what was expected.
    """
    rows = [(where, *_parts(line, where)) for where, line in lines_of(path)]
    if several is None:
        several = all(not any(part.lstrip("-").isdigit() for part in parts[:1]) and len(parts) - n == 1
                      for _, parts, n, _ in rows)  # fmt: skip
    entries = []
    for where, parts, numbers, separator in rows:
        taken = numbers if several else min(numbers, 2)
        values = [int(part) for part in parts[len(parts) - taken :]]
        name = separator.join(parts[: len(parts) - taken])
        frames, labels = (values[0], values[1:]) if len(values) > 1 else (None, values)
        entries.append(Entry(name, frames, tuple(dict.fromkeys(labels)), where))
    return entries


def _parts(line: str, where: str) -> tuple[list[str], int, str]:
    """Returns a line's parts, how many at its end are numbers, and the separator. Raises UsageError."""
    separator = next((mark for mark in SEPARATORS if mark in line and line.rsplit(mark, 1)[1].strip().isdigit()), None)
    parts = [part.strip() for part in line.replace("\t", " ").split(separator or " ")]
    numbers = 0
    while numbers < len(parts) - 1 and parts[-1 - numbers].isdigit():
        numbers += 1
    if separator is None or not numbers:
        raise UsageError(f"{where}: {line[:80]!r} is no line of a video list", EXPECTED)
    return parts, numbers, separator


def looks_like_list(path: Path) -> bool:
    """Whether the first line of a file is one of a video list."""
    try:
        for where, line in lines_of(path):
            _parts(line, where)
            return True
    except UsageError:
        pass
    return False


def split_of(path: Path) -> Split | None:
    """Returns the split that a list's name tells, or None."""
    words = path.stem.lower().replace("-", "_").split("_")
    for word in words:
        for name, split in SPLITS.items():
            if name and (word == name or word.rstrip("0123456789") in (name, f"{name}list")):
                return split
    return None


def lists_in(files: Sequence[Path]) -> list[Path]:
    """Returns the lists of videos among files: those whose name says a split and whose lines are of a list."""
    named_so = [path for path in files if path.suffix in (".txt", ".csv") and split_of(path)]
    return [path for path in named_so if not is_class_file(path) and looks_like_list(path)]


def one_per_split(lists: Sequence[Path]) -> None:
    """Raises UsageError if two lists are of one split."""
    first: dict[Split | None, Path] = {}
    for path in lists:
        other = first.setdefault(split_of(path), path)
        if other != path:
            message = f"two lists are named after {split_of(path)}: {other} and {path}"
            raise UsageError(message, "sets are never mixed: keep the one that you mean")


def named(entry: Entry, classes: Sequence[str], source: str) -> tuple[str, ...]:
    """Returns an entry's labels by name. Raises UsageError for an id outside the classes."""
    for label in entry.labels:
        if label >= len(classes):
            message = f"{entry.where}: label {label} is outside the {len(classes)} classes of {source}"
            raise UsageError(message, f"expected ids from 0 to {len(classes) - 1}")
    return tuple(classes[label] for label in entry.labels)


def read_list(path: Path) -> LabelSet:
    """Reads a list in place of a label file. Its videos are below its folder.

    Without a file of class names beside it, the ids are the labels.
    """
    classes = class_file(sorted(child for child in path.parent.glob("*.txt") if child != path and is_class_file(child)))
    names = read_classes(classes) if classes else None
    if names is None:
        log.info("%s: no file of class names beside it, so the tags are the class ids", path)
    return found_set(path, None, Media.of(path.parent), _rows(path, names, str(classes)))


def _rows(path: Path, names: Sequence[str] | None, source: str) -> Iterator[tuple[str, LabelledVideo]]:
    split = split_of(path)
    for entry in read_entries(path):
        labels = named(entry, names, source) if names else tuple(map(str, entry.labels))
        yield entry.name, LabelledVideo(path, labels, entry.where, split)
