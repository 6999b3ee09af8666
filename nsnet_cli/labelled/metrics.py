"""Accuracy and ranking metrics. The order of videos or frames never decides between equal scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

HALF_TICK_S = 0.0005
"""Label files are rounded to milliseconds: 9.917 there is the frame at 9.9166 s."""


def top_k_accuracy(scores: np.ndarray, labels: Sequence[tuple[int, ...]], k: int) -> float:
    """Share of videos with a label among their k highest scores. scores (N, C); labels: N tuples of classes.

    Of equal scores the lower class comes first, as in the tags of a result.
    """
    top = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    hits = [bool(set(row.tolist()) & set(own)) for row, own in zip(top, labels, strict=True)]
    return float(np.mean(hits)) if hits else float("nan")


def average_precision(scores: np.ndarray, positive: np.ndarray) -> float:
    """Area under the precision-recall steps. scores (N,), positive (N,) bool -> [0, 1], nan without a positive.

    The sum of (recall_n - recall_{n-1}) * precision_n over the thresholds n, highest first, without interpolation.
    Equal scores are one step.
    """
    positive = np.asarray(positive, dtype=bool)
    if not positive.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    ranked, found = scores[order], np.cumsum(positive[order])
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)  # last position of each run of equal scores
    recall = found[last] / found[-1]
    precision = found[last] / (last + 1)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def mean_average_precision(scores: np.ndarray, labels: Sequence[tuple[int, ...]]) -> float:
    """Mean average precision over the classes that have a video. scores (N, C); nan without videos.

    OCSampler and FrameExit count so. AR-Net takes the mean over all C classes, with 0 for those without a video: that
    is this figure times the share of classes that have one.
    """
    targets = np.zeros(scores.shape, dtype=bool)
    for row, own in enumerate(labels):
        targets[row, list(own)] = True
    present = np.flatnonzero(targets.any(0))
    each = [average_precision(scores[:, c], targets[:, c]) for c in present]
    return float(np.mean(each)) if each else float("nan")


def roc_auc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Chance that a positive outranks a negative; a tie counts one half. scores, positive (N,) -> [0, 1] or nan."""
    positive = np.asarray(positive, dtype=bool)
    n_pos, n_neg = int(positive.sum()), int((~positive).sum())
    if not n_pos or not n_neg:
        return float("nan")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - (counts - 1) / 2  # of each distinct score, from 1
    rank_sum = float(mean_rank[inverse][positive].sum())
    return (rank_sum - n_pos * (n_pos + 1) / 2) / (n_pos * n_neg)


def inside(pts_s: np.ndarray, segments: Sequence[tuple[float, float]]) -> np.ndarray:
    """(T,) bool: which frames lie in one of the stretches [start_s, end_s). pts_s (T,) seconds.

    `end_s` is the time of the first frame after the stretch. Encoders put a key frame there, and the preview looks at
    key frames: counting it would mark one background frame per stretch as salient.
    """
    marks = np.zeros(len(pts_s), dtype=bool)
    for start_s, end_s in segments:
        marks |= (pts_s > start_s - HALF_TICK_S) & (pts_s < end_s - HALF_TICK_S)
    return marks
