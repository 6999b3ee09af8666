"""Makes one file of many parts: rows of shards, or of runs that were cut short. Each video stands there once.

A part is JSON lines, CSV or Parquet, or a folder of results. Its rows are read twice: first to choose among rows of the
same video, then to write. So memory grows with the number of videos, not with their rows. A torn part gives the rows
that are whole, and is named.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from nsnet_cli.atomic import give_name, temporary_file
from nsnet_cli.errors import NoInputError, UsageError
from nsnet_cli.outputs import parquet_rows
from nsnet_cli.outputs.csvrows import CsvRows
from nsnet_cli.outputs.jsonlines import from_dict
from nsnet_cli.outputs.owner import is_schema
from nsnet_cli.outputs.parts import parts_in
from nsnet_cli.outputs.save import check_target
from nsnet_cli.outputs.store import SUFFIX, refused
from nsnet_cli.text import json_text

Row = dict[str, Any]
Tell = Callable[[str], None]
"""Gets what is wrong with a part."""


@dataclass(slots=True)
class Merged:
    rows: int = 0
    doubled: int = 0
    """Rows that were left out, because the video has another one."""
    torn: dict[Path, str] = field(default_factory=dict)
    """Parts of which not all could be read, and why."""


def merge(given: Sequence[Path], target: Path) -> Merged:
    """Writes the rows of all parts to `target`, whole or not at all.

    Of the rows of one video, one that is tagged counts before one that failed, and a later one before an earlier one.
    Raises UsageError, NoInputError and OutputError.
    """
    open_writer = WRITERS.get(target.suffix.lower())
    if open_writer is None:
        raise UsageError(f"--output {target} has no known ending", f"use one of {', '.join(WRITERS)}")
    parts = [part for path in given for part in _parts(path)]
    _check(parts, target)
    merged, chosen, columns, known = Merged(), dict[int, tuple[bool, int, int]](), dict[str, None](), _Known()
    for number, part in enumerate(parts):
        for place, row in enumerate(_rows(part, merged)):
            key, tagged = known.video(row.get("source") or None, row["path"]), row["status"] == "ok"
            columns |= dict.fromkeys(row.get("columns") or ())
            if key in chosen:
                merged.doubled += 1
                if tagged < chosen[key][0]:
                    continue
            chosen[key] = (tagged, number, place)
    merged.rows = len(chosen)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with temporary_file(target.parent) as path:
            with open_writer(path, parts, list(columns)) as writer:
                for row in _in_order(parts, list(chosen.values())):
                    writer.add(row)
            give_name(path, target, replace=True)
    except OSError as error:
        raise refused(target, error) from error
    return merged


class _Known:
    """Numbers videos. Kept rows have `source`, others only `path`, by which they are the video of that path."""

    def __init__(self) -> None:
        self._sources: dict[str, int] = {}
        self._paths: dict[str, int] = {}
        self._only_paths: dict[str, int] = {}
        self._count = 0

    def video(self, source: str | None, path: str) -> int:
        found = self._paths.get(path) if source is None else self._sources.get(source, self._only_paths.get(path))
        if found is None:
            found = self._count = self._count + 1
        self._paths.setdefault(path, found)
        if source is None:
            self._only_paths.setdefault(path, found)
        else:
            self._sources.setdefault(source, found)
        return found


def _parts(path: Path) -> list[Path]:
    """The parts that a path stands for. Raises NoInputError."""
    if not path.is_dir():
        if path.is_file():
            return [path]
        raise NoInputError(f"no part {path}", "give files of rows, or folders of results")
    found = [*parts_in(path), *sorted(path.rglob(f"*{SUFFIX}"))]
    if not found:
        raise NoInputError(f"no results in {path}", "give a folder that `nsnet tag -o` wrote to")
    return found


def _check(parts: Sequence[Path], target: Path) -> None:
    """Raises UsageError or OutputError for what can only go wrong."""
    check_target(target)
    if any(part.exists() and target.exists() and part.samefile(target) for part in parts):
        raise UsageError(f"--output {target} is one of the parts", "give the name of a new file")
    kinds = {part.suffix.lower() for part in parts}
    if unknown := kinds - set(READERS):
        part = next(part for part in parts if part.suffix.lower() in unknown)
        raise UsageError(f"{part} has no known ending", f"parts end in one of {', '.join(READERS)}")
    if ".csv" in kinds and (kinds | {target.suffix.lower()}) != {".csv"}:
        raise UsageError("CSV has not all that other formats need", "merge CSV only with CSV, into CSV")


def _in_order(parts: Sequence[Path], chosen: Sequence[tuple[bool, int, int]]) -> Iterator[Row]:
    """Yields the chosen rows, in the order of their parts."""
    wanted: dict[int, set[int]] = {}
    for _, number, place in chosen:
        wanted.setdefault(number, set()).add(place)
    for number in sorted(wanted):
        for place, row in enumerate(_rows(parts[number], Merged())):
            if place in wanted[number]:
                yield row


# ---- reading --------------------------------------------------------------------------------------------------------


def _rows(part: Path, merged: Merged) -> Iterator[Row]:
    """Yields the rows of a part that are whole. Notes in `merged` what is wrong with it."""

    def tell(what: str) -> None:
        merged.torn.setdefault(part, what)

    try:
        yield from READERS[part.suffix.lower()](part, tell)
    except (OSError, ValueError, csv.Error) as error:
        tell(str(error))


def _json_lines(part: Path, tell: Tell) -> Iterator[Row]:
    with part.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line) if line.strip() else None
            except (ValueError, RecursionError):
                tell(f"line {number} is torn" if not line.endswith(b"\n") else f"line {number} is not JSON")
                continue
            if row is not None and (not is_schema(row) or not {"path", "status"} <= row.keys()):
                tell(f"line {number} is not a result of nsnet")
            elif row is not None:
                yield row


def _csv_lines(part: Path, tell: Tell) -> Iterator[Row]:
    text = part.read_bytes().decode("utf-8", "surrogateescape")
    if text and not text.endswith("\n"):
        tell("its last line is torn")
        text = text[: text.rfind("\n") + 1]
    lines = csv.reader(io.StringIO(text, newline=""))
    head = next(lines, [])
    if not {"path", "status"} <= set(head):
        tell("it has no columns path and status")
        return
    for line in lines:
        if len(line) == len(head):
            yield dict(zip(head, line, strict=True))
        else:
            tell(f"line {lines.line_num} has {len(line)} cells instead of {len(head)}")


def _parquet(part: Path, tell: Tell) -> Iterator[Row]:
    return parquet_rows.read_rows(part)


READERS: dict[str, Callable[[Path, Tell], Iterator[Row]]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json_lines,
    ".csv": _csv_lines,
    ".parquet": _parquet,
}
"""How each kind of part is read. Kept results (.json) are one line each."""


# ---- writing --------------------------------------------------------------------------------------------------------


class Writer(Protocol):
    """Writes rows to a file; a context manager that closes it."""

    def add(self, row: Row) -> None: ...
    def __enter__(self) -> Writer: ...
    def __exit__(self, *error: object) -> None: ...


class _Text:
    """Lines of text. `head` is the first."""

    def __init__(self, path: Path, line: Callable[[Row], str], head: str = "") -> None:
        self._file, self._line = path.open("w", encoding="utf-8", errors="surrogateescape", newline=""), line
        self._file.write(head)

    def add(self, row: Row) -> None:
        self._file.write(self._line(row))

    def __enter__(self) -> _Text:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()


class _Parquet:
    def __init__(self, path: Path) -> None:
        self._writer, self._waiting = parquet_rows.open_writer(path), list[Row]()

    def add(self, row: Row) -> None:
        self._waiting.append(row)
        if len(self._waiting) >= parquet_rows.GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        self._writer.write_table(parquet_rows.table(self._waiting))
        self._waiting = []

    def __enter__(self) -> _Parquet:
        return self

    def __exit__(self, *error: object) -> None:
        if self._waiting and error[0] is None:
            self._flush()
        self._writer.close()


def _jsonl_writer(path: Path, parts: Sequence[Path], columns: Sequence[str]) -> Writer:
    return _Text(path, lambda row: json_text(row) + "\n")


def _csv_writer(path: Path, parts: Sequence[Path], columns: Sequence[str]) -> Writer:
    if any(part.suffix.lower() == ".csv" for part in parts):
        names = list(dict.fromkeys(name for part in parts for name in _head(part)))
        return _Text(path, lambda row: _cells(row.get(name, "") for name in names), _cells(names))
    rows = CsvRows(columns)
    return _Text(path, lambda row: rows.row(from_dict(row)), rows.head())


def _parquet_writer(path: Path, parts: Sequence[Path], columns: Sequence[str]) -> Writer:
    return _Parquet(path)


WRITERS: dict[str, Callable[[Path, Sequence[Path], Sequence[str]], Writer]] = {
    ".jsonl": _jsonl_writer,
    ".ndjson": _jsonl_writer,
    ".csv": _csv_writer,
    ".parquet": _parquet_writer,
}
"""What is written, by the ending of the file."""


def _head(part: Path) -> list[str]:
    with part.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        return next(csv.reader(file), [])


def _cells(cells: Iterable[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(list(cells))
    return out.getvalue()
