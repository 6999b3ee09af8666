"""The output formats, one row each: its purpose, how it writes to stdout, and its files beside results.

`nsnet tag --format`, the folders of results, help texts and docs read FORMATS. A new format is a function and a row.
Writers are imported only when used: the command line needs the names before there is time to import them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from nsnet_cli.records import dataclass
from nsnet_cli.types import VideoResult

if TYPE_CHECKING:
    from nsnet_cli.outputs.keywords import Change

DEFAULT = "table"


class Rows(Protocol):
    """Results as text for stdout."""

    def head(self) -> str: ...
    def row(self, result: VideoResult) -> str: ...
    def tail(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Stdout:
    """What a writer knows about stdout: paths of the rows to come, width in cells, whether it shows colour."""

    paths: Sequence[str] = ()
    width: int | None = None
    """None: stdout is not a terminal, and lines do not fold."""
    color: bool = False
    columns: Sequence[str] = ()
    """Names of a manifest's columns that pass through to tables."""


Put = Callable[[str, bytes], str | None]
"""Writes a file beside a result, by its ending. Returns its name; None if another program's file is there."""


@dataclass(frozen=True, slots=True)
class Format:
    """One output format: either rows for any number of videos, or one document per video."""

    name: str
    help: str
    open_rows: Callable[[Stdout], Rows] | None = None
    """The writer of rows."""
    document: Callable[[VideoResult], str] | None = None
    """The document of one video. It must have nsnet's mark (owner.NOTE), or the next run will not replace it.

    With `merge`, it needs none.
    """
    ending: str | None = None
    """The ending of the document beside a result, as in `clip.mp4` + `.xmp`. None: only for stdout."""
    merge: Callable[[Path, VideoResult, Path], Change] | None = None
    """Writes into the document that is there, whoever wrote it. Also gets the folder for temporary files."""
    others: Callable[[VideoResult, Put], None] | None = None
    """Writes further files before the document: if the document is there, so are they."""
    needs_jpegs: bool = False
    """Its files need the preview frames as JPEG."""
    is_json: bool = False
    """Programs read it as JSON: the plan of a dry run is JSON too."""
    in_parts: bool = False
    """Only for --output-dir, where it stands instead of a file per video (nsnet_cli/outputs/parts.py)."""
    for_people: bool = False
    """On a terminal, a failed video's row shows the error, so no warning is needed."""

    @property
    def one_document(self) -> bool:
        """Whether stdout can have only one video."""
        return self.open_rows is None

    def rows(self, stdout: Stdout) -> Rows:
        """The writer for stdout."""
        if self.open_rows is not None:
            return self.open_rows(stdout)
        assert self.document is not None
        return _Document(self.document)

    def write_beside(self, result: VideoResult, put: Put) -> None:
        """Writes the format's files, if it has any, beside a result; the document last."""
        if self.document is None or self.ending is None:
            return
        if self.others is not None:
            self.others(result, put)
        put(self.ending, self.document(result).encode("utf-8"))


class _Document:
    """The document of a single video on stdout; nothing if the video failed."""

    def __init__(self, document: Callable[[VideoResult], str]) -> None:
        self._document = document

    def head(self) -> str:
        return ""

    def row(self, result: VideoResult) -> str:
        return "" if result.error is not None else self._document(result)

    def tail(self) -> str:
        return ""


def _table(stdout: Stdout) -> Rows:
    from nsnet_cli.outputs.table import TableRows

    return TableRows(stdout.paths, stdout.width, stdout.color)


def _jsonl(stdout: Stdout) -> Rows:
    from nsnet_cli.outputs.jsonlines import JsonLines

    return JsonLines()


def _json(stdout: Stdout) -> Rows:
    from nsnet_cli.outputs.jsonlines import JsonArray

    return JsonArray()


def _csv(stdout: Stdout) -> Rows:
    from nsnet_cli.outputs.csvrows import CsvRows

    return CsvRows(stdout.columns)


def _csv_spans(stdout: Stdout) -> Rows:
    from nsnet_cli.outputs.csvrows import SpanRows

    return SpanRows(stdout.columns)


def _vtt(result: VideoResult) -> str:
    from nsnet_cli.outputs.vtt import to_vtt

    return to_vtt(result)


def _vtt_thumbnails(result: VideoResult, put: Put) -> None:
    from nsnet_cli.outputs.vtt import sprite, thumbnail_cues

    if not result.jpegs:
        return
    jpeg, tiles = sprite(result)
    sheet = put(".sprite.jpg", jpeg)
    if sheet is not None:
        put(".thumbnails.vtt", thumbnail_cues(result, tiles, sheet).encode("utf-8"))


def _xmp(result: VideoResult) -> str:
    from nsnet_cli.outputs.xmp import to_xmp

    return to_xmp(result)


def _xmp_merge(path: Path, result: VideoResult, temporary: Path) -> Change:
    from nsnet_cli.outputs.sidecar import merge_into

    return merge_into(path, result, temporary)


_ROWS = (
    Format("table", "for people", _table, for_people=True),
    Format("jsonl", "one JSON object per line, written as each video ends", _jsonl, is_json=True),
    Format("json", "one JSON array", _json, is_json=True),
    Format("csv", "one line per video, for spreadsheets", _csv),
    Format("csv-spans", "one line per span in which a certain tag is seen", _csv_spans),
    Format(
        "vtt",
        "when each certain tag is seen, for web players (WebVTT)",
        document=_vtt,
        ending=".tags.vtt",
        others=_vtt_thumbnails,
        needs_jpegs=True,
    ),
    Format("parquet", "many videos per file, with --output-dir only; instead of a file per video", in_parts=True),
    Format("xmp", "certain tags as keywords, for photo managers", document=_xmp, ending=".xmp", merge=_xmp_merge),
)
FORMATS: dict[str, Format] = {row.name: row for row in _ROWS}
