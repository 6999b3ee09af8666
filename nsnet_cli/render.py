"""Renders a look at a video as a result. Pure functions: no network, no checkpoint and no video is needed.

One look gives results for every `--top-k`, `--precision` and `--threshold`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from nsnet_cli.calibration import LIKELY
from nsnet_cli.kept import Judged, Kept
from nsnet_cli.records import dataclass
from nsnet_cli.spans import anchors, between, interval_s, shows, spans
from nsnet_cli.types import (
    Evidence,
    FrameScore,
    SalientFrame,
    SamplingInfo,
    Span,
    Tag,
    TagOptions,
    VideoResult,
    Why,
)
from nsnet_cli.why import reasons

EVIDENCE_FRAMES = 3
"""Most evidence frames per tag."""


def render(kept: Kept, options: TagOptions, path: str) -> VideoResult:
    """Returns the result of a look at the video `path`, without pictures.

    Of the options, only top_k, threshold and precision count: the others were settled when the video was looked at.
    Where `kept.answers(options.top_k)` is false, the result has fewer tags than there are.
    """
    judged = kept.judged
    picked = pick(judged, options)
    make = _Maker(kept, reasons(judged, picked.all, len(kept.pts_s)))
    return VideoResult(
        path=path,
        status="ok",
        duration_s=kept.info.duration_s,
        tags=(*(make.tag(n, certain=True) for n in picked.certain), *map(make.tag, picked.guesses)),
        perhaps=None if picked.perhaps is None else make.tag(picked.perhaps),
        salient_frames=tuple(_salient_frame(kept, k) for k in np.argsort(kept.chosen)),
        sampling=SamplingInfo(
            kept.policy, kept.plan, len(kept.pts_s), len(kept.chosen), kept.stopped, interval_s(kept.pts_s)
        ),
        model=kept.model,
        cost=kept.cost,
        timings=kept.timings,
        frames=frame_scores(kept),
        info=replace(kept.info, path=path),
        precision=None if judged.probabilities is None else options.precision,
    )


# ---- which tags -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Picked:
    """Which nodes are shown, as positions in `Judged.nodes`."""

    certain: tuple[int, ...]
    guesses: tuple[int, ...]
    perhaps: int | None

    @property
    def all(self) -> tuple[int, ...]:
        return (*self.certain, *self.guesses, *(() if self.perhaps is None else (self.perhaps,)))


def pick(judged: Judged, options: TagOptions) -> Picked:
    """Returns the top-k tags at or above the threshold, and what is perhaps there if none of them is certain."""
    video, over = judged.scores, stands_over(judged)
    certain = most_specific(judged.probabilities, video, over, options.precision)
    best = np.argsort(-video[: judged.leaves], kind="stable")[: options.top_k + len(certain)]
    shown = tuple(n for n in certain if video[n] >= options.threshold)[: options.top_k]
    guesses = tuple(int(n) for n in best if n not in certain and video[n] >= options.threshold)
    perhaps = None
    if options.precision and not certain and judged.probabilities is not None:
        likely = most_specific(judged.probabilities, video, over, LIKELY)
        perhaps = max(likely, key=judged.probabilities.__getitem__, default=None)
    return Picked(shown, guesses[: options.top_k - len(shown)], perhaps)


def most_specific(
    probabilities: np.ndarray | None, scores: np.ndarray, over: np.ndarray, precision: float
) -> list[int]:
    """Returns positions of the most specific nodes that reach a precision, the highest score first.

    probabilities (n,), scores (n,); over (n, n): whether the second node stands over the first. None is certain without
    probabilities, or at precision 0.
    """
    if probabilities is None or not precision:
        return []
    reach = np.flatnonzero(probabilities >= precision)
    specific = reach[~over[np.ix_(reach, reach)].any(0)]
    order = np.lexsort((-probabilities[specific], -scores[specific]))
    return [int(position) for position in specific[order]]


def stands_over(judged: Judged) -> np.ndarray:
    """Returns (n, n) bool: whether the second node stands over the first."""
    place = {node.id: n for n, node in enumerate(judged.nodes)}
    over = np.zeros((len(place), len(place)), bool)
    for n, node in enumerate(judged.nodes):
        over[n, [place[above.id] for above in node.parents if above.id in place]] = True
    return over


# ---- what is said of each -------------------------------------------------------------------------------------------


def seen_at(kept: Kept, n: int) -> tuple[Span, ...]:
    """Returns when the n-th node is seen, in order of time."""
    judged, likely = kept.judged, kept.judged.probabilities
    sums = judged.sums[:, n]
    column = np.flatnonzero(kept.series_of == n)
    series = kept.series[:, column[0]] if len(column) else between(kept.pts_s, kept.chosen, sums)
    whole = 1.0 if likely is None else float(likely[n])
    shown, clips_s = anchors(kept.chosen, sums), None
    if kept.views_s is not None:  # in order of time, as the anchors are
        showing = np.flatnonzero(shows(sums))
        clips_s = kept.views_s[showing[np.argsort(kept.chosen[showing])]]
    return spans(series, shown, kept.pts_s, kept.info.duration_s or 0.0, whole, clips_s)


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes tags of the nodes of one video."""

    kept: Kept
    why: Mapping[int, Why]

    def tag(self, n: int, *, certain: bool = False) -> Tag:
        """Returns the tag of the n-th node, with the frames that added most to its score."""
        kept, judged = self.kept, self.kept.judged
        node, likely = judged.nodes[n], judged.probabilities
        pts_s, saliency, sums = kept.pts_s[kept.chosen], kept.saliency[kept.chosen], judged.sums[:, n]
        carried = np.argsort(-sums * saliency, kind="stable")[:EVIDENCE_FRAMES]
        return Tag(
            node.id,
            node.name,
            float(judged.scores[n]),
            tuple(Evidence(float(pts_s[k]), float(saliency[k]), float(sums[k]), *_clip(kept, k)) for k in carried),
            None if likely is None else float(likely[n]),
            certain,
            tuple(over.name for over in node.parents),
            seen_at(kept, n) if certain else (),
            self.why.get(n),
        )


def _salient_frame(kept: Kept, k: int) -> SalientFrame:
    frame = kept.chosen[k]
    return SalientFrame(float(kept.pts_s[frame]), float(kept.saliency[frame]), *_clip(kept, k))


def _clip(kept: Kept, k: int) -> tuple[float, float] | tuple[()]:
    """When the k-th recognised clip begins and ends; nothing for a frame."""
    return () if kept.views_s is None else (float(kept.views_s[k, 0]), float(kept.views_s[k, 1]))


def frame_scores(kept: Kept) -> tuple[FrameScore, ...]:
    """Returns the preview frames of a look, in order of time."""
    chosen = set(kept.chosen.tolist())

    def number(values: np.ndarray | None, i: int) -> float | None:
        return None if values is None else float(values[i])

    return tuple(
        FrameScore(
            pts_s=float(kept.pts_s[i]),
            saliency=float(kept.saliency[i]),
            chosen=i in chosen,
            fsm=number(kept.fsm, i),
            vgm=number(kept.vgm, i),
            confidence=number(kept.confidence, i),
            tag=None if kept.guess is None else kept.guesses[kept.guess[i]],
        )
        for i in range(len(kept.pts_s))
    )
