"""Comma-separated values (RFC 4180, LF): one line a video, tags best first and separated by '; '.

In paths and messages control characters and bytes that are no UTF-8 are escaped (nsnet_cli/text.py), so that a row is
always one line; JSON has them exactly.
"""

from __future__ import annotations

import csv
import io

from nsnet_cli.text import printable
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
                printable(result.path),
                result.status,
                "" if result.duration_s is None else f"{result.duration_s:.3f}",
                top.name if top else "",
                f"{top.score:.6g}" if top else "",
                SEPARATOR.join(tag.name for tag in result.tags),
                SEPARATOR.join(f"{tag.score:.6g}" for tag in result.tags),
                SEPARATOR.join(tag.id for tag in result.tags),
                SEPARATOR.join(f"{frame.pts_s:.3f}" for frame in result.salient_frames),
                result.sampling.policy if result.sampling else "",
                result.model.checkpoint if result.model else "",
                f"{result.cost.gflops:.6g}" if result.cost else "",
                f"{result.timings.total_s:.3f}" if result.timings else "",
                result.error.kind if result.error else "",
                printable(result.error.message) if result.error else "",
            )
        )

    def tail(self) -> str:
        return ""


def _line(cells: tuple[str, ...]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(cells)
    return out.getvalue()
