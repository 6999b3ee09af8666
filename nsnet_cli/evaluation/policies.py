"""Every policy on the same scores: the choice and the aggregate that `tag` makes, without running a network again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nsnet_cli.labelled.metrics import average_precision, mean_average_precision, roc_auc, top_k_accuracy
from nsnet_cli.selection import PREVIEW_POLICIES, SALIENCY_POLICIES, aggregate, select
from nsnet_cli.types import POLICIES

ORACLE = "oracle"
EVALUATED: tuple[str, ...] = (*POLICIES, ORACLE)
RANDOM_DRAWS = 5
"""`random` is judged by the mean of this many draws."""


@dataclass(frozen=True, slots=True, repr=False)
class ScoredVideo:
    """One video as all policies see it. labels: positions in the vocabulary."""

    name: str
    labels: tuple[int, ...]
    pts_s: np.ndarray  # (T,) ascending
    saliency: Mapping[str, np.ndarray]  # (T,) of each policy that scores frames
    scores: np.ndarray  # (T, C) of the recogniser on every preview frame
    salient: np.ndarray | None = None  # (T,) bool, where segments are known
    features: np.ndarray | None = None  # (T, D) of the preview

    def __len__(self) -> int:
        return len(self.pts_s)


def policies_for(videos: Sequence[ScoredVideo]) -> tuple[str, ...]:
    """The policies that can be carried out on all of these videos, in the order of the table."""
    scored = set.intersection(*(set(video.saliency) for video in videos))
    known = any(video.salient is not None for video in videos)
    return tuple(p for p in EVALUATED if (p not in PREVIEW_POLICIES or p in scored) and (p != ORACLE or known))


def choose(video: ScoredVideo, policy: str, k: int, seed: int = 0) -> np.ndarray:
    """Indices of the frames that the recogniser sees. `oracle`: k of the frames inside the segments, evenly."""
    if policy == ORACLE:
        inside = np.flatnonzero(video.salient) if video.salient is not None else np.empty(0, int)
        if len(inside):
            return inside if len(inside) <= k else inside[((np.arange(k) + 0.5) / k * len(inside)).astype(int)]
        policy = "uniform"  # no preview frame shows it: nothing to know
    ones = np.ones(len(video))
    saliency = video.saliency.get(policy, ones)
    return select(policy, saliency, video.pts_s, k, features=video.features, seed=seed)  # type: ignore[arg-type]


def video_scores(video: ScoredVideo, policy: str, k: int, seed: int = 0) -> np.ndarray:
    """The video's scores (C,) as `tag --policy` gives them."""
    chosen = choose(video, policy, k, seed)
    weights = video.saliency[policy][chosen] if policy in PREVIEW_POLICIES else np.ones(len(chosen))
    return aggregate(video.scores[chosen], weights)


@dataclass(frozen=True, slots=True)
class Accuracy:
    top1: float
    top5: float
    map: float
    """Mean over classes of average precision."""


def accuracy(videos: Sequence[ScoredVideo], policy: str, k: int, seed: int = 0) -> Accuracy:
    """Of one policy at one K; `random` as the mean of RANDOM_DRAWS draws."""
    labels = [video.labels for video in videos]
    rows = []
    for draw in range(RANDOM_DRAWS if policy == "random" else 1):
        scores = np.stack([video_scores(video, policy, k, seed + draw) for video in videos])
        rows.append(
            (
                top_k_accuracy(scores, labels, 1),
                top_k_accuracy(scores, labels, 5),
                mean_average_precision(scores, labels),
            )
        )
    top1, top5, mean_ap = np.mean(rows, axis=0).tolist()
    return Accuracy(top1, top5, mean_ap)


@dataclass(frozen=True, slots=True)
class Localisation:
    """How well a saliency finds the segments, over all preview frames of the videos whose segments are known."""

    roc_auc: float
    average_precision: float


def localisation(videos: Sequence[ScoredVideo], policy: str) -> Localisation | None:
    """None where the policy scores no frames or no segments are known."""
    known = [video for video in videos if video.salient is not None and policy in video.saliency]
    if not known:
        return None
    saliency = np.concatenate([video.saliency[policy] for video in known])
    truth = np.concatenate([np.asarray(video.salient) for video in known])
    return Localisation(roc_auc(saliency, truth), average_precision(saliency, truth))


def coverage(videos: Sequence[ScoredVideo]) -> float:
    """Share of the videos with segments of which a preview frame lies in one: what no policy can make up for."""
    known = [bool(video.salient.any()) for video in videos if video.salient is not None]
    return float(np.mean(known)) if known else float("nan")


def frames_used(video: ScoredVideo, policy: str, k: int) -> tuple[int, int, bool]:
    """Frames that the preview network sees, frames that the recogniser sees, whether the sampler runs."""
    recognised = len(choose(video, policy, k))
    return (len(video) if policy in PREVIEW_POLICIES else 0), recognised, policy in SALIENCY_POLICIES
