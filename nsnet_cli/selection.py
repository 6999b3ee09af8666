"""Chooses the frames that the recogniser sees and combines their scores into the video's. Pure functions.

Everything that `tag` does between the sampler and the tags is here, so that `evaluate` judges the same choice.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Sequence
from typing import Literal

import numpy as np

from nsnet_cli.errors import UsageError
from nsnet_cli.records import dataclass

LEAST_SALIENCY = 0.1
"""Saliencies below this count as equal: such a frame is not salient, and smaller values say nothing about its tags."""
SALIENT_SHARE = 0.5
"""A frame with at least this share of another's saliency is about as salient."""
SAMENESS_COST = 0.1
"""Share of its saliency that a frame loses if it looks exactly like a chosen frame."""
LIKENESS_POWER = 4
"""How sharply `likeness` falls with the correlation of two frames' features."""
SURENESS = 3
"""Exponent of a frame's highest score in its weight. At 3, one frame scored 0.7 outweighs three scored 0.4."""


def spread(saliency: np.ndarray, pts_s: np.ndarray, k: int, features: np.ndarray | None = None) -> np.ndarray:
    """Returns indices (min(k, T),) of the most salient frame, then of others that are salient and look different.

    saliency, pts_s (T,), features (T, D). With features, a frame loses the share SAMENESS_COST times its likeness of
    its saliency; likeness is the highest correlation with a chosen frame. So one scene that is wrongly found salient
    does not take all places. Saliencies below LEAST_SALIENCY count as equal. Of equals, the frame furthest in time from
    all chosen frames comes next, the earlier one in a tie. So the choice from a clip of one scene is spread over the
    clip. The first n indices are the choice for k = n.
    """
    unit = None if features is None else unit_rows(features)
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


def unit_rows(features: np.ndarray) -> np.ndarray:
    """(T, D) -> (T, D) of mean 0 and length 1, so that the dot product of two rows is their correlation."""
    centred = features.astype(np.float32) - features.mean(1, dtype=np.float32, keepdims=True)
    return np.asarray(centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-6))


def likeness(features: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Returns how much each of T frames looks like each of `frames` (K,): (T, K) in [0, 1]. features (T, D)."""
    unit = unit_rows(features)
    like = np.clip(unit @ unit[frames].T, 0, 1) ** LIKENESS_POWER
    like[frames, np.arange(len(frames))] = 1  # also where all features of a frame are the same
    return np.asarray(like)


def confidence(logits: np.ndarray) -> np.ndarray:
    """Returns the preview network's confidence (T,) in (0, 1), from its logits (T, C).

    It compares the best class with C classes at logit 0. The softmax's maximum would be high wherever no other class
    competes, often in footage that shows nothing (on composites-dev it gives 43 % top-1 at K = 4, this gives 67 %).
    """
    return np.asarray(1 / (1 + np.exp(math.log(logits.shape[1]) - logits.max(1))))


def even_indices(pts_s: np.ndarray, k: int) -> np.ndarray:
    """Returns k different indices, nearest in time to the middles of k equal parts. pts_s (T,) ascending, T >= k."""
    first, last = float(pts_s[0]), float(pts_s[-1])
    wanted = first + (np.arange(k) + 0.5) / k * (last - first)
    chosen = np.abs(pts_s[None, :] - wanted[:, None]).argmin(1)
    for i in range(1, k):  # two parts of an uneven video can share a frame: take the next one
        chosen[i] = max(chosen[i], chosen[i - 1] + 1)
    for i in range(k - 1, -1, -1):
        chosen[i] = min(chosen[i], len(pts_s) - k + i)
    return chosen


def aggregate(scores: np.ndarray, saliency: np.ndarray) -> np.ndarray:
    """Returns the video's scores (C,): the mean of frame scores (K, C), weighted by `frame_weights`."""
    return np.asarray(frame_weights(scores, saliency) @ scores)


def frame_weights(scores: np.ndarray, saliency: np.ndarray) -> np.ndarray:
    """Returns how much each frame says about the video: (K,) with sum 1, all equal if no frame says anything.

    A frame's weight is its saliency (K,), at least LEAST_SALIENCY, times its highest score to the power SURENESS. What
    the recogniser cannot name says little about the video, however salient it looked. scores (K, C).
    """
    weights = np.maximum(saliency.astype(np.float64), LEAST_SALIENCY) * scores.max(1).astype(np.float64) ** SURENESS
    total = weights.sum()
    return weights / total if total > 0 else np.full(len(scores), 1 / len(scores))


# ---- budgets --------------------------------------------------------------------------------------------------------

StopReason = Literal["settled", "frames", "share", "time"]
SETTLED_FRAMES = 3
SETTLED_MARGIN = 0.2


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that a video may cost: frames, a share of dense recognition, or seconds. Exactly one is set."""

    frames: int | None = None
    share: float | None = None
    seconds: float | None = None

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Reads '8' (frames), '5%' (of recognising every preview frame) or '2s' (per video). Raises UsageError."""
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|%|)\s*", text)
        value = float(match[1]) if match else 0.0
        if match is None or not 0 < value < math.inf or (match[2] == "" and not value.is_integer()):
            raise UsageError(
                f"--budget {text!r} is not a budget", "use 2s (seconds per video), 5% (of dense cost) or 8 (frames)"
            )
        if match[2] == "s":
            return cls(seconds=value)
        if match[2] == "%":
            return cls(share=value / 100)
        return cls(frames=int(value))

    def __str__(self) -> str:
        """Returns the standard spelling, as `parse` reads it: '5%' for '5.0 %'."""
        if self.seconds is not None:
            return f"{self.seconds:.12g}s"
        return f"{100 * self.share:.12g}%" if self.share is not None else str(self.frames)

    def most_frames(self, preview_frames: int) -> int:
        """Returns how many of `preview_frames` the recogniser may see. The clock checks a budget in seconds instead."""
        if self.frames is not None:
            return max(1, min(self.frames, preview_frames))
        if self.share is not None:
            return max(1, min(math.floor(self.share * preview_frames + 1e-9), preview_frames))
        return preview_frames

    def reason(self) -> StopReason:
        """Returns why recognition stopped, if the whole budget was used."""
        return "frames" if self.frames is not None else "share" if self.share is not None else "time"


def settled(scores: np.ndarray, saliency: np.ndarray) -> bool:
    """Whether another frame is unlikely to change the first tag.

    scores (n, C) and saliency (n,) of the frames seen so far, in the order they were seen. It is settled if the same
    tag led after each of the last SETTLED_FRAMES frames, and now leads by SETTLED_MARGIN.
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


def unchanged(states: Sequence[Hashable | None]) -> bool:
    """Whether another frame is unlikely to change what is certain.

    `states` has one entry per frame so far: what was certain after it; None is undecided.
    """
    last = states[-SETTLED_FRAMES:]
    return len(last) == SETTLED_FRAMES and last[-1] is not None and len(set(last)) == 1
