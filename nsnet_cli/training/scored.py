"""Examples as the sampler's training takes them, and as policies are judged on them: read when they are needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np

from nsnet_cli.evaluation.policies import ScoredVideo, accuracy
from nsnet_cli.labelled.labels import Split
from nsnet_cli.nets.sampler import Sampler
from nsnet_cli.policies import Seen, saliency_by_policy
from nsnet_cli.selection import confidence
from nsnet_cli.training.dataset import Dataset, Example
from nsnet_cli.training.head import FittedHead, fit_head
from nsnet_cli.training.measure import saliency
from nsnet_cli.training.sequences import FeatureSequence
from nsnet_cli.weights.heads import linear_scores

METRIC_POLICIES = ("nsnet", "uniform", "dense")


def sequence(example: Example) -> FeatureSequence:
    """An example as the sampler's training takes it."""
    return FeatureSequence(
        features=example.features,
        times=example.times,
        labels=example.labels,
        logits=example.logits,
        salient=example.salient,
        name=example.name,
    )


def recogniser_features(example: Example) -> np.ndarray:
    """(T, D2): features of the recogniser, or of the preview if ready features have none."""
    return np.asarray(example.features if example.recogniser is None else example.recogniser, np.float32)


class Scored(Sequence[ScoredVideo]):
    """Saliency and tag scores of examples, to judge the policies on.

    The saliency is kept. Features and scores, which are much larger, are read and computed whenever a video is taken.
    """

    def __init__(self, examples: Sequence[Example], sampler: Sampler, head: FittedHead, multi_label: bool) -> None:
        self._examples, self._head, self._multi_label = examples, head, multi_label
        self._saliency = saliency(sampler, [sequence(example) for example in examples])

    def __len__(self) -> int:
        return len(self._examples)

    @overload
    def __getitem__(self, index: int) -> ScoredVideo: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[ScoredVideo]: ...
    def __getitem__(self, index: int | slice) -> ScoredVideo | Sequence[ScoredVideo]:
        if isinstance(index, slice):
            return [self[row] for row in range(*index.indices(len(self)))]
        example, of, head = self._examples[index], self._saliency[index], self._head
        sure = None if example.logits is None else confidence(np.asarray(example.logits, np.float32))
        return ScoredVideo(
            name=example.name,
            labels=example.labels,
            pts_s=example.times,
            saliency=saliency_by_policy(Seen(sure, of.fsm, of.vgm, of.combined)),
            scores=linear_scores(recogniser_features(example), head.weight, head.bias, multi_label=self._multi_label),
            salient=example.salient,
            features=np.asarray(example.features),
        )

    def __iter__(self) -> Iterator[ScoredVideo]:
        return (self[row] for row in range(len(self)))


def targets_of(examples: Sequence[Example], dataset: Dataset) -> np.ndarray:
    """(N, C) in {0, 1}."""
    targets = np.zeros((len(examples), len(dataset.vocabulary)), np.uint8)
    for row, example in enumerate(examples):
        targets[row, list(example.labels)] = 1
    return targets


def head_of(
    sampler: Sampler, examples: Sequence[Example], dataset: Dataset, *, seed: int, device: str = "cpu"
) -> FittedHead:
    """Fits the head to every frame in proportion to its saliency, as frames are weighted when tagging."""
    return fit_head(
        map(recogniser_features, examples),
        [found.combined for found in saliency(sampler, [sequence(example) for example in examples])],
        targets_of(examples, dataset),
        multi_label=dataset.multi_label,
        seed=seed,
        device=device,
    )


def held_out_metrics(
    dataset: Dataset, split: Split, sampler: Sampler, head: FittedHead, frames: int
) -> dict[str, float]:
    """Top-1 and mAP of a split that the head has not seen, with so many frames recognised."""
    videos = dataset.of(split)
    if not videos:
        return {}
    metrics: dict[str, float] = {f"{split}_videos": len(videos)}
    scored = Scored(videos, sampler, head, dataset.multi_label)
    for policy in METRIC_POLICIES:
        found = accuracy(scored, policy, frames)
        metrics |= {f"{split}_top1_{policy}": found.top1, f"{split}_map_{policy}": found.map}
    return metrics
