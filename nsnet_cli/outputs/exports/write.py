"""One export: reads every kept result once, and gives it to each format."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from nsnet_cli.outputs.exports.entries import Choice, Entry, find, read, select, spans
from nsnet_cli.outputs.exports.folder import ExportFolder
from nsnet_cli.outputs.exports.table import ExportFormat
from nsnet_cli.outputs.keywords import Change
from nsnet_cli.progress import progress

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Summary:
    """What became of the results."""

    videos: int = 0
    files: Counter[str] = field(default_factory=Counter)
    """Files by the name of their format, including those that were right already."""
    failed: int = 0
    """Videos that could not be tagged."""
    uncertain: int = 0
    """Tagged videos in which nothing certain has a span."""
    uncalibrated: int = 0
    """Those of them whose run had no calibration, or was of version 0.1."""
    gone: set[str] = field(default_factory=set)
    """Videos that are not there, so that nothing could be written beside them."""
    apart: set[str] = field(default_factory=set)
    """Those of them for which the file was written to the target folder instead."""
    refused: int = 0
    """Files that stay as they are: nsnet did not write them, or they cannot be merged."""
    in_folder: bool = False
    """Whether the target folder was opened."""
    unreadable: int = 0


def export(
    results: Path, formats: Sequence[ExportFormat], choice: Choice, target: Path, overwrite: bool = False
) -> Summary:
    """Writes each format below `target`, or beside the videos. Raises NoInputError, OutputError, UsageError."""
    paths, summary = find(results, target), Summary()
    tables = {row.name: row.open_table() for row in formats if row.open_table is not None}
    folder = ExportFolder(target, overwrite)
    if any(row.beside is None for row in formats):
        folder.open()
    try:
        for entry in _counted(paths, results, summary, "exporting"):
            entry = replace(entry, result=select(entry, choice))
            _count(entry, summary)
            for row in formats:
                if row.open_table is not None:
                    if _takes(row, entry):
                        tables[row.name].add(entry)
                else:
                    _one(row, entry, folder, summary)
        for name, table in tables.items():
            for file, data in table.files().items():
                _tally(summary, name, folder.put(file, data))
        folder.finish()
    finally:
        summary.in_folder = folder.is_open
        folder.close()
    return summary


def _one(row: ExportFormat, entry: Entry, folder: ExportFolder, summary: Summary) -> None:
    """Writes what a format has about one video: beside the video, or else in the folder."""
    takes = _takes(row, entry)
    if takes and row.beside is not None:
        change = row.beside(Path(entry.source.path), entry)
        if change is not None:
            _changed(row, change, summary)
            takes = False  # an earlier export may have a document, from when the video was gone
        else:
            summary.gone.add(entry.name)
            if row.document is not None:
                summary.apart.add(entry.name)
    if row.document is None:
        return
    if not takes:
        if folder.is_open:
            folder.drop(entry.name, row.ending)
        return
    folder.open()
    data = row.document(entry, folder.path(entry.name, row.ending)).encode("utf-8")
    _tally(summary, row.name, folder.put(entry.name, data, row.ending))


def undo(results: Path, formats: Sequence[ExportFormat], apart_from: Path) -> Summary:
    """Takes out what `export` wrote beside the videos. Raises NoInputError."""
    summary = Summary()
    for entry in _counted(find(results, apart_from), results, summary, "undoing"):
        for row in formats:
            if row.undo is None:
                continue
            change = row.undo(Path(entry.source.path))
            if change is None:
                summary.gone.add(entry.name)
            else:
                _changed(row, change, summary)
    return summary


def _counted(paths: Sequence[Path], results: Path, summary: Summary, label: str) -> Iterator[Entry]:
    with progress(label, len(paths)) as bar:
        for entry in read(paths, results):
            if entry is None:
                summary.unreadable += 1
            else:
                summary.videos += 1
                yield entry
            bar.advance()


def _count(entry: Entry, summary: Summary) -> None:
    if entry.result.error is not None:
        summary.failed += 1
    elif not spans(entry.result):
        summary.uncertain += 1
        summary.uncalibrated += entry.result.precision is None


def _takes(row: ExportFormat, entry: Entry) -> bool:
    tests: dict[str, Callable[[], bool]] = {
        "all": lambda: True,
        "tagged": lambda: entry.result.error is None,
        "certain": lambda: bool(spans(entry.result)),
    }
    return tests[row.takes]()


def _tally(summary: Summary, name: str, written: bool) -> None:
    if written:
        summary.files[name] += 1
    else:
        summary.refused += 1


def _changed(row: ExportFormat, change: Change, summary: Summary) -> None:
    if change.did == "left alone":
        log.warning("%s: left alone: %s", change.path, change.why)
        summary.refused += 1
    elif change.did != "unchanged" or change.path.exists():  # nothing certain: there may be no file, and need not be
        summary.files[row.name] += 1
