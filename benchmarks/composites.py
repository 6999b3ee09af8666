"""Features and answers of composites on disk, and the policies side by side on them or on spliced sequences.

The tagger's own functions choose, weigh and count, so the figures are those of `nsnet evaluate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nsnet_cli.cli.console import Console
from nsnet_cli.cli.labelled import gather, read_label_file
from nsnet_cli.evaluation.policies import ScoredVideo, choose, video_scores
from nsnet_cli.labelled.gather import ReadSettings
from nsnet_cli.labelled.labels import label_indices
from nsnet_cli.labelled.metrics import inside, roc_auc
from nsnet_cli.nets.sampler import Sampler
from nsnet_cli.policies import Seen, saliency_by_policy
from nsnet_cli.selection import confidence
from nsnet_cli.training.measure import saliency
from nsnet_cli.training.sequences import FeatureSequence
from nsnet_cli.weights.checkpoint import resolve_checkpoint
from nsnet_cli.weights.heads import softmax

POLICIES = ("uniform", "confidence", "nsnet-fsm", "nsnet-vgm", "nsnet", "oracle")


def read_composites(labels: Path, jobs: int = 1) -> list[FeatureSequence]:
    """The preview of each video of a labels.csv as `tag` makes it, through both networks; cached if possible."""
    console, base = Console(), resolve_checkpoint("imagenet-lite")
    found = gather(read_label_file(labels, console), base, ReadSettings(128, "auto", "auto", jobs), console)
    indices = label_indices([video for video, _ in found], base.vocabulary)
    sequences = []
    for (video, of), own in zip(found, indices, strict=True):
        assert of.recogniser is not None
        salient = inside(of.pts_s, video.segments) if video.segments else None
        teacher = np.log(np.maximum(of.recogniser.outputs, 1e-9))  # its logits, except for a constant
        features, logits = of.preview.features, of.preview.outputs
        sequences.append(FeatureSequence(features, of.times, own, logits, salient, str(own[0]), teacher))
    return sequences


def scored(sampler: Sampler, sequences: Sequence[FeatureSequence]) -> list[ScoredVideo]:
    """The sequences as all policies see them. A frame counts as one second."""
    videos = []
    for s, of in zip(sequences, saliency(sampler, sequences), strict=True):
        found = saliency_by_policy(Seen(confidence(np.asarray(s.logits, np.float32)), of.fsm, of.vgm, of.combined))
        scores = softmax(np.asarray(s.recogniser, np.float32))
        videos.append(ScoredVideo(s.name, s.labels, s.times * len(s), found, scores, s.salient, s.features))
    return videos


def right(videos: Sequence[ScoredVideo], policy: str, k: int) -> np.ndarray:
    """(V,) whether the first tag is one of the video's."""
    return np.array([int(video_scores(v, policy, k).argmax()) in v.labels for v in videos])


def policies_table(videos: Sequence[ScoredVideo], k: int = 4) -> dict[str, float]:
    """Top-1 in percent at K frames of each policy, and the ROC-AUC of each saliency.

    Also the share of nsnet's frames that are right and its distance to the oracle. The standard error of that distance
    counts all videos of one class, or photo, as one draw.
    """
    first = {policy: right(videos, policy, k) for policy in POLICIES}
    out = {f"top1 {policy}": round(100 * float(hits.mean()), 1) for policy, hits in first.items()}
    truth = np.concatenate([np.asarray(v.salient) for v in videos])
    for policy in POLICIES[1:-1]:
        out[f"roc_auc {policy}"] = round(roc_auc(np.concatenate([v.saliency[policy] for v in videos]), truth), 4)
    hits = [np.asarray(v.salient)[choose(v, "nsnet", k)].mean() for v in videos]
    most = [min(1.0, np.asarray(v.salient).sum() / k) for v in videos]
    out["right frames"], out["right frames at most"] = round(float(np.mean(hits)), 3), round(float(np.mean(most)), 3)
    apart = first["oracle"].astype(float) - first["nsnet"]
    out["oracle - nsnet"] = round(100 * float(apart.mean()), 1)
    out["its standard error"] = round(100 * grouped_error(apart, [v.name for v in videos]), 1)
    return out


def grouped_error(values: np.ndarray, groups: Sequence[str]) -> float:
    """Standard error of the mean of values (V,) whose groups, not whose members, are independent."""
    _, group = np.unique(groups, return_inverse=True)
    sums = np.bincount(group, weights=values - values.mean())
    return float(np.sqrt((sums**2).sum()) / len(values))
