"""From what the stages found to the result of a video: pure functions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nsnet_cli.nets.cost import FrameCost
from nsnet_cli.selection import aggregate
from nsnet_cli.stages import Choice, Preview, Scores
from nsnet_cli.types import (
    Cost,
    Evidence,
    FrameScore,
    ModelInfo,
    SalientFrame,
    SamplingInfo,
    Tag,
    TagName,
    TagOptions,
    Timings,
    VideoResult,
)

EVIDENCE_FRAMES = 3
"""Most frames that are named as evidence of a tag."""


def answer(
    preview: Preview,
    scores: Scores,
    choice: Choice,
    options: TagOptions,
    model: ModelInfo,
    vocabulary: Sequence[TagName],
    preview_vocabulary: Sequence[TagName],
    cost: FrameCost,
    total_s: float,
) -> VideoResult:
    """The result of one video. `preview_vocabulary` is empty where nobody has named the preview network's classes."""
    chosen, saliency, count = choice.frames, scores.saliency, len(preview.pts_s)
    previewed = count if preview.features is not None else 0
    return VideoResult(
        path=str(preview.path),
        status="ok",
        duration_s=preview.info.duration_s,
        tags=_tags(preview, scores, choice, options, vocabulary),
        salient_frames=tuple(SalientFrame(float(preview.pts_s[i]), float(saliency[i])) for i in np.sort(chosen)),
        sampling=SamplingInfo(options.policy, preview.plan.kind, count, len(chosen), choice.stopped),
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
    )


def _tags(
    preview: Preview, scores: Scores, choice: Choice, options: TagOptions, vocabulary: Sequence[TagName]
) -> tuple[Tag, ...]:
    """The top-k tags over the threshold, each with the frames that carried it, strongest first."""
    saliency, pts_s = scores.saliency[choice.frames], preview.pts_s[choice.frames]  # (K,)
    video = aggregate(choice.scores, saliency)
    best = np.argsort(-video, kind="stable")[: options.top_k]
    tags = []
    for c in best[video[best] >= options.threshold]:
        carried = np.argsort(-choice.scores[:, c] * saliency, kind="stable")[:EVIDENCE_FRAMES]
        evidence = tuple(Evidence(float(pts_s[k]), float(saliency[k]), float(choice.scores[k, c])) for k in carried)
        tags.append(Tag(vocabulary[c].id, vocabulary[c].name, float(video[c]), evidence))
    return tuple(tags)


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
