"""FCVID: `FCVID_VideoName_TrainTestSplit.txt` (a name and train or test) and `FCVID_Label.txt`, or peers' lists.

The label file has a row of 0 and 1 for each video, in the same order, with a column for each of the 239 classes. Its
columns have no names; a file of class names beside it gives them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from nsnet_cli.errors import NoInputError, UsageError
from nsnet_cli.labelled.labels import SPLITS, LabelledVideo, LabelSet
from nsnet_cli.labelled.listing import Media, class_file, found_set, lines_of, read_classes
from nsnet_cli.labelled.peers import lists_in, named, one_per_split, read_entries, split_of
from nsnet_cli.labelled.protocol import FCVID

log = logging.getLogger(__name__)

NAMES, LABELS = "FCVID_VideoName_TrainTestSplit.txt", "FCVID_Label.txt"
CLASSES = 239


def is_here(files: Sequence[Path]) -> bool:
    return any(path.name == NAMES for path in files)


def read(source: Path, folder: Path, files: Sequence[Path], fold: str = "") -> LabelSet:
    """Reads the videos of `folder`. Raises UsageError that names file and line, NoInputError if nothing is there."""
    by_name = {path.name: path for path in files}
    given = class_file(files)
    classes = read_classes(given) if given else tuple(f"class {number:03d}" for number in range(CLASSES))
    if given is None:
        log.info("%s: no file of class names there, so tags are named by their columns: class 000", folder)
    elif len(classes) != CLASSES:
        raise UsageError(f"{given} has {len(classes)} names", f"expected {CLASSES}, one per line")
    if NAMES in by_name:
        if LABELS not in by_name:
            raise NoInputError(f"{by_name[NAMES]} is there, but no {LABELS}", "expected it beside the names")
        return found_set(source, FCVID, Media.of(folder), _rows(by_name[NAMES], by_name[LABELS], classes))
    lists = lists_in(files)
    if not lists:
        raise NoInputError(
            f"{folder} has neither {NAMES} nor a list of videos",
            f"expected {NAMES} and {LABELS}, or lists of VIDEO FRAMES LABEL named after train and test",
        )
    one_per_split(lists)
    return found_set(source, FCVID, Media.of(folder), (row for path in lists for row in _listed(path, classes)))


def _listed(path: Path, classes: Sequence[str]) -> Iterator[tuple[str, LabelledVideo]]:
    split = "test" if split_of(path) == "val" else split_of(path)  # some peers call the test part val
    for entry in read_entries(path):
        yield entry.name, LabelledVideo(path, named(entry, classes, "FCVID"), entry.where, split)


def _rows(names: Path, labels: Path, classes: Sequence[str]) -> Iterator[tuple[str, LabelledVideo]]:
    listed, rows = list(lines_of(names)), list(lines_of(labels))
    if len(listed) != len(rows):
        message = f"{labels} line {len(rows)}: it has {len(rows)} rows, but {names} has {len(listed)} videos"
        raise UsageError(message, "expected one row per video, in the same order")
    bare = 0
    for (where, line), (label_where, cells) in zip(listed, rows, strict=True):
        name, _, word = line.replace(",", " ").replace("\t", " ").rpartition(" ")
        split = SPLITS.get(word.lower())
        if not name.strip() or split is None:
            raise UsageError(f"{where}: {line[:80]!r} does not end with train or test", "expected NAME train")
        marks = cells.replace(",", " ").split()
        if len(marks) != CLASSES or not set(marks) <= {"0", "1"}:
            odd = next((mark for mark in marks if mark not in ("0", "1")), None)
            what = f"{len(marks)} columns" if len(marks) != CLASSES else f"the value {odd!r}"
            raise UsageError(f"{label_where}: {what}", f"expected {CLASSES} columns of 0 and 1")
        own = tuple(name for name, mark in zip(classes, marks, strict=True) if mark == "1")
        if own:
            yield name.strip(), LabelledVideo(names, own, where, split)
        bare += not own
    if bare:
        log.warning("%s: left out %d videos without a label", labels, bare)
