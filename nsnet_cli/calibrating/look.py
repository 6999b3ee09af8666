"""What a judge sees in a video whose frames all have scores already: the frames are chosen as `tag` chooses them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nsnet_cli.labelled.features import VideoFeatures
from nsnet_cli.nets.engine import Engine
from nsnet_cli.policies import POLICIES, Seen, select
from nsnet_cli.presence import Judge, Present
from nsnet_cli.selection import confidence
from nsnet_cli.weights.checkpoint import Checkpoint
from nsnet_cli.weights.heads import OwnClassifier, softmax


def look(
    judge: Judge,
    found: VideoFeatures,
    checkpoint: Checkpoint,
    engine: Engine,
    k: int,
    *,
    without: Sequence[int] = (),
) -> Present:
    """Returns what is present in K frames by the checkpoint's policy. The sampler runs, the image networks do not.

    `without` are columns of the vocabulary that the networks are taken not to know. Scores must sum to one then.
    """
    assert found.recogniser is not None
    logits, head = found.preview.outputs, checkpoint.head
    seen, fsm, policy = Seen(confidence(logits)), None, POLICIES["confidence"]
    if checkpoint.sampler is not None:
        of = engine.saliency(found.preview.features, logits, found.times)
        seen, fsm, policy = Seen(seen.confidence, of.fsm, of.vgm, of.combined), of.fsm, POLICIES["nsnet"]
    assert policy.score is not None
    saliency = policy.score(seen)
    assert saliency is not None
    features = found.preview.features
    chosen = select(policy.name, saliency, found.pts_s, k, features=features)
    if isinstance(head, OwnClassifier):
        scores = found.recogniser.outputs[chosen]  # any other head takes the features
    else:
        scores = head.scores(found.recogniser.features[chosen], np.empty(0))
    preview = softmax(logits) if judge.previews else None
    if without:
        scores = _unknown(scores, without)
        preview = None if preview is None else _unknown(preview, without)
    return judge.look(scores, saliency[chosen], chosen, preview, fsm, features)


def _unknown(scores: np.ndarray, columns: Sequence[int]) -> np.ndarray:
    """Scores (..., C) as if these tags were not in the vocabulary."""
    rest = scores.copy()
    rest[..., list(columns)] = 0
    return np.asarray(rest / np.maximum(rest.sum(-1, keepdims=True), 1e-9))
