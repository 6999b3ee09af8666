"""The sampling policies, one per row: what each needs, how it scores frames, how it chooses among them.

`tag`, `evaluate`, the help texts and the docs read POLICIES. A new policy needs a function and a row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from nsnet_cli.records import dataclass

if TYPE_CHECKING:
    import numpy as np  # not at run time: the command line needs the names before numpy is loaded


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known about T preview frames: each field is (T,) in [0, 1], or None if it was not computed."""

    confidence: np.ndarray | None = None
    fsm: np.ndarray | None = None
    vgm: np.ndarray | None = None
    combined: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Candidates:
    """The frames to choose from: saliency (T,) in [0, 1], pts_s (T,) ascending, features (T, D) of the preview."""

    saliency: np.ndarray
    pts_s: np.ndarray
    features: np.ndarray | None = None
    seed: int = 0
    salient: np.ndarray | None = None
    """(T,) bool, the true labels if they are known. Only `evaluate`'s oracle uses it."""


@dataclass(frozen=True, slots=True)
class Policy:
    """One way to choose the K frames that the recogniser sees."""

    name: str
    help: str
    choose: Callable[[Candidates, int], np.ndarray]
    """Indices (K,) of the frames to recognise, the most wanted first."""
    score: Callable[[Seen], np.ndarray | None] | None = None
    """Saliency (T,). None: the policy chooses without looking at the frames."""
    sampler: bool = False
    """Needs a trained sampler."""
    known_ahead: bool = False
    """Its frames are known before decoding, so only they are decoded."""
    every_frame: bool = False
    """Takes all T frames, whatever K is."""
    draws: int = 1
    """`evaluate` reports its mean over this many seeds."""

    @property
    def looks(self) -> bool:
        """Whether the preview network runs."""
        return self.score is not None


def _salient(frames: Candidates, k: int) -> np.ndarray:
    from nsnet_cli.selection import spread

    return spread(frames.saliency, frames.pts_s, k, frames.features)


def _highest(frames: Candidates, k: int) -> np.ndarray:
    return (-frames.saliency).argsort(kind="stable")[:k]


def _even(frames: Candidates, k: int) -> np.ndarray:
    from nsnet_cli.selection import even_indices

    return _all(frames, k) if len(frames.pts_s) <= k else even_indices(frames.pts_s, k)


def _random(frames: Candidates, k: int) -> np.ndarray:
    import numpy as np

    count = len(frames.pts_s)
    return _all(frames, k) if count <= k else np.sort(np.random.default_rng(frames.seed).choice(count, k, False))


def _all(frames: Candidates, k: int) -> np.ndarray:
    import numpy as np

    return np.arange(len(frames.pts_s))


_ROWS = (
    Policy("nsnet", "salient frames, by both sampler modules", _salient, lambda seen: seen.combined, sampler=True),
    Policy("nsnet-fsm", "salient frames, by the frame-level module", _salient, lambda seen: seen.fsm, sampler=True),
    Policy("nsnet-vgm", "salient frames, by the video-level module", _salient, lambda seen: seen.vgm, sampler=True),
    Policy("confidence", "frames that the preview network is surest of", _highest, lambda seen: seen.confidence),
    Policy("uniform", "evenly spaced frames, without a preview", _even, known_ahead=True),
    Policy("random", "random preview frames (see --seed)", _random, draws=5),
    Policy("dense", "every preview frame", _all, every_frame=True),
)
POLICIES: dict[str, Policy] = {row.name: row for row in _ROWS}


def select(
    policy: str,
    saliency: np.ndarray,
    pts_s: np.ndarray,
    k: int,
    *,
    features: np.ndarray | None = None,
    seed: int = 0,
) -> np.ndarray:
    """Returns indices (K,) of the frames to recognise, the most wanted first; all T if T <= k.

    saliency (T,) in [0, 1], pts_s (T,) ascending seconds, features (T, D) of the preview. Raises ValueError for k < 1.
    """
    if k < 1:
        raise ValueError(f"k = {k}: choose at least 1 frame")
    return POLICIES[policy].choose(Candidates(saliency, pts_s, features, seed), k)


def saliency_by_policy(seen: Seen) -> dict[str, np.ndarray]:
    """Returns the saliency (T,) of each policy that scores frames and whose inputs are known."""
    found = {name: policy.score(seen) for name, policy in POLICIES.items() if policy.score is not None}
    return {name: scores for name, scores in found.items() if scores is not None}
