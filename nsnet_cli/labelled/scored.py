"""From a video's features to what `tag` would know of its frames. The sampler runs, the image networks do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nsnet_cli.labelled.features import VideoFeatures
from nsnet_cli.nets.engine import Engine
from nsnet_cli.policies import Seen
from nsnet_cli.selection import confidence
from nsnet_cli.weights.checkpoint import Checkpoint
from nsnet_cli.weights.heads import Head, OwnClassifier


def seen(found: VideoFeatures, checkpoint: Checkpoint, engine: Engine) -> Seen:
    """Returns what is known about the T preview frames; of the sampler only if the checkpoint has one."""
    logits = np.asarray(found.preview.outputs)
    known = Seen(confidence(logits))
    if checkpoint.sampler is None:
        return known
    of = engine.saliency(np.asarray(found.preview.features), logits, found.times)
    return replace(known, fsm=of.fsm, vgm=of.vgm, combined=of.combined)


def tag_scores(found: VideoFeatures, head: Head) -> np.ndarray:
    """Returns the recogniser's scores of the tags (T, C), mapped if the features are and have these scores."""
    assert found.recogniser is not None
    own = isinstance(head, OwnClassifier)  # the features have its scores; any other head takes the features themselves
    return found.recogniser.outputs if own else head.scores(np.asarray(found.recogniser.features), np.empty(0))
