"""What calibration learns from: the signs of every node that a video may show, and whether a person agrees with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from nsnet_cli.calibration import FRAME_SIGNS, LIKENESS_SIGNS, PREVIEW_SIGNS, SAMPLER_SIGNS
from nsnet_cli.hierarchy import Hierarchy
from nsnet_cli.presence import Judge, Present
from nsnet_cli.records import dataclass

UNKNOWN_WEIGHT = 0.5
"""Weight of a look at a made video as if its own tags were unknown. With it a promise of 0.8 holds for such looks."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What a person says about one video. What stands over a right id is right too, and likewise with `unjudged`."""

    path: str
    source: str
    """What videos share: a recording, a place, a person. No source is in two folds."""
    right: frozenset[str]
    unjudged: frozenset[str] = frozenset()
    """Neither right nor wrong. What is in both sets is right."""
    weight: float = 1.0
    """How much it counts: less than 1 for videos that are made, not found."""


@dataclass(frozen=True, slots=True)
class Examples:
    """The n judged nodes of one video. A node that is neither right nor wrong is left out."""

    truth: Truth
    present: Present
    positions: np.ndarray  # (n,) in present.nodes
    signs: np.ndarray  # (n, S) of the signs that were asked for
    nodes: np.ndarray  # (n,) rows in Hierarchy.nodes
    right: np.ndarray  # (n,) bool
    count: float = 1.0
    """How much this look at the video counts in the fit. All looks at one video, with several K, count 1 together."""
    measured: bool = True
    """Whether promises are measured on it: only on found videos, with the checkpoint's own K."""


def sign_names(judge: Judge, *, sampler: bool) -> tuple[str, ...]:
    """Returns the signs that are known for a checkpoint."""
    return FRAME_SIGNS + LIKENESS_SIGNS + SAMPLER_SIGNS * sampler + PREVIEW_SIGNS * judge.previews


def examples(judge: Judge, truth: Truth, present: Present, names: tuple[str, ...]) -> Examples:
    """Returns what a video teaches. `present` comes from `Judge.look`, as `tag` calls it."""
    right, unjudged = closed(judge.hierarchy, truth.right), closed(judge.hierarchy, truth.unjudged)
    ids = [judge.ids[row] for row in present.nodes.rows]
    judged = np.array([node in right or node not in unjudged for node in ids], bool)
    positions = np.flatnonzero(judged)
    signs = present.nodes.signs(judge.hierarchy, names)[positions]
    rows = present.nodes.rows[positions]
    return Examples(truth, present, positions, signs, rows, np.array([ids[n] in right for n in positions], bool))


def frame_counts(k: int) -> tuple[int, ...]:
    """Returns the K to fit for, the checkpoint's own first: probabilities must also hold for other --frames."""
    return tuple(dict.fromkeys((k, max(1, k // 2), 2 * k, 4 * k)))


def every_look(
    judge: Judge, truth: Truth, look: Callable[[int], Present], k: int, names: tuple[str, ...]
) -> list[Examples]:
    """Returns what a video teaches with each K. `look(K)` says what is present in K frames."""
    counts = frame_counts(k)
    found = [examples(judge, truth, look(n), names) for n in counts]
    own = truth.weight == 1
    return [
        replace(each, count=1 / len(counts), measured=own and n == k) for n, each in zip(counts, found, strict=True)
    ]


def closed(hierarchy: Hierarchy, ids: Iterable[str]) -> set[str]:
    """Returns the ids and all that stands over them."""
    found = set(ids)
    return found.union(*(hierarchy.above(node) for node in found)) if found else found
