"""Builds a video's result from what the stages found. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nsnet_cli.nets.cost import FrameCost
from nsnet_cli.presence import Judge, Present
from nsnet_cli.spans import interval_s, seen, stretches, times
from nsnet_cli.stages import Choice, Preview, Scores
from nsnet_cli.types import (
    Cost,
    Evidence,
    FrameScore,
    ModelInfo,
    SalientFrame,
    SamplingInfo,
    Span,
    Tag,
    TagName,
    TagOptions,
    Timings,
    VideoResult,
    Why,
)
from nsnet_cli.weights.heads import softmax
from nsnet_cli.why import reasons

EVIDENCE_FRAMES = 3
"""Most evidence frames per tag."""
ANCHOR = 0.5
"""A recognised frame shows a certain tag if its score there is at least this share of the highest."""


def answer(
    preview: Preview,
    scores: Scores,
    choice: Choice,
    options: TagOptions,
    model: ModelInfo,
    judge: Judge,
    preview_vocabulary: Sequence[TagName],
    cost: FrameCost,
    total_s: float,
) -> VideoResult:
    """Returns the result of one video. `preview_vocabulary` is empty if the preview network's classes have no names."""
    chosen, saliency, count = choice.frames, scores.saliency, len(preview.pts_s)
    previewed = count if preview.features is not None else 0
    present = look(judge, preview, scores, chosen, choice.scores, options.top_k)
    picked = pick(judge, present, options)
    make = _Maker(judge, present, preview, saliency, reasons(judge, present, picked.all))
    return VideoResult(
        path=str(preview.path),
        status="ok",
        duration_s=preview.info.duration_s,
        tags=(*(make.tag(n, certain=True) for n in picked.certain), *map(make.tag, picked.guesses)),
        perhaps=None if picked.perhaps is None else make.tag(picked.perhaps),
        salient_frames=tuple(SalientFrame(float(preview.pts_s[i]), float(saliency[i])) for i in np.sort(chosen)),
        sampling=SamplingInfo(
            options.policy, preview.plan.kind, count, len(chosen), choice.stopped, interval_s(preview.pts_s)
        ),
        model=model,
        cost=Cost(
            frames_decoded=preview.report.frames_decoded,
            frames_lost=preview.report.frames_lost,
            gflops=cost.total(previewed, len(chosen), sampler=scores.sampler is not None),
            dense_gflops=cost.dense(count),
        ),
        timings=Timings(preview.report.decode_s, preview.seconds, scores.seconds, choice.seconds, total_s),
        frames=_frames(preview, scores, set(chosen.tolist()), preview_vocabulary),
        info=preview.info,
        jpegs=preview.jpegs,
        precision=None if present.probabilities is None else options.precision,
    )


def look(
    judge: Judge, preview: Preview, scores: Scores, frames: np.ndarray, found: np.ndarray, least: int = 0
) -> Present:
    """Returns what is in a video, the `least` best tags of the vocabulary among it.

    found (K, C) are the recogniser's scores of the preview frames `frames` (K,).
    """
    fsm, previews = scores.sampler.fsm if scores.sampler else None, preview_scores(judge, preview.logits)
    return judge.look(found, scores.saliency[frames], frames, previews, fsm, preview.features, least=least)


def preview_scores(judge: Judge, logits: np.ndarray | None) -> np.ndarray | None:
    """Returns the preview network's scores (T, C), None if it did not look or has other classes."""
    return softmax(logits.astype(np.float32)) if logits is not None and judge.previews else None


@dataclass(frozen=True, slots=True)
class Picked:
    """Which nodes are shown, as positions in `Present.nodes`."""

    certain: tuple[int, ...]
    guesses: tuple[int, ...]
    perhaps: int | None

    @property
    def all(self) -> tuple[int, ...]:
        return (*self.certain, *self.guesses, *(() if self.perhaps is None else (self.perhaps,)))


def pick(judge: Judge, present: Present, options: TagOptions) -> Picked:
    """Returns the top-k tags at or above the threshold, and what is perhaps there if none of them is certain."""
    video = present.scores
    certain = judge.certain(present, options.precision)
    leaves = np.flatnonzero(present.nodes.rows < len(judge.hierarchy.vocabulary))
    best = leaves[np.argsort(-video[leaves], kind="stable")][: options.top_k + len(certain)]
    shown = tuple(n for n in certain if video[n] >= options.threshold)[: options.top_k]
    guesses = tuple(int(n) for n in best if n not in certain and video[n] >= options.threshold)
    perhaps = judge.likeliest(present) if options.precision and not certain else None
    return Picked(shown, guesses[: options.top_k - len(shown)], perhaps)


def spans(
    present: Present, n: int, pts_s: np.ndarray, features: np.ndarray | None, duration_s: float
) -> tuple[Span, ...]:
    """Returns when the n-th node is seen.

    pts_s (T,) and features (T, D) are those of the preview frames. Where the preview network did not look, the
    recogniser's scores alone say when: drawn as straight lines between the recognised frames.
    """
    nodes, sums = present.nodes, present.nodes.sums[:, n]
    anchors = np.sort(nodes.chosen[sums >= ANCHOR * sums.max()])
    if features is None:
        order = np.argsort(nodes.chosen)
        series = np.interp(pts_s, pts_s[nodes.chosen[order]], sums[order])
    else:
        series = seen(features, anchors, None if nodes.preview is None else nodes.preview[:, n])
    whole = 1.0 if present.probabilities is None else float(present.probabilities[n])
    return tuple(
        Span(*times(stretch, pts_s, duration_s), whole * stretch.share) for stretch in stretches(series, anchors, pts_s)
    )


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes tags of the nodes of one video."""

    judge: Judge
    present: Present
    preview: Preview
    saliency: np.ndarray  # (T,)
    why: Mapping[int, Why]

    def tag(self, n: int, *, certain: bool = False) -> Tag:
        """Returns the tag of the n-th node, with the frames that added most to its score."""
        nodes = self.present.nodes
        name = self.judge.hierarchy.nodes[nodes.rows[n]]
        pts_s, saliency, sums = self.preview.pts_s[nodes.chosen], self.saliency[nodes.chosen], nodes.sums[:, n]
        carried = np.argsort(-sums * saliency, kind="stable")[:EVIDENCE_FRAMES]
        likely = self.present.probabilities
        return Tag(
            name.id,
            name.name,
            float(self.present.scores[n]),
            tuple(Evidence(float(pts_s[k]), float(saliency[k]), float(sums[k])) for k in carried),
            None if likely is None else float(likely[n]),
            certain,
            tuple(over.name for over in self.judge.hierarchy.ancestors(name.id)),
            self._spans(n) if certain else (),
            self.why.get(n),
        )

    def _spans(self, n: int) -> tuple[Span, ...]:
        duration_s = self.preview.info.duration_s or 0.0
        return spans(self.present, n, self.preview.pts_s, self.preview.features, duration_s)


def _frames(
    preview: Preview, scores: Scores, chosen: set[int], vocabulary: Sequence[TagName]
) -> tuple[FrameScore, ...]:
    sampler, sure, best = scores.sampler, scores.confidence, scores.best
    return tuple(
        FrameScore(
            pts_s=float(preview.pts_s[i]),
            saliency=float(scores.saliency[i]),
            chosen=i in chosen,
            fsm=float(sampler.fsm[i]) if sampler else None,
            vgm=float(sampler.vgm[i]) if sampler else None,
            confidence=float(sure[i]) if sure is not None else None,
            tag=vocabulary[int(best[i])].name if best is not None and vocabulary else None,
        )
        for i in range(len(preview.pts_s))
    )
