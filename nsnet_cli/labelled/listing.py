"""What the readers of benchmarks share: list files with their lines, names of classes, and the videos of a folder."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from re import compile as pattern

from nsnet_cli.errors import NoInputError, UsageError
from nsnet_cli.labelled.labels import LabelledVideo, LabelSet, read_text
from nsnet_cli.labelled.protocol import Benchmark
from nsnet_cli.sniffing import VIDEO_NAMES
from nsnet_cli.video.extracted import LOOKED_AT, holds_frames

log = logging.getLogger(__name__)

LIST_FOLDERS = ("annotations", "annotation", "lists", "splits", "materials", "meta", "filelists", "ucfTrainTestlist")
"""Where list files lie beside videos, apart from the folder itself."""
CLASS_FILES = ("classind", "class_ind", "classes", "label_map", "action_name", "class_names", "classnames")
"""Parts of the names of files that list classes."""
DEEPEST = 6
CUT = pattern(r"_\d{6}_\d{6}$")
"""Kinetics' tools put a clip's start and end behind its id."""


# ---- list files -----------------------------------------------------------------------------------------------------


def list_files(folder: Path) -> list[Path]:
    """Returns the files of a folder, of its LIST_FOLDERS, and of UCF101's list folder beside it, by name."""
    places = [folder, *(folder / name for name in LIST_FOLDERS), folder.parent / "ucfTrainTestlist"]
    files = []
    for place in places:
        if place.is_dir():
            with os.scandir(place) as entries:
                names = [entry.name for entry in entries if Path(entry.name).suffix in (".txt", ".csv", ".json")]
            files += [place / name for name in sorted(names)]
    return files


def lines_of(path: Path) -> Iterator[tuple[str, str]]:
    """Yields (where, line) of the lines that are not empty, stripped. Raises UsageError if it is not text."""
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if line.strip():
            yield f"{path} line {number}", line.strip()


def is_class_file(path: Path) -> bool:
    return any(part in path.name.lower() for part in CLASS_FILES)


def read_classes(path: Path) -> tuple[str, ...]:
    """Returns class names in the order of their ids: one per line, with or without a number before each.

    Raises UsageError if numbers are not consecutive from 0 or 1, or a name comes twice.
    """
    rows = list(lines_of(path))
    if rows and rows[0][1].lower() in ("action", "name", "class"):  # a CSV with a header
        rows = rows[1:]
    cells = [line.replace(",", " ").split(None, 1) for _, line in rows]
    numbered = all(len(pair) == 2 and pair[0].isdigit() for pair in cells)
    names = [pair[1] for pair in cells] if numbered else [" ".join(line.split()) for _, line in rows]
    if numbered:
        first = int(cells[0][0]) if cells else 0
        for place, ((where, line), pair) in enumerate(zip(rows, cells, strict=True)):
            if first > 1 or int(pair[0]) != first + place:
                expected = f"expected number {place + min(first, 1)}, one class per line in order"
                raise UsageError(f"{where}: {line!r} is out of order", expected)
    seen: dict[str, str] = {}
    for (where, _), name in zip(rows, names, strict=True):
        if name in seen:
            raise UsageError(f"{where}: class {name!r} is already at {seen[name]}", "each class has one line")
        seen[name] = where
    return tuple(names)


def class_file(files: Iterable[Path]) -> Path | None:
    """Returns the one file that lists classes. Raises UsageError if there are several that disagree."""
    found = [path for path in files if is_class_file(path)]
    if len({read_classes(path) for path in found}) > 1:
        raise UsageError(f"{found[0]} and {found[1]} list different classes, or another order", "keep the right one")
    return found[0] if found else None


# ---- videos ---------------------------------------------------------------------------------------------------------


def video_key(name: str) -> str:
    """Returns what a video's names have in common: no folder, no ending, no `v_`, none of Kinetics' times."""
    return CUT.sub("", video_stem(name).rsplit("/", 1)[-1]).removeprefix("v_")


def video_stem(name: str) -> str:
    """Returns a name without the ending of a video."""
    stem, dot, suffix = name.rstrip("/").rpartition(".")
    return stem if dot and f".{suffix.lower()}" in VIDEO_NAMES else name.rstrip("/")


@dataclass(slots=True)
class Media:
    """The videos below a folder, as files or as folders of extracted frames, found once by `of`."""

    folder: Path
    by_key: dict[str, list[Path]] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path) -> Media:
        """Walks through the folder. Of 100,000 folders of frames it looks at the first names alone."""
        found = cls(folder)
        found._walk(folder, 0)
        return found

    def _walk(self, folder: Path, depth: int) -> None:
        try:
            with os.scandir(folder) as entries:
                first = [entry for entry, _ in zip(entries, range(LOOKED_AT), strict=False)]
                if depth and holds_frames(first):
                    return self._add(folder)
                rest = [*first, *entries]
        except OSError as error:
            log.warning("%s: not looked at: %s", folder, error.strerror or error)
            return None
        for entry in sorted(rest, key=lambda entry: entry.name):
            if entry.name.startswith("."):
                continue
            if Path(entry.name).suffix.lower() in VIDEO_NAMES and entry.is_file():
                self._add(folder / entry.name)
            elif depth < DEEPEST and entry.is_dir():
                self._walk(folder / entry.name, depth + 1)
        return None

    def _add(self, path: Path) -> None:
        self.by_key.setdefault(video_key(path.name), []).append(path)

    def find(self, name: str) -> Path | None:
        """Returns the video that a list calls `name`, a file before frames. None: it is not there.

        Raises UsageError if two videos have this name, and their folders do not tell which is meant.
        """
        found = self.by_key.get(video_key(name), [])
        if len(found) > 1:
            end = f"/{video_stem(name)}"
            found = [path for path in found if f"/{video_stem(str(path))}".endswith(end)] or found
        if len(found) > 1:
            found = [path for path in found if path.is_file()] or found
        if len(found) > 1:
            raise UsageError(f"{name!r} is there twice: {found[0]} and {found[1]}", "keep one of them")
        return found[0] if found else None


def same(labels: Iterable[str]) -> tuple[str, ...]:
    """Returns labels each once, in single spaces."""
    return tuple(dict.fromkeys(" ".join(label.split()) for label in labels))


def found_set(
    source: Path, benchmark: Benchmark | None, media: Media, rows: Iterable[tuple[str, LabelledVideo]]
) -> LabelSet:
    """Returns rows as a set, each with the name that its list gives. Looks for no file: `media` knows them all.

    Raises UsageError for a name that comes twice, NoInputError if no video is there.
    """
    present, missing, seen = [], [], dict[str, str]()
    for name, row in rows:
        if name in seen:
            raise UsageError(f"{row.where}: {name!r} is already at {seen[name]}", "name each video once")
        seen[name] = row.where
        path = media.find(name)
        if path is None:
            missing.append(replace(row, path=media.folder / name))
        else:
            present.append(replace(row, path=path))
    if not present:
        first = f"; the first is {missing[0].path.name} ({missing[0].where})" if missing else ""
        raise NoInputError(
            f"none of the {len(missing)} videos that the lists of {source} name is below {media.folder}{first}",
            "put videos, or folders of extracted frames, into it under the names of the lists",
        )
    return LabelSet(source, tuple(present), tuple(missing), benchmark=benchmark)
