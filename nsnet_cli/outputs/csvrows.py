"""Comma-separated values (RFC 4180, LF): one line per video, or one line per span of a certain tag.

A list, as of a video's tags, is separated by '; '. All lists of tags are in the order of `tags`.

In all text, control characters and bytes that are not UTF-8 are escaped, so that a row is always one line. Text that a
spreadsheet would take for a formula (it begins with = + - or @), or that begins with an apostrophe, gets an apostrophe
in front. Remove one apostrophe and undo the escapes (nsnet_cli/text.py) to get the original text. Each tag of a list is
escaped separately. JSON has everything exactly.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from nsnet_cli.text import json_text, printable, spreadsheet_cell
from nsnet_cli.types import Span, VideoResult

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
    "precision",
    "probabilities",
    "certain",
    "parents",
    "spans",
    "perhaps",
    "perhaps_probability",
)
SPAN_COLUMNS = (
    "path",
    "tag",
    "tag_id",
    "start_s",
    "end_s",
    "probability",
    "tag_probability",
    "interval_s",
    "duration_s",
)
SEPARATOR = "; "
PARENT_SEPARATOR = " < "
SPAN_SEPARATOR = " "


class CsvRows:
    """Head and rows as text: one line per video. `columns`: names of a manifest's columns, which come last."""

    def __init__(self, columns: Sequence[str] = ()) -> None:
        self._columns = columns

    def head(self) -> str:
        return _line((*COLUMNS, *_names(self._columns, COLUMNS)))

    def row(self, result: VideoResult) -> str:
        top = result.tags[0] if result.tags else None
        return _line(
            (
                _text(result.path),
                result.status,
                _time(result.duration_s),
                _text(top.name) if top else "",
                _number(top.score) if top else "",
                SEPARATOR.join(_text(tag.name) for tag in result.tags),
                SEPARATOR.join(_number(tag.score) for tag in result.tags),
                SEPARATOR.join(_text(tag.id) for tag in result.tags),
                SEPARATOR.join(_time(frame.pts_s) for frame in result.salient_frames),
                result.sampling.policy if result.sampling else "",
                _text(result.model.checkpoint) if result.model else "",
                _number(result.cost.gflops) if result.cost else "",
                _time(result.timings.total_s) if result.timings else "",
                result.error.kind if result.error else "",
                _text(result.error.message) if result.error else "",
                _number(result.precision),
                SEPARATOR.join(_number(tag.probability) for tag in result.tags),
                SEPARATOR.join("true" if tag.certain else "false" for tag in result.tags),
                SEPARATOR.join(PARENT_SEPARATOR.join(map(_text, tag.parents)) for tag in result.tags),
                SEPARATOR.join(SPAN_SEPARATOR.join(map(_span, tag.spans)) for tag in result.tags),
                _text(result.perhaps.name) if result.perhaps else "",
                _number(result.perhaps.probability) if result.perhaps else "",
                *_given(result, self._columns),
            )
        )

    def tail(self) -> str:
        return ""


class SpanRows:
    """Head and rows as text: one line per span of a certain tag, in order of time. A video may have none."""

    def __init__(self, columns: Sequence[str] = ()) -> None:
        self._columns = columns

    def head(self) -> str:
        return _line((*SPAN_COLUMNS, *_names(self._columns, SPAN_COLUMNS)))

    def row(self, result: VideoResult) -> str:
        found = [(span, tag) for tag in result.tags if tag.certain for span in tag.spans]
        found.sort(key=lambda pair: (pair[0].start_s, -pair[0].probability))
        interval_s = result.sampling.interval_s if result.sampling else None
        return "".join(
            _line(
                (
                    _text(result.path),
                    _text(tag.name),
                    _text(tag.id),
                    _time(span.start_s),
                    _time(span.end_s),
                    _number(span.probability),
                    _number(tag.probability),
                    _time(interval_s),
                    _time(result.duration_s),
                    *_given(result, self._columns),
                )
            )
            for span, tag in found
        )

    def tail(self) -> str:
        return ""


def _names(columns: Sequence[str], own: Sequence[str]) -> list[str]:
    """The names of a manifest's columns. One that is a name of ours gets `columns.` in front."""
    return [_text(f"columns.{name}" if name in own else name) for name in columns]


def _given(result: VideoResult, columns: Sequence[str]) -> list[str]:
    """What a manifest says about a video: text as it is, everything else as JSON, nothing for null."""
    values = [(result.columns or {}).get(name) for name in columns]
    return ["" if value is None else _text(value if isinstance(value, str) else json_text(value)) for value in values]


def _span(span: Span) -> str:
    return f"{_time(span.start_s)}-{_time(span.end_s)}"


def _time(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.3f}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _text(text: str) -> str:
    return spreadsheet_cell(printable(text))


def _line(cells: tuple[str, ...]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(cells)
    return out.getvalue()
