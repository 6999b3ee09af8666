"""What `nsnet tag` writes to stdout: one writer a format, each imported when it is chosen."""

from __future__ import annotations

from typing import Protocol

from nsnet_cli.types import VideoResult

ROW_FORMATS = ("table", "jsonl", "json", "csv")
"""Formats that hold any number of videos; the others are one document a video."""


class Rows(Protocol):
    """Results as text for stdout."""

    def head(self) -> str: ...
    def row(self, result: VideoResult) -> str: ...
    def tail(self) -> str: ...


def make_rows(format: str, paths: list[str], width: int | None, color: bool) -> Rows:
    """The writer of a format. `width` None: not a terminal, nothing is folded."""
    if format == "jsonl":
        from nsnet_cli.outputs.jsonlines import JsonLines

        return JsonLines()
    if format == "json":
        from nsnet_cli.outputs.jsonlines import JsonArray

        return JsonArray()
    if format == "csv":
        from nsnet_cli.outputs.csvrows import CsvRows

        return CsvRows()
    if format == "table":
        from nsnet_cli.outputs.table import TableRows

        return TableRows(paths, width, color)
    return _OneDocument(format)


class _OneDocument:
    """WebVTT or XMP of a single video on stdout."""

    def __init__(self, format: str) -> None:
        self._format = format

    def head(self) -> str:
        return ""

    def row(self, result: VideoResult) -> str:
        if result.error is not None:
            return ""
        if self._format == "vtt":
            from nsnet_cli.outputs.vtt import to_vtt

            return to_vtt(result)
        from nsnet_cli.outputs.xmp import to_xmp

        return to_xmp(result)

    def tail(self) -> str:
        return ""
