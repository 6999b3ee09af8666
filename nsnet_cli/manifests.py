"""Reads manifests: tables of videos with a column `path` or `url`. Their other columns pass through to the rows.

The ending of the file says what it is: .csv, .jsonl (or .ndjson) or .parquet. Other files are plain lists (lists.py).
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field
from datetime import date, time, timedelta
from pathlib import Path
from typing import Any

from nsnet_cli.errors import UsageError
from nsnet_cli.records import dataclass

WHERE = ("path", "url")
"""The columns that may say where a video is. The first that a row has counts."""
PARQUET_PACKAGE = "pip install 'nsnet[parquet]'"
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Manifest:
    paths: list[str] = field(default_factory=list)
    columns: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The other columns of each path, as plain JSON values. A path that stands there twice has those of the first."""
    without: int = 0
    """Number of rows that say of no video where it is."""


def read_manifest(name: str) -> Manifest | None:
    """Returns what a manifest holds; None if the file is a plain list. Raises UsageError that names what is wrong."""
    read = READERS.get(Path(name).suffix.lower())
    if read is None:
        return None
    try:
        rows = read(Path(name))
        return None if rows is None else _manifest(name, rows)
    except OSError as error:
        raise UsageError(f"cannot read the manifest {name}: {error.strerror or error}", "give a file") from error
    except csv.Error as error:
        raise UsageError(f"the manifest {name} is not CSV: {error}", "give a table with a line of names") from error


def import_parquet(what: str) -> Any:
    """Returns the module pyarrow.parquet. Raises UsageError that says what needs it."""
    try:
        from pyarrow import parquet
    except ImportError:
        raise UsageError(f"{what} needs pyarrow, not installed here", PARQUET_PACKAGE) from None
    return parquet


# ---- parts ----------------------------------------------------------------------------------------------------------


def _manifest(name: str, rows: Iterable[Row]) -> Manifest:
    paths: list[str] = []
    columns: dict[str, dict[str, Any]] = {}
    without, count = 0, 0
    for count, row in enumerate(rows, 1):  # noqa: B007
        where = next((key for key in WHERE if isinstance(row.get(key), str) and row[key]), None)
        if where is None:
            without += 1
            continue
        paths.append(row[where])
        columns.setdefault(row[where], {key: _plain(value) for key, value in row.items() if key != where})
    if count and not paths:
        raise _no_column(name)
    return Manifest(paths, columns, without)


def _no_column(name: str) -> UsageError:
    return UsageError(f"the manifest {name} has no column path or url", "name the column that says where videos are")


def _csv(path: Path) -> Iterator[Row] | None:
    """None: a list of paths that is only named like a table, with one column and no head."""
    text = path.read_bytes().decode("utf-8-sig", "surrogateescape")
    lines = csv.reader(io.StringIO(text, newline=""))
    head = next(lines, [])
    if not set(WHERE) & set(head):
        if len(head) <= 1:
            return None
        raise _no_column(str(path))
    return (dict(zip(head, line, strict=False)) for line in lines if line)


def _jsonl(path: Path) -> Iterator[Row]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise UsageError(f"{path}, line {number} is not JSON: {error}", "give one object per line") from error
            if not isinstance(row, dict):
                raise UsageError(f"{path}, line {number} is not an object", "give one object per line")
            yield row


def _parquet(path: Path) -> Iterator[Row]:
    parquet = import_parquet(f"the manifest {path}")
    import pyarrow

    try:
        with parquet.ParquetFile(path) as file:
            if not set(WHERE) & set(file.schema_arrow.names):
                raise _no_column(str(path))
            for batch in file.iter_batches():
                yield from batch.to_pylist()
    except pyarrow.ArrowException as error:
        raise UsageError(f"the manifest {path} is not Parquet: {error}", "give a whole Parquet file") from error


READERS: dict[str, Callable[[Path], Iterator[Row] | None]] = {
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".parquet": _parquet,
}
"""How each kind of manifest is read."""


def _plain(value: Any) -> Any:
    """A value as JSON can hold it: times as ISO 8601, and what else JSON does not know as text."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)
