"""UCF101: `classInd.txt` and three ways to split the videos, `trainlist01.txt`, `testlist01.txt` and so on.

A training line is `Class/v_Class_g08_c01.avi 1`. A test line has no number: the folder says the class. Clips of one
group (`g08`) were cut from the same footage, so a held-out part of the training videos consists of whole groups.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from nsnet_cli.errors import NoInputError, UsageError
from nsnet_cli.labelled.labels import LabelledVideo, LabelSet, Split
from nsnet_cli.labelled.listing import Media, found_set, lines_of, read_classes
from nsnet_cli.labelled.protocol import UCF101

NAME = re.compile(r"(?:.*/)?(?P<label>[^/]+)/(?P<video>v_[^/]*?_g(?P<group>\d+)_c\d+)(?:\.\w+)?")
LINE = re.compile(r"(?P<name>\S.*?)(?:\s+(?P<number>\d+))?")
HELD_OUT = 5
"""Training groups whose number is a multiple of this are held out to decide when to stop: a fifth, as elsewhere."""


def is_here(files: Sequence[Path]) -> bool:
    names = {path.name for path in files}
    return "trainlist01.txt" in names and "classInd.txt" in names


def read(source: Path, folder: Path, files: Sequence[Path], fold: str) -> LabelSet:
    """Reads one split of the three. Raises UsageError that names file and line, NoInputError if nothing is there."""
    by_name = {path.name: path for path in files}
    wanted = ("classInd.txt", f"trainlist0{fold}.txt", f"testlist0{fold}.txt")
    for name in wanted:
        if name not in by_name:
            raise NoInputError(
                f"{folder} has no {name}", f"expected {', '.join(wanted)} there or in ucfTrainTestlist beside it"
            )
    classes = read_classes(by_name[wanted[0]])
    rows = [row for name in wanted[1:] for row in _rows(by_name[name], classes)]
    return found_set(source, UCF101, Media.of(folder), rows)


def _rows(path: Path, classes: Sequence[str]) -> Iterator[tuple[str, LabelledVideo]]:
    training = path.name.startswith("train")
    for where, line in lines_of(path):
        cells = LINE.fullmatch(line)
        name = NAME.fullmatch(cells["name"]) if cells else None
        if cells is None or name is None or (cells["number"] is None) == training:
            shape = "Class/v_Class_g01_c01.avi 1" if training else "Class/v_Class_g01_c01.avi"
            raise UsageError(f"{where}: {line[:80]!r} is no line of {path.name}", f"expected {shape}")
        label, group = name["label"], int(name["group"])
        if label not in classes:
            raise UsageError(f"{where}: class {label!r} is not in classInd.txt", "expected one of its names")
        if training and int(cells["number"]) != classes.index(label) + 1:
            message = (
                f"{where}: {label} has the number {cells['number']}, but {classes.index(label) + 1} in classInd.txt"
            )
            raise UsageError(message, "lists and classInd.txt must be of one release")
        split: Split = ("val" if group % HELD_OUT == 0 else "train") if training else "test"
        yield cells["name"], LabelledVideo(path, (label,), where, split, source=f"{label} g{group:02d}")
