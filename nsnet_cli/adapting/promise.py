"""Whether a calibration still holds for an adapted sampler: how often certain tags are right, before and after."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nsnet_cli.calibrating.reliability import Promise
from nsnet_cli.evaluation.certain import certain
from nsnet_cli.evaluation.policies import ScoredVideo
from nsnet_cli.nets.sampler import Sampler
from nsnet_cli.presence import Judge
from nsnet_cli.training.measure import saliency
from nsnet_cli.training.sequences import FeatureSequence
from nsnet_cli.types import TagOptions
from nsnet_cli.weights.heads import softmax

PRECISION = TagOptions().precision
LEAST_TAGS = 30
"""Certain tags that are needed to say anything."""


def promise(sampler: Sampler, sequences: Sequence[FeatureSequence], judge: Judge, k: int) -> Promise | None:
    """How often certain tags are right in sequences with known answers. None: nothing is calibrated."""
    videos = [
        ScoredVideo(
            name=s.name,
            labels=s.labels,
            pts_s=s.times * len(s),
            saliency={"nsnet": of.combined},
            scores=softmax(np.asarray(s.recogniser, np.float32)),
            salient=s.salient,
            features=np.asarray(s.features, np.float32),
            logits=s.logits,
            fsm=of.fsm,
        )
        for s, of in zip(sequences, saliency(sampler, sequences), strict=True)
    ]
    found = certain(videos, "nsnet", k, judge, PRECISION)
    return None if found is None else found.promise


def holds(before: Promise | None, after: Promise | None) -> bool:
    """Whether certain tags are right as often as is promised, or as often as before: within one standard error."""
    if before is None or after is None or before.tag_precision is None or after.tag_precision is None:
        return False
    count = after.tags_right + after.tags_wrong
    if count < LEAST_TAGS:
        return False
    error = (after.tag_precision * (1 - after.tag_precision) / count) ** 0.5
    return after.tag_precision + error >= min(PRECISION, before.tag_precision)
