"""The sampling policies, one row each: what a policy needs, how it scores frames, how it chooses among them.

`tag`, `evaluate`, the help texts and the docs read POLICIES. A new policy is a function and a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np  # not at run time: the command line needs the names before there is time for it


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of T preview frames, each (T,) in [0, 1]. None: it was not computed."""

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
    """(T,) bool, where the truth is known: for `evaluate`'s oracle alone."""


@dataclass(frozen=True, slots=True)
class Policy:
    """One way to choose the K frames that the recogniser sees."""

    name: str
    help: str
    choose: Callable[[Candidates, int], np.ndarray]
    """Indices (K,) of the frames to recognise, the most wanted first."""
    score: Callable[[Seen], np.ndarray | None] | None = None
    """Saliency (T,); None: the policy looks at nothing before it chooses."""
    sampler: bool = False
    """Needs a trained sampler."""
    known_ahead: bool = False
    """Its frames are known before anything is decoded, so nothing else is decoded."""
    every_frame: bool = False
    """Takes all T frames, whatever K is."""
    draws: int = 1
    """`evaluate` judges it by the mean of this many seeds."""

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
    Policy("nsnet", "salient frames, both modules of the sampler", _salient, lambda seen: seen.combined, sampler=True),
    Policy("nsnet-fsm", "salient frames, the frame-level module alone", _salient, lambda seen: seen.fsm, sampler=True),
    Policy("nsnet-vgm", "salient frames, the video-level module alone", _salient, lambda seen: seen.vgm, sampler=True),
    Policy("confidence", "frames of which the preview network is surest", _highest, lambda seen: seen.confidence),
    Policy("uniform", "evenly spaced frames; looks at nothing first", _even, known_ahead=True),
    Policy("random", "random preview frames, by --seed", _random, draws=5),
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
    """Indices (K,) of the frames to recognise, the most wanted first; all T where T <= k.

    saliency (T,) in [0, 1], pts_s (T,) ascending seconds, features (T, D) of the preview. Raises ValueError for k < 1.
    """
    if k < 1:
        raise ValueError(f"k = {k} frames; at least 1")
    return POLICIES[policy].choose(Candidates(saliency, pts_s, features, seed), k)


def saliency_by_policy(seen: Seen) -> dict[str, np.ndarray]:
    """Saliency (T,) of each policy that scores frames and whose inputs are known."""
    found = {name: policy.score(seen) for name, policy in POLICIES.items() if policy.score is not None}
    return {name: scores for name, scores in found.items() if scores is not None}
