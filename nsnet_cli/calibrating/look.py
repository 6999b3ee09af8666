"""What a judge sees in a video whose frames all have scores already: the frames are chosen as `tag` chooses them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nsnet_cli.answer import preview_scores
from nsnet_cli.labelled.features import VideoFeatures
from nsnet_cli.labelled.scored import seen, tag_scores
from nsnet_cli.nets.engine import Engine
from nsnet_cli.policies import POLICIES, select
from nsnet_cli.presence import Judge, Present
from nsnet_cli.records import dataclass
from nsnet_cli.weights.checkpoint import Checkpoint


@dataclass(frozen=True, slots=True)
class Scored:
    """One video whose preview frames all have scores. Any number of them can be recognised without a network."""

    judge: Judge
    policy: str
    pts_s: np.ndarray  # (T,)
    saliency: np.ndarray  # (T,)
    fsm: np.ndarray | None  # (T,)
    scores: np.ndarray  # (T, C) of the recogniser
    preview: np.ndarray | None  # (T, C) of the preview network
    features: np.ndarray  # (T, D)

    def look(self, k: int, *, without: Sequence[int] = ()) -> Present:
        """Returns what is present in K frames.

        `without` are columns of the vocabulary that the networks are taken not to know. Scores must sum to one then.
        """
        chosen = select(self.policy, self.saliency, self.pts_s, k, features=self.features)
        scores, preview = self.scores[chosen], self.preview
        if without:
            scores = _unknown(scores, without)
            preview = None if preview is None else _unknown(preview, without)
        return self.judge.look(scores, self.saliency[chosen], chosen, preview, self.fsm, self.features)


def scored(judge: Judge, found: VideoFeatures, checkpoint: Checkpoint, engine: Engine) -> Scored:
    """Returns a video as the checkpoint's policy sees it. The sampler runs once, the image networks do not."""
    known = seen(found, checkpoint, engine)
    policy = POLICIES["confidence" if checkpoint.sampler is None else "nsnet"]
    assert policy.score is not None
    saliency = policy.score(known)
    assert saliency is not None
    return Scored(
        judge,
        policy.name,
        found.pts_s,
        saliency,
        known.fsm,
        tag_scores(found, checkpoint.head),
        preview_scores(judge, found.preview.outputs),
        found.preview.features,
    )


def _unknown(scores: np.ndarray, columns: Sequence[int]) -> np.ndarray:
    """Scores (..., C) as if these tags were not in the vocabulary."""
    rest = scores.copy()
    rest[..., list(columns)] = 0
    return np.asarray(rest / np.maximum(rest.sum(-1, keepdims=True), 1e-9))
