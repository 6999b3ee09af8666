"""From what the stages found to what is kept of a look at a video. Pure functions; `nsnet_cli.render` goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nsnet_cli.calibration import LEAST_SEEN
from nsnet_cli.kept import KEPT_TAGS, LEAST_KEPT, Judged, Kept, Node
from nsnet_cli.nets.cost import FrameCost
from nsnet_cli.presence import Judge, Present
from nsnet_cli.spans import anchors, between, seen, shows
from nsnet_cli.spans import spans as spans_of
from nsnet_cli.stages import Choice, Preview, Scores
from nsnet_cli.types import Cost, ModelInfo, Span, TagName, TagOptions, Timings
from nsnet_cli.weights.heads import softmax

MOST_LIKELY = 64
"""Most nodes that are kept beside the best tags, so that a look takes little space whatever the vocabulary."""


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
) -> Kept:
    """Returns what is kept of a look, without features.

    `preview_vocabulary` is empty if the preview network's classes have no names.
    """
    count = len(preview.pts_s)
    previewed = count if preview.features is not None else 0
    least = max(KEPT_TAGS, options.top_k)
    present = look(judge, preview, scores, choice.frames, choice.scores, least)
    positions, likely = worth_keeping(judge, present, least)
    sampler, best = scores.sampler, scores.best if preview_vocabulary else None
    classes, guess = (None, None) if best is None else np.unique(best, return_inverse=True)
    series = [node_series(present, n, preview.pts_s) for n in likely]
    return Kept(
        model=model,
        policy=options.policy,
        plan=preview.plan.kind,
        stopped=choice.stopped,
        info=replace(preview.info, path=""),
        cost=Cost(
            frames_decoded=preview.report.frames_decoded + choice.frames_decoded,
            frames_lost=preview.report.frames_lost,
            gflops=cost.total(previewed, len(choice.frames), sampler=sampler is not None)
            - preview.repeated * cost.preview,
            dense_gflops=cost.dense(count),
        ),
        timings=Timings(preview.report.decode_s, preview.seconds, scores.seconds, choice.seconds, total_s),
        pts_s=_as(preview.pts_s, "float64"),
        saliency=_as(scores.saliency, "float32"),
        fsm=_as(sampler.fsm, "float32") if sampler else None,
        vgm=_as(sampler.vgm, "float32") if sampler else None,
        confidence=None if scores.confidence is None else _as(scores.confidence, "float32"),
        guess=None if guess is None else _as(guess, "int32"),
        guesses=() if classes is None else tuple(preview_vocabulary[int(each)].name for each in classes),
        chosen=_as(choice.frames, "int32"),
        views_s=None if choice.views_s is None else _as(choice.views_s, "float64"),
        weights=_as(present.nodes.weights, "float64"),
        judged=judged(judge, present, positions, least),
        series=np.stack(series, 1) if series else np.empty((count, 0), np.float16),
        series_of=_as(np.searchsorted(positions, likely), "int32"),
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


def worth_keeping(judge: Judge, present: Present, least: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns positions in `Present.nodes` of the nodes that are kept, and of those with kept times; both ascend.

    The `least` best tags of the vocabulary are kept, and what is likely. Without a calibration the score decides.
    """
    leaves = np.flatnonzero(present.nodes.rows < len(judge.hierarchy.vocabulary))
    best = leaves[np.argsort(-present.scores[leaves], kind="stable")[:least]]
    strength = present.scores if present.probabilities is None else present.probabilities
    order = np.argsort(-strength, kind="stable")[:MOST_LIKELY]
    likely = np.sort(order[strength[order] >= LEAST_KEPT])
    kept = np.zeros(len(strength), bool)
    kept[best] = kept[likely] = True
    return np.flatnonzero(kept), likely


def judged(judge: Judge, present: Present, positions: np.ndarray, least: int) -> Judged:
    """Returns what is kept of the nodes at these positions in `Present.nodes`, in ascending order."""
    nodes, hierarchy = present.nodes, judge.hierarchy
    rows, tags = nodes.rows[positions], len(hierarchy.vocabulary)
    names = [hierarchy.nodes[row] for row in rows]
    preview_seen = None if nodes.preview is None else (nodes.preview[:, positions] >= LEAST_SEEN).sum(0)
    found = Judged(
        nodes=tuple(Node(name.id, name.name, hierarchy.ancestors(name.id)) for name in names),
        leaves=int((rows < tags).sum()),
        most_tags=least if tags > least else None,
        sums=_as(nodes.sums[:, positions], "float32"),
        scores=_as(present.scores[positions], "float64"),
        preview_seen=None if preview_seen is None else _as(preview_seen, "int32"),
    )
    if judge.calibration is None or present.probabilities is None:
        return found
    calibration = judge.calibration
    return replace(
        found,
        probabilities=_as(present.probabilities[positions], "float64"),
        signs=_as(nodes.signs(hierarchy, calibration.signs)[positions], "float32"),
        trust=np.array([calibration.trust.get(name.id, 0.0) for name in names]),
        weights=tuple(zip(calibration.signs, calibration.weights, strict=True)),
        bias=calibration.bias,
    )


def node_series(present: Present, n: int, pts_s: np.ndarray) -> np.ndarray:
    """Returns how strongly the n-th node is seen in each preview frame, (T,) float16, at pts_s (T,).

    Where the preview network did not look, the recogniser's scores alone say when.
    """
    nodes, sums = present.nodes, present.nodes.sums[:, n]
    if nodes.likeness is None:
        return _as(between(pts_s, nodes.chosen, sums), "float16")
    preview = None if nodes.preview is None else nodes.preview[:, n]
    return _as(seen(nodes.likeness[:, shows(sums)], preview), "float16")


def spans(present: Present, n: int, pts_s: np.ndarray, duration_s: float) -> tuple[Span, ...]:
    """Returns when the n-th node is seen, as a result says it. pts_s (T,) are the times of the preview frames."""
    shown = anchors(present.nodes.chosen, present.nodes.sums[:, n])
    whole = 1.0 if present.probabilities is None else float(present.probabilities[n])
    return spans_of(node_series(present, n, pts_s), shown, pts_s, duration_s, whole)


def _as(values: np.ndarray, dtype: str) -> np.ndarray:
    return np.ascontiguousarray(values, dtype)
