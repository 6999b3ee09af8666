"""Class prototypes, how close each frame is to that of its own class, and the pseudo labels that follow.

From the paper's abstract: pseudo labels separate salient from non-salient frames, so that the frame-level module can
learn non-saliency.

Ours (a reconstruction): everything below. Closeness r is cos(x, mu_y) minus the mean of cos(x, mu_c) over the other
classes. The training set's mean is subtracted first, so that what all videos share cancels. Each feature is divided by
the square root of its spread: then neither the few features that vary most nor the many that hardly vary decide alone.
A frame gets a label where a mixture of two Gaussians on r is sure; there is no fixed share of salient frames.

Refinement re-weights the prototypes with the current saliency and can feed on its own mistakes. There are two guards:
a video's frames are measured with prototypes from other videos (`halves`), and a round is kept only if it separates
held-out videos better than before (`refine`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nsnet_cli.records import dataclass
from nsnet_cli.training.sequences import IGNORED, FeatureSequence

MOST_NUMBERS = 64 << 20
"""Most numbers of features and of closeness to classes that are in memory at once."""
MOST_FITTED = 1 << 20


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-9)


def class_prototypes(features: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted mean of L2-normalised features per class, normalised again.

    features (N, D), labels (N, C) in {0, 1}, weights (N,) -> (C, D).
    A class without frames gets a row of zeros: every frame is equally (0) close to it.
    """
    return unit(class_sums(features, labels, weights))


def class_sums(features: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """What `class_prototypes` normalises: sums of several parts can be added. (C, D)."""
    return np.asarray((labels * weights[:, None]).T @ unit(features))


def closeness(features: np.ndarray, prototypes: np.ndarray) -> np.ndarray:
    """How much closer a frame is to a class's prototype than, on average, to those of the other classes.

    (N, D), (C, D) -> (N, C) in [-2, 2].
    """
    cosine = unit(features) @ prototypes.T  # (N, C)
    if prototypes.shape[0] == 1:
        return cosine
    others = (cosine.sum(1, keepdims=True) - cosine) / (prototypes.shape[0] - 1)
    return cosine - others


def two_kinds(r: np.ndarray, rounds: int = 50) -> np.ndarray:
    """Posterior of the higher of two Gaussians fitted to r (N,) by EM -> (N,). It never falls as r rises.

    Of more than MOST_FITTED values, evenly ranked ones are fitted.
    """
    order = np.argsort(r, kind="stable")
    fitted = r if len(r) <= MOST_FITTED else r[order[:: -(-len(r) // MOST_FITTED)]]
    middle = np.median(fitted)
    high = (fitted > middle + fitted.std()).astype(float) * 0.8 + 0.1
    mean, spread, share = np.zeros(2), np.ones(2), np.ones(2) / 2
    for _ in range(rounds):
        parts = np.stack([1 - high, high])  # (2, N)
        share = parts.mean(1)
        mean = (parts * fitted).sum(1) / np.maximum(parts.sum(1), 1e-9)
        spread = np.sqrt((parts * (fitted - mean[:, None]) ** 2).sum(1) / np.maximum(parts.sum(1), 1e-9)) + 1e-3
        high = _posterior(fitted, mean, spread, share)
    high = _posterior(r, mean, spread, share)
    if mean[0] > mean[1]:
        high = 1 - high
    # The wider Gaussian wins both tails. The low tail is non-salient, so the posterior is made monotone.
    low_mean = mean.min()
    rising = np.where(r[order] < low_mean, 0.0, high[order])
    out = np.empty_like(high)
    out[order] = np.maximum.accumulate(rising)
    return out


def _posterior(r: np.ndarray, mean: np.ndarray, spread: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Probability of the second of two Gaussians at r (N,) -> (N,)."""
    logs = np.log(share + 1e-9)[:, None] - np.log(spread)[:, None] - 0.5 * ((r - mean[:, None]) / spread[:, None]) ** 2
    return np.asarray(1 / (1 + np.exp(np.clip(logs[0] - logs[1], -50, 50))))


def split(
    r: np.ndarray, lengths: Sequence[int], salient_at: float = 0.8, non_salient_at: float = 0.2
) -> list[np.ndarray]:
    """Splits frames into salient and non-salient ones, by their closeness r (N,).

    Returns (T,) in {1 salient, 0 non-salient, IGNORED} per video. The closest frame of each video is always salient.
    """
    posterior = two_kinds(r)
    kinds = np.full(len(r), IGNORED)
    kinds[posterior >= salient_at] = 1
    kinds[posterior <= non_salient_at] = 0
    parts = np.split(kinds, np.cumsum(lengths)[:-1])
    for kind, own in zip(parts, np.split(r, np.cumsum(lengths)[:-1]), strict=True):
        kind[np.argmax(own)] = 1
    return parts


@dataclass(frozen=True, slots=True)
class PseudoLabels:
    """Labels per video, (T,) in {class, C non-salient, IGNORED}.

    `told_apart` is the held-out criterion of the prototypes that they come from.
    """

    labels: tuple[np.ndarray, ...]
    told_apart: float
    rounds: int


def label_frames(
    sequences: Sequence[FeatureSequence], classes: int, weights: Sequence[np.ndarray] | None = None
) -> PseudoLabels:
    """Pseudo labels of all frames. Each half of the videos is measured with the other half's prototypes.

    weights: (T,) per video, default 1. Features are read part by part, three times: no part has more than MOST_NUMBERS.
    """
    frames = _Frames(sequences, classes, weights)
    side = halves(frames.targets)
    sums = np.zeros((2, classes, sequences[0].features.shape[1]))
    for part in frames.parts:
        features, owner, weight, targets = frames.read(part)
        for half in (0, 1):
            mine = side[part][owner] == half
            sums[half] += class_sums(features[mine], targets[owner[mine]], weight[mine])
    found = unit(sums)
    closest, best, scores = [], [], []
    for part in frames.parts:
        features, owner, weight, targets = frames.read(part)
        close = np.empty((len(owner), classes))
        half = side[part][owner]  # (N,)
        for own in (0, 1):
            close[half == own] = closeness(features[half == own], found[1 - own])
        scores.append(video_closeness(close, weight, owner, len(targets)))
        own_close = np.where(targets[owner] > 0, close, -np.inf)  # (N, C)
        closest.append(own_close.max(1))
        best.append(own_close.argmax(1))
    kinds = split(np.concatenate(closest), frames.lengths)
    nearest = np.split(np.concatenate(best), np.cumsum(frames.lengths)[:-1])
    labels = tuple(
        np.where(kind == 1, near, np.where(kind == 0, classes, IGNORED))
        for kind, near in zip(kinds, nearest, strict=True)
    )
    return PseudoLabels(labels, told_apart(scores, frames.targets), 0 if weights is None else 1)


class _Frames:
    """The frames of videos, read part by part and standardised."""

    def __init__(
        self, sequences: Sequence[FeatureSequence], classes: int, weights: Sequence[np.ndarray] | None
    ) -> None:
        self.sequences, self.weights = sequences, weights
        self.lengths = [len(s) for s in sequences]
        self.targets = np.zeros((len(sequences), classes), bool)
        for row, sequence in enumerate(sequences):
            self.targets[row, list(sequence.labels)] = True
        width = sequences[0].features.shape[1]
        self.parts = _parts(self.lengths, max(1, MOST_NUMBERS // (width + classes)))
        counts, means, spreads = [], [], []
        for part in self.parts:
            features = self._features(part)
            counts.append(len(features))
            means.append(features.mean(0))
            spreads.append(features.var(0))
        share = np.array(counts)[:, None] / sum(counts)
        mean = (share * means).sum(0)
        variance = (share * (np.array(spreads) + (means - mean) ** 2)).sum(0)
        self.mean = mean.astype(np.float32)
        spread = np.sqrt(variance).astype(np.float32)
        self.root = np.sqrt(np.where(spread > 0, spread, np.float32(1)))

    def _features(self, part: slice) -> np.ndarray:
        return np.concatenate([np.asarray(s.features, dtype=np.float32) for s in self.sequences[part]])

    def read(self, part: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Features (N, D) of length 1, owner (N,): the video of each frame, weight (N,), targets (V, C) of a part."""
        features = self._features(part)
        features -= self.mean
        features /= self.root
        lengths = self.lengths[part]
        weight = np.ones(len(features)) if self.weights is None else np.concatenate(self.weights[part])
        return unit(features), np.repeat(np.arange(len(lengths)), lengths), weight, self.targets[part].astype(float)


def _parts(lengths: Sequence[int], most: int) -> list[slice]:
    """Consecutive videos that have at most `most` frames together, or a single longer one."""
    starts, frames = [0], 0
    for row, length in enumerate(lengths):
        if frames and frames + length > most:
            starts.append(row)
            frames = 0
        frames += length
    return [slice(start, end) for start, end in zip(starts, [*starts[1:], len(lengths)], strict=True)]


def halves(targets: np.ndarray) -> np.ndarray:
    """Deals videos into two halves, class by class. targets (V, C) -> (V,) in {0, 1}.

    A class with one video stays in half 0.
    """
    side = np.zeros(len(targets), dtype=int)
    seen = np.zeros(targets.shape[1], dtype=int)
    for row, target in enumerate(targets):
        first = int(target.argmax())
        side[row] = seen[first] % 2
        seen[first] += 1
    return side


def video_closeness(close: np.ndarray, weight: np.ndarray, owner: np.ndarray, videos: int) -> np.ndarray:
    """Weighted mean over each video's frames. close (N, C), weight (N,), owner (N,): the video of each -> (V, C)."""
    total = np.zeros((videos, close.shape[1]))
    np.add.at(total, owner, close * weight[:, None])
    mass = np.bincount(owner, weights=weight, minlength=videos)[:, None]
    return np.asarray(total / np.maximum(mass, 1e-9))


def told_apart(scores: Sequence[np.ndarray], targets: np.ndarray) -> float:
    """Held-out criterion in (-inf, 0]: how well the prototypes of other videos predict a video's label.

    It is the mean log-probability of the label, from the weighted closeness of the video's frames to those prototypes.
    scores: parts of (V, C), in order; targets (V, C).
    """
    score = np.concatenate(scores)
    score /= max(score.std(), 1e-9)  # the scale of r does not count
    best = []
    for start in range(0, len(score), 4096):
        rows = slice(start, start + 4096)
        log_p = score[rows] - np.log(np.exp(score[rows]).sum(1, keepdims=True))
        best.append(np.where(targets[rows], log_p, -np.inf).max(1))
    return float(np.concatenate(best).mean())


def refine(
    sequences: Sequence[FeatureSequence], classes: int, saliency: Sequence[np.ndarray], before: PseudoLabels
) -> PseudoLabels:
    """One round: prototypes re-weighted with the current saliency (T,) of each video.

    Returns `before` unless the new prototypes separate held-out videos better.
    """
    after = label_frames(sequences, classes, saliency)
    if after.told_apart <= before.told_apart:
        return before
    return PseudoLabels(after.labels, after.told_apart, before.rounds + 1)


def fixed_vocabulary_labels(sequences: Sequence[FeatureSequence]) -> PseudoLabels:
    """Pseudo labels of the fixed vocabulary: the frozen classifier's rows are the prototypes. Nothing is refined.

    r is the log-odds of y in the frame minus their mean over the frames of all sequences: what looks like y everywhere
    is not a sign of y. Odds, because the probability itself is flat near 1.
    """
    lengths = [len(s) for s in sequences]
    mean, log_odds = np.zeros(np.asarray(sequences[0].logits).shape[1]), []
    for sequence in sequences:
        z = np.asarray(sequence.logits, dtype=np.float32)
        z = z - z.max(1, keepdims=True)
        p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
        odds = np.log(p + 1e-12) - np.log1p(-np.minimum(p, 1 - 1e-6))
        mean = mean + odds.sum(0) / sum(lengths)
        log_odds.append(odds[:, list(sequence.labels)])
    own = [odds - mean[list(s.labels)] for odds, s in zip(log_odds, sequences, strict=True)]
    best = [np.asarray(s.labels)[r.argmax(1)] for r, s in zip(own, sequences, strict=True)]
    kinds = split(np.concatenate([r.max(1) for r in own]), lengths)
    classes = np.asarray(sequences[0].logits).shape[1]
    labels = tuple(np.where(k == 1, b, np.where(k == 0, classes, IGNORED)) for k, b in zip(kinds, best, strict=True))
    return PseudoLabels(labels, 0.0, 0)


def known_labels(sequences: Sequence[FeatureSequence]) -> PseudoLabels:
    """Labels of made sequences, whose salient frames are known and show their first label.

    A salient frame that the preview network cannot name is salient all the same: the recogniser may name it.
    """
    labels = []
    for sequence in sequences:
        if sequence.salient is None or sequence.logits is None:
            raise ValueError(f"{sequence.name or 'a sequence'} has no known answers to learn from")
        labels.append(np.where(sequence.salient, sequence.labels[0], sequence.logits.shape[1]))
    return PseudoLabels(tuple(labels), 0.0, 0)
