"""Comma-separated values (RFC 4180, LF): one line per video, tags best first and separated by '; '.

In all text, control characters and bytes that are not UTF-8 are escaped, so that a row is always one line. Text that a
spreadsheet would take for a formula (it begins with = + - or @), or that begins with an apostrophe, gets an apostrophe
in front. Remove one apostrophe and undo the escapes (nsnet_cli/text.py) to get the original text. Each tag of a list is
escaped separately. JSON has everything exactly.
"""

from __future__ import annotations

import csv
import io

from nsnet_cli.text import printable, spreadsheet_cell
from nsnet_cli.types import VideoResult

COLUMNS = (
    "path",
    "status",
    "duration_s",
    "top_tag",
    "top_score",
    "tags",
    "scores",
    "tag_ids",
    "salient_pts_s",
    "policy",
    "checkpoint",
    "gflops",
    "total_s",
    "error_kind",
    "error_message",
)
SEPARATOR = "; "


class CsvRows:
    """Head and rows as text."""

    def head(self) -> str:
        return _line(COLUMNS)

    def row(self, result: VideoResult) -> str:
        top = result.tags[0] if result.tags else None
        return _line(
            (
                _text(result.path),
                result.status,
                "" if result.duration_s is None else f"{result.duration_s:.3f}",
                _text(top.name) if top else "",
                f"{top.score:.6g}" if top else "",
                SEPARATOR.join(_text(tag.name) for tag in result.tags),
                SEPARATOR.join(f"{tag.score:.6g}" for tag in result.tags),
                SEPARATOR.join(_text(tag.id) for tag in result.tags),
                SEPARATOR.join(f"{frame.pts_s:.3f}" for frame in result.salient_frames),
                result.sampling.policy if result.sampling else "",
                _text(result.model.checkpoint) if result.model else "",
                f"{result.cost.gflops:.6g}" if result.cost else "",
                f"{result.timings.total_s:.3f}" if result.timings else "",
                result.error.kind if result.error else "",
                _text(result.error.message) if result.error else "",
            )
        )

    def tail(self) -> str:
        return ""


def _text(text: str) -> str:
    return spreadsheet_cell(printable(text))


def _line(cells: tuple[str, ...]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(cells)
    return out.getvalue()
