"""VideoResult <-> the JSON objects of the command line. Fields may be added, never renamed or moved.

Numbers: times to the microsecond; scores, probabilities and saliency to 6 significant digits; work to 0.1 ms.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, TypeVar

from nsnet_cli.media import VideoInfo
from nsnet_cli.text import json_text
from nsnet_cli.types import (
    SCHEMA_VERSION,
    Cost,
    ErrorInfo,
    Evidence,
    FrameScore,
    ModelInfo,
    SalientFrame,
    SamplingInfo,
    Source,
    Span,
    Tag,
    Timings,
    VideoResult,
)

T = TypeVar("T")
READ_VERSIONS = tuple(range(1, SCHEMA_VERSION + 1))


def to_dict(
    result: VideoResult,
    fingerprint: str | None = None,
    source: Source | None = None,
    shown: Mapping[str, Any] | None = None,
    kept: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The object of `nsnet tag --json`, in its documented order.

    The other arguments are given for results kept in a folder: the options it was rendered with, and how the look that
    it was rendered from is named.
    """
    row: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "path": result.path,
        "status": result.status,
        "duration_s": _time(result.duration_s),
        "tags": [_tag(tag) for tag in result.tags],
        "perhaps": _tag(result.perhaps) if result.perhaps else None,
        "precision": _score(result.precision),
        "salient_frames": [
            {"pts_s": _time(f.pts_s), "saliency": _score(f.saliency), **_view(f)} for f in result.salient_frames
        ],
        "sampling": _sampling(result.sampling) if result.sampling else None,
        "model": asdict(result.model) if result.model else None,
        "cost": _cost(result.cost) if result.cost else None,
        "timings": {k: _seconds(v) for k, v in asdict(result.timings).items()} if result.timings else None,
        "error": asdict(result.error) if result.error else None,
        "video": _video(result.info) if result.info else None,
    }
    if result.columns is not None:
        row["columns"] = dict(result.columns)
    if source is not None:
        row |= {"source": source.path, "source_size_bytes": source.size_bytes, "source_mtime_ns": source.mtime_ns}
        row |= {"source_etag": source.etag} if source.etag is not None else {}
    if fingerprint is not None:
        row["fingerprint"] = fingerprint
    if shown is not None:
        row |= {"shown": dict(shown), "kept": None if kept is None else dict(kept)}
    return row


def explain_dict(result: VideoResult) -> dict[str, Any]:
    """The object of `nsnet explain --json`: the same fields, and one entry per preview frame in time order."""
    row = to_dict(result)
    row["frames"] = [
        {
            "pts_s": _time(frame.pts_s),
            "fsm": _score(frame.fsm),
            "vgm": _score(frame.vgm),
            "saliency": _score(frame.saliency),
            "confidence": _score(frame.confidence),
            "chosen": bool(frame.chosen),
            "tag": frame.tag,
        }
        for frame in result.frames
    ]
    return row


def to_line(
    result: VideoResult,
    fingerprint: str | None = None,
    source: Source | None = None,
    shown: Mapping[str, Any] | None = None,
    kept: Mapping[str, Any] | None = None,
) -> str:
    """One result as one line of JSON, without the newline. The arguments are those of `to_dict`."""
    return json_text(to_dict(result, fingerprint, source, shown, kept))


def from_dict(row: Mapping[str, Any]) -> VideoResult:
    """Reads a result back, without jpegs. Ignores unknown fields. Raises ValueError if it is not a result."""
    try:
        version = row["schema_version"]
        if version not in READ_VERSIONS:
            raise ValueError(f"schema_version {version!r}; this nsnet reads {READ_VERSIONS[-1]} and older")
        if row["status"] not in ("ok", "error"):
            raise ValueError(f"status {row['status']!r} is neither ok nor error")
        return VideoResult(
            path=str(row["path"]),
            status=row["status"],
            duration_s=row["duration_s"],
            tags=tuple(_read_tag(tag) for tag in row["tags"]),
            salient_frames=tuple(_make(SalientFrame, f) for f in row["salient_frames"]),
            sampling=_optional(SamplingInfo, row.get("sampling")),
            model=_optional(ModelInfo, row.get("model")),
            cost=_optional(Cost, row.get("cost")),
            timings=_optional(Timings, row.get("timings")),
            error=_optional(ErrorInfo, row.get("error")),
            frames=tuple(_make(FrameScore, f) for f in row.get("frames", ())),
            info=_info(row),
            perhaps=_read_tag(row["perhaps"]) if row.get("perhaps") else None,
            precision=row.get("precision"),
            columns=row.get("columns"),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a result of nsnet: {error!r}") from error


# ---- parts ----------------------------------------------------------------------------------------------------------


def _tag(tag: Tag) -> dict[str, Any]:
    return {
        "id": tag.id,
        "name": tag.name,
        "score": _score(tag.score),
        "probability": _score(tag.probability),
        "certain": tag.certain,
        "parents": list(tag.parents),
        "spans": [
            {"start_s": _time(s.start_s), "end_s": _time(s.end_s), "probability": _score(s.probability)}
            for s in tag.spans
        ],
        "evidence": [
            {"pts_s": _time(e.pts_s), "saliency": _score(e.saliency), "score": _score(e.score), **_view(e)}
            for e in tag.evidence
        ],
    }


def _view(seen: Evidence | SalientFrame) -> dict[str, float | None]:
    """Start and end of a clip; nothing for a frame."""
    return {} if seen.start_s is None else {"start_s": _time(seen.start_s), "end_s": _time(seen.end_s)}


def _read_tag(row: Mapping[str, Any]) -> Tag:
    return Tag(
        row["id"],
        row["name"],
        row["score"],
        tuple(_make(Evidence, e) for e in row["evidence"]),
        row.get("probability"),
        bool(row.get("certain")),
        tuple(row.get("parents", ())),
        tuple(_make(Span, s) for s in row.get("spans", ())),
    )


def _sampling(sampling: SamplingInfo) -> dict[str, Any]:
    return asdict(sampling) | {"interval_s": _time(sampling.interval_s)}


def _cost(cost: Cost) -> dict[str, Any]:
    return {name: _score(value) if isinstance(value, float) else value for name, value in asdict(cost).items()}


def _video(info: VideoInfo) -> dict[str, Any]:
    row = asdict(info)
    del row["path"], row["duration_s"]  # both are fields of the row
    row["fps"] = _score(info.fps)
    return row


def _info(row: Mapping[str, Any]) -> VideoInfo | None:
    video = row.get("video")
    if video is None:
        return None
    return _make(VideoInfo, {**video, "path": row["path"], "duration_s": row["duration_s"]})


def _make(kind: type[T], row: Mapping[str, Any]) -> T:
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in row.items() if name in known})


def _optional(kind: type[T], row: Mapping[str, Any] | None) -> T | None:
    return None if row is None else _make(kind, row)


def _score(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")


def _time(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(float(value), 6)


def _seconds(value: float) -> float | None:
    return None if not math.isfinite(value) else round(float(value), 4)


# ---- rows for stdout ------------------------------------------------------------------------------------------------


class JsonLines:
    """One object per line, written when each video ends."""

    def head(self) -> str:
        return ""

    def row(self, result: VideoResult) -> str:
        return to_line(result) + "\n"

    def tail(self) -> str:
        return ""


class JsonArray:
    """One array of all videos, valid even after an interruption."""

    def __init__(self) -> None:
        self._before = "["

    def head(self) -> str:
        return ""

    def row(self, result: VideoResult) -> str:
        before, self._before = self._before, ","
        return f"{before}\n{to_line(result)}"

    def tail(self) -> str:
        return "[]\n" if self._before == "[" else "\n]\n"
