"""Which frames the recogniser sees, and how their scores become the video's: pure functions of numbers.

Everything that `tag` does between the sampler and the tags is here, so that `evaluate` judges the very same choice.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nsnet_cli.errors import UsageError

LEAST_SALIENCY = 0.1
"""Saliency is not told apart below this: a frame is not salient, and how little it is says nothing about its tags."""
SAMENESS_COST = 0.1
"""Share of its saliency that a frame loses by looking exactly like a frame that is chosen already."""
SURENESS = 3
"""Power of a frame's highest score in its weight: one frame that the recogniser is sure of (0.7) outweighs three of
which it is not (0.4)."""


def spread(saliency: np.ndarray, pts_s: np.ndarray, k: int, features: np.ndarray | None = None) -> np.ndarray:
    """The most salient frame, then k - 1 that are salient and look different: saliency, pts_s (T,) -> (min(k, T),).

    With features (T, D), a frame's saliency counts for SAMENESS_COST times its likeness (the highest correlation with a
    chosen frame) less: where one scene is wrongly found salient, it does not take all the places. Below LEAST_SALIENCY
    all are equals, and of equals the one furthest in time from all chosen comes next (the earlier of two): the
    frames of a clip that shows one scene throughout are spread over it. The first n are the choice of n.
    """
    unit = None if features is None else _unit(features)
    saliency, count = saliency.astype(np.float64), len(saliency)
    likeness, apart_s, taken = np.zeros(count), np.full(count, np.inf), np.zeros(count, bool)
    chosen = [int(saliency.argmax())]
    while len(chosen) < min(k, count):
        last = chosen[-1]
        taken[last] = True
        apart_s = np.minimum(apart_s, np.abs(pts_s - pts_s[last]))
        if unit is not None:
            likeness = np.maximum(likeness, unit @ unit[last])
        left = np.maximum(saliency * (1 - SAMENESS_COST * likeness), LEAST_SALIENCY)
        left[taken] = -np.inf
        best = np.flatnonzero(left == left.max())
        chosen.append(int(best[apart_s[best].argmax()]))
    return np.array(chosen)


def _unit(features: np.ndarray) -> np.ndarray:
    """(T, D) -> (T, D) of mean 0 and length 1, so that a product of two is their correlation."""
    centred = features.astype(np.float32) - features.mean(1, dtype=np.float32, keepdims=True)
    return np.asarray(centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-6))


def confidence(logits: np.ndarray) -> np.ndarray:
    """The preview network's confidence (T,) in (0, 1), from its logits (T, C): the best class against C at logit 0.

    Not the softmax's highest share: that is high wherever nothing else competes, which footage of nothing often
    manages (on composites-dev 43 % top-1 at K = 4 against 67 %).
    """
    return np.asarray(1 / (1 + np.exp(math.log(logits.shape[1]) - logits.max(1))))


def even_indices(pts_s: np.ndarray, k: int) -> np.ndarray:
    """k different indices whose times are nearest to the middles of k equal stretches. pts_s (T,) ascending, T >= k."""
    first, last = float(pts_s[0]), float(pts_s[-1])
    wanted = first + (np.arange(k) + 0.5) / k * (last - first)
    chosen = np.abs(pts_s[None, :] - wanted[:, None]).argmin(1)
    for i in range(1, k):  # two stretches of an uneven video can want the same frame: take the next one
        chosen[i] = max(chosen[i], chosen[i - 1] + 1)
    for i in range(k - 1, -1, -1):
        chosen[i] = min(chosen[i], len(pts_s) - k + i)
    return chosen


def aggregate(scores: np.ndarray, saliency: np.ndarray) -> np.ndarray:
    """The video's scores (C,): frame scores (K, C) averaged; plain where all weights are 0.

    A frame weighs its saliency (K,), at least LEAST_SALIENCY, times its own highest score to the power SURENESS: what
    the recogniser cannot name says little about the video, however salient it looked.
    """
    weights = np.maximum(saliency.astype(np.float64), LEAST_SALIENCY) * scores.max(1).astype(np.float64) ** SURENESS
    if weights.sum() <= 0:
        weights = np.ones(len(scores))
    return np.asarray(weights @ scores / weights.sum())


# ---- budgets --------------------------------------------------------------------------------------------------------

StopReason = Literal["settled", "frames", "share", "time"]
SETTLED_FRAMES = 3
SETTLED_MARGIN = 0.2


@dataclass(frozen=True, slots=True)
class Budget:
    """What a video may cost: `frames`, a share of dense recognition, or seconds; exactly one is set."""

    frames: int | None = None
    share: float | None = None
    seconds: float | None = None

    @classmethod
    def parse(cls, text: str) -> Budget:
        """'8' frames, '5%' of recognising every preview frame, '2s' seconds a video. Raises UsageError."""
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|%|)\s*", text)
        value = float(match[1]) if match else 0.0
        if match is None or not 0 < value < math.inf or (match[2] == "" and not value.is_integer()):
            raise UsageError(
                f"--budget {text!r} is not a budget", "use 2s (seconds a video), 5% (of dense cost) or 8 (frames)"
            )
        if match[2] == "s":
            return cls(seconds=value)
        if match[2] == "%":
            return cls(share=value / 100)
        return cls(frames=int(value))

    def __str__(self) -> str:
        """The one spelling of this budget, as `parse` reads it: 5% for '5.0 %'."""
        if self.seconds is not None:
            return f"{self.seconds:.12g}s"
        return f"{100 * self.share:.12g}%" if self.share is not None else str(self.frames)

    def most_frames(self, preview_frames: int) -> int:
        """Frames that the recogniser may see of `preview_frames`; seconds are watched by the clock instead."""
        if self.frames is not None:
            return max(1, min(self.frames, preview_frames))
        if self.share is not None:
            return max(1, min(math.floor(self.share * preview_frames + 1e-9), preview_frames))
        return preview_frames

    def reason(self) -> StopReason:
        """What ended the recognition when the budget was spent to its end."""
        return "frames" if self.frames is not None else "share" if self.share is not None else "time"


def settled(scores: np.ndarray, saliency: np.ndarray) -> bool:
    """True once another frame is unlikely to change the first tag.

    scores (n, C) and saliency (n,) of the frames seen so far, in the order they were seen. Settled: after each of the
    last SETTLED_FRAMES frames the same tag led, and it leads now by SETTLED_MARGIN.
    """
    if len(scores) < SETTLED_FRAMES:
        return False
    leaders = {
        int(aggregate(scores[:n], saliency[:n]).argmax())
        for n in range(len(scores) - SETTLED_FRAMES + 1, len(scores) + 1)
    }
    if len(leaders) > 1:
        return False
    now = np.sort(aggregate(scores, saliency))
    return len(now) < 2 or bool(now[-1] - now[-2] >= SETTLED_MARGIN)
