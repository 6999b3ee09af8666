"""What the index takes from one kept result: its tags, when each is seen, and the embeddings of its frames."""

from __future__ import annotations

import json
import math
import os
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nsnet_cli.errors import KeptError
from nsnet_cli.hierarchy import stands_over
from nsnet_cli.outputs.jsonlines import from_dict
from nsnet_cli.outputs.owner import is_schema
from nsnet_cli.outputs.sources import source_of
from nsnet_cli.records import dataclass
from nsnet_cli.types import Tag, TagName, VideoResult

if TYPE_CHECKING:
    import numpy as np

    from nsnet_cli.kept import Kept

LEAST = 0.01
"""A tag that is less likely is not found. Uncalibrated: with a lower score."""
MOST_BYTES = 64 << 20


class SkippedError(Exception):
    """A file is not a result that can be indexed."""


@dataclass(slots=True)
class Seen:
    """A tag in one video. `probability` is None where nothing was calibrated."""

    id: str
    name: str
    probability: float | None
    score: float
    certain: bool
    spans: list[tuple[float, float, float]]
    """Start, end, and the share of the tag's probability."""
    over: tuple[str, ...] = ()
    """Ids of what stands over it."""

    @property
    def rank(self) -> float:
        """Hits are sorted by this: the probability; without a calibration the score, after all probabilities."""
        return self.score - 1 if self.probability is None else self.probability


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What one result file says."""

    path: bytes
    source: bytes
    status: str
    duration_s: float | None
    fingerprint: str
    checkpoint: str
    tags: list[Seen] = field(default_factory=list)
    projection: str | None = None
    pts_s: np.ndarray | None = None  # (T,)
    features: np.ndarray | None = None  # (T, D)
    images: Images | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Images:
    """Embeddings of frames that text can be compared with."""

    tower: str
    pts_s: np.ndarray  # (E,)
    features: np.ndarray  # (E, D)


def read_found(result: Path) -> Found:
    """Reads a kept result and what is kept beside it, if that is whole. Raises SkippedError, and OSError."""
    row = _row(result)
    try:
        return _found(result, row, from_dict(row))
    except (ValueError, OverflowError) as error:  # also a path that no file can have
        raise SkippedError(str(error)) from error


def _found(result: Path, row: dict[str, Any], said: VideoResult) -> Found:
    kept = _kept(result, row, said)
    precision = float(said.precision) if _is_number(said.precision) else 0.0  # type: ignore[arg-type]
    tags = _of_kept(kept, precision) if kept is not None else _of_result(said)
    with_features = kept is not None and kept.features is not None and kept.projection is not None
    return Found(
        path=os.fsencode(said.path),
        source=os.fsencode(source_of(row).path),
        status=said.status,
        duration_s=said.duration_s if _is_number(said.duration_s) else None,
        fingerprint=_text(row.get("fingerprint", "")),
        checkpoint=_text(said.model.checkpoint) if said.model else "",
        tags=tags,
        projection=kept.projection if kept is not None and with_features else None,
        pts_s=kept.pts_s if kept is not None and with_features else None,
        features=kept.features if kept is not None and with_features else None,
        images=_images(kept) if kept is not None else None,
    )


def _images(kept: Kept) -> Images | None:
    if kept.images is None or kept.images_of is None or kept.tower is None:
        return None
    return Images(kept.tower, kept.pts_s[kept.images_of], kept.images)


def _row(result: Path) -> dict[str, Any]:
    try:
        if result.stat().st_size > MOST_BYTES:
            raise SkippedError("it is too large")
        row = json.loads(result.read_bytes())
    except (ValueError, RecursionError) as error:
        raise SkippedError("it is cut short or damaged") from error
    if not is_schema(row):
        raise SkippedError("nsnet did not write it")
    return dict(row)


def _kept(result: Path, row: dict[str, Any], said: VideoResult) -> Kept | None:
    """What is kept beside the result; None for results of version 0.1, and where it is damaged or another's."""
    if said.status != "ok" or row.get("kept") is None:
        return None
    from nsnet_cli.outputs.kept_results import read_kept

    try:
        return read_kept(result)
    except KeptError:
        return None


def _of_kept(kept: Kept, precision: float) -> list[Seen]:
    """All tags that were kept and are likely enough, with what stands over them."""
    from nsnet_cli.render import seen_at

    judged, found = kept.judged, dict[str, Seen]()
    for n, node in enumerate(judged.nodes):
        score, likely = float(judged.scores[n]), None
        if judged.probabilities is not None:
            likely = float(judged.probabilities[n])
        if (score if likely is None else likely) < LEAST:
            continue
        spans = [(span.start_s, span.end_s, span.probability / (likely or 1.0)) for span in seen_at(kept, n)]
        over = tuple(_text(name.id) for name in node.parents)
        sure = likely is not None and 0 < precision <= likely
        found[node.id] = Seen(_text(node.id), _text(node.name), likely, score, sure, spans, over)
    names = {_text(over.id): _text(over.name) for node in judged.nodes for over in node.parents}
    return _with_ancestors(found, names)


def _of_result(said: VideoResult) -> list[Seen]:
    """The tags that the result itself has. Those without spans were seen at their strongest frame or clip."""
    found, names = dict[str, Seen](), dict[str, str]()
    for tag in (*said.tags, *([said.perhaps] if said.perhaps else ())):
        if not _sound(tag):
            raise SkippedError("its tags are damaged")
        over = _over(tag)
        names |= {each.id: each.name for each in over}
        whole = tag.probability or 1.0
        spans = [(span.start_s, span.end_s, min(1.0, span.probability / whole)) for span in tag.spans]
        if not spans and tag.evidence:
            best = tag.evidence[0]
            clip = (best.start_s, best.end_s)
            start_s, end_s = (best.pts_s, best.pts_s) if clip[0] is None or clip[1] is None else clip
            spans = [(start_s, end_s, 1.0)]
        ids = tuple(each.id for each in over)
        found[tag.id] = Seen(_text(tag.id), _text(tag.name), tag.probability, tag.score, tag.certain, spans, ids)
    return _with_ancestors(found, names)


def _over(tag: Tag) -> tuple[TagName, ...]:
    return tuple(TagName(_text(over.id), _text(over.name)) for over in stands_over(tag.id, tag.parents))


def _sound(tag: Tag) -> bool:
    """Whether a tag has the types that it should have: a result may have been edited."""
    numbers = [tag.score, *([] if tag.probability is None else [tag.probability])]
    numbers += [number for span in tag.spans for number in (span.start_s, span.end_s, span.probability)]
    for seen in tag.evidence:
        numbers += [seen.pts_s, *(edge_s for edge_s in (seen.start_s, seen.end_s) if edge_s is not None)]
    texts = [tag.id, tag.name, *tag.parents]
    return all(isinstance(text, str) for text in texts) and all(map(_is_number, numbers))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _text(value: object) -> str:
    """Text that a database takes: no halves of characters."""
    return str(value).encode("utf-8", "replace").decode()


def _with_ancestors(found: dict[str, Seen], names: dict[str, str]) -> list[Seen]:
    """Adds what stands over the tags and was not judged itself: it is seen wherever they are, and as likely."""
    added: dict[str, Seen] = {}
    for seen in found.values():
        for over in seen.over:
            if over in found:
                continue
            above = added.get(over)
            if above is None:
                above = added[over] = Seen(over, names[over], None, 0.0, False, [])
            above.spans += [(start, end, share * (seen.probability or 1.0)) for start, end, share in seen.spans]
            above.score = max(above.score, seen.score)
            above.certain |= seen.certain
            if seen.probability is not None:
                above.probability = max(above.probability or 0.0, seen.probability)
    for above in added.values():
        whole = above.probability or 1.0
        above.spans = sorted((start, end, min(1.0, share / whole)) for start, end, share in above.spans)
    return [*found.values(), *added.values()]
