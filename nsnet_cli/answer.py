"""Builds a video's result from what the stages found. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nsnet_cli.nets.cost import FrameCost
from nsnet_cli.presence import LIKELY, Judge, Present
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
)
from nsnet_cli.weights.heads import softmax

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
    recognised = saliency[chosen]
    fsm = scores.sampler.fsm if scores.sampler else None
    previews = preview_scores(preview.logits, judge)
    present = judge.look(choice.scores, recognised, chosen, previews, fsm, preview.features, least=options.top_k)
    tags, perhaps = _tags(preview, recognised, options, judge, present)
    return VideoResult(
        path=str(preview.path),
        status="ok",
        duration_s=preview.info.duration_s,
        tags=tags,
        perhaps=perhaps,
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


def _tags(
    preview: Preview, saliency: np.ndarray, options: TagOptions, judge: Judge, present: Present
) -> tuple[tuple[Tag, ...], Tag | None]:
    """Returns the top-k tags at or above the threshold, and what is perhaps there if none of them is certain.

    saliency (K,) of the recognised frames.
    """
    make = _Maker(preview, saliency, present, judge)
    video = present.scores
    certain = judge.certain(present, options.precision)
    tags = [make.tag(n, certain=True) for n in certain if video[n] >= options.threshold]
    leaves = np.flatnonzero(present.nodes.rows < len(judge.hierarchy.vocabulary))
    best = leaves[np.argsort(-video[leaves], kind="stable")][: options.top_k + len(certain)]
    guesses = [make.tag(int(n)) for n in best if n not in certain and video[n] >= options.threshold]
    likely = judge.certain(present, LIKELY) if options.precision and not certain else []
    return tuple([*tags, *guesses][: options.top_k]), make.tag(likely[0]) if likely else None


def preview_scores(logits: np.ndarray | None, judge: Judge) -> np.ndarray | None:
    """Returns the preview network's scores (T, C), None if it did not look or has other classes."""
    return softmax(logits.astype(np.float32)) if logits is not None and judge.previews else None


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes tags of the nodes of one video."""

    preview: Preview
    saliency: np.ndarray  # (K,)
    present: Present
    judge: Judge

    def tag(self, n: int, *, certain: bool = False) -> Tag:
        """Returns the tag of the n-th node, with the frames that added most to its score."""
        nodes = self.present.nodes
        name = self.judge.hierarchy.nodes[nodes.rows[n]]
        pts_s, sums = self.preview.pts_s[nodes.chosen], nodes.sums[:, n]
        carried = np.argsort(-sums * self.saliency, kind="stable")[:EVIDENCE_FRAMES]
        likely = self.present.probabilities
        return Tag(
            name.id,
            name.name,
            float(self.present.scores[n]),
            tuple(Evidence(float(pts_s[k]), float(self.saliency[k]), float(sums[k])) for k in carried),
            None if likely is None else float(likely[n]),
            certain,
            tuple(over.name for over in self.judge.hierarchy.ancestors(name.id)),
            self._spans(n) if certain else (),
        )

    def _spans(self, n: int) -> tuple[Span, ...]:
        nodes, duration_s = self.present.nodes, self.preview.info.duration_s or 0.0
        assert self.preview.features is not None and self.present.probabilities is not None
        anchors = np.sort(nodes.chosen[nodes.sums[:, n] >= ANCHOR * nodes.sums[:, n].max()])
        series = seen(self.preview.features, anchors, None if nodes.preview is None else nodes.preview[:, n])
        whole = float(self.present.probabilities[n])
        return tuple(
            Span(*times(stretch, self.preview.pts_s, duration_s), whole * stretch.share)
            for stretch in stretches(series, anchors, self.preview.pts_s)
        )


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
