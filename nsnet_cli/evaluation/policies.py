"""Every policy on the same scores. Frames are chosen and aggregated as in `tag`, but no network runs again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nsnet_cli.labelled.metrics import average_precision, mean_average_precision, roc_auc, top_k_accuracy
from nsnet_cli.policies import POLICIES, Candidates, Policy
from nsnet_cli.records import dataclass
from nsnet_cli.selection import aggregate


def _inside_segments(frames: Candidates, k: int) -> np.ndarray:
    inside = np.flatnonzero(frames.salient) if frames.salient is not None else np.empty(0, int)
    if not len(inside):  # no preview frame lies inside one
        return POLICIES["uniform"].choose(frames, k)
    return inside if len(inside) <= k else inside[((np.arange(k) + 0.5) / k * len(inside)).astype(int)]


ORACLE = "oracle"
EVALUATED = {**POLICIES, ORACLE: Policy(ORACLE, "k of the frames inside the segments, evenly", _inside_segments)}
"""What is judged: the policies, and `oracle`, which knows the segments."""


@dataclass(frozen=True, slots=True, repr=False)
class ScoredVideo:
    """One video as all policies see it. `labels` are positions in the vocabulary.

    The three large arrays may be mapped (labelled/mapped.py): a whole benchmark would not fit into memory.
    """

    name: str
    labels: tuple[int, ...]
    pts_s: np.ndarray  # (T,) ascending
    saliency: Mapping[str, np.ndarray]  # (T,) of each policy that scores frames
    scores: np.ndarray  # (T, C) of the recogniser on every preview frame
    salient: np.ndarray | None = None  # (T,) bool, where segments are known
    features: np.ndarray | None = None  # (T, D) of the preview
    logits: np.ndarray | None = None  # (T, C) of the preview network
    fsm: np.ndarray | None = None  # (T,) of the sampler
    duration_s: float = 0.0
    segments: tuple[tuple[float, float], ...] = ()

    def __len__(self) -> int:
        return len(self.pts_s)


def policies_for(videos: Sequence[ScoredVideo]) -> tuple[str, ...]:
    """The policies that all these videos allow, in the order of the table."""
    scored = set.intersection(*(set(video.saliency) for video in videos))
    known = any(video.salient is not None for video in videos)
    possible = [name for name, policy in EVALUATED.items() if not policy.looks or name in scored]
    return tuple(name for name in possible if known or name != ORACLE)


def choose(video: ScoredVideo, policy: str, k: int, seed: int = 0) -> np.ndarray:
    """Indices of the frames that the recogniser sees."""
    saliency = video.saliency.get(policy, np.ones(len(video)))
    features = np.asarray(video.features) if video.features is not None and EVALUATED[policy].looks else None
    return EVALUATED[policy].choose(Candidates(saliency, video.pts_s, features, seed, video.salient), k)


def video_scores(video: ScoredVideo, policy: str, k: int, seed: int = 0) -> np.ndarray:
    """The video's scores (C,) as `tag --policy` gives them."""
    chosen = choose(video, policy, k, seed)
    weights = video.saliency[policy][chosen] if EVALUATED[policy].looks else np.ones(len(chosen))
    return aggregate(video.scores[chosen], weights)


@dataclass(frozen=True, slots=True)
class Accuracy:
    top1: float
    top5: float
    map: float
    """Mean over classes of average precision."""


def accuracy(videos: Sequence[ScoredVideo], policy: str, k: int, seed: int = 0) -> Accuracy:
    """Accuracy of one policy at one K. Of a random policy: the mean over its draws."""
    rows = []
    for draw in range(EVALUATED[policy].draws):
        found = [(video.labels, video_scores(video, policy, k, seed + draw)) for video in videos]
        labels, scores = [own for own, _ in found], np.stack([each for _, each in found])
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
    """How well a saliency finds the segments, over all preview frames of the videos with segments."""

    roc_auc: float
    average_precision: float


def localisation(videos: Sequence[ScoredVideo], policy: str) -> Localisation | None:
    """How well a policy finds the segments. None if it scores no frames or no segments are known."""
    known = [video for video in videos if video.salient is not None and policy in video.saliency]
    if not known:
        return None
    saliency = np.concatenate([video.saliency[policy] for video in known])
    truth = np.concatenate([np.asarray(video.salient) for video in known])
    return Localisation(roc_auc(saliency, truth), average_precision(saliency, truth))


def coverage(videos: Sequence[ScoredVideo]) -> float:
    """Of the videos with segments, the share with a preview frame inside one. No policy can do better."""
    known = [bool(video.salient.any()) for video in videos if video.salient is not None]
    return float(np.mean(known)) if known else float("nan")


def frames_used(video: ScoredVideo, policy: str, k: int) -> tuple[int, int, bool]:
    """How many frames are previewed, how many are recognised, and whether the sampler runs."""
    recognised = len(choose(video, policy, k))
    return (len(video) if EVALUATED[policy].looks else 0), recognised, EVALUATED[policy].sampler
