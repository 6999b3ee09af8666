"""What is in a video: signs of each node from single frames, their probability, and the tags that follow.

A node's evidence is the sum of the scores below it, per frame. So two things in one video, or one thing that the
recogniser calls by two names, do not compete. Pure functions over numpy; `tag` and `evaluate` both use them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from nsnet_cli.calibration import PREVIEW_SIGNS, SAMPLER_SIGNS, Calibration
from nsnet_cli.hierarchy import Hierarchy
from nsnet_cli.selection import frame_weights

LEAST_SUM = 0.01
"""A node is looked at if its scores sum up to this in a recognised frame."""
LEAST_SEEN = 0.1
"""No tag is certain whose scores reach less than this in every frame: that would be a guess from habit."""
SMALLEST = 1e-4
"""Sums are held between this and 1 - this before their logit is taken."""
LIKELY = 0.5
"""`perhaps` names nothing that is less likely."""


@dataclass(frozen=True, slots=True)
class Nodes:
    """The n nodes that a video may show. Sums per frame: of the recogniser (K, n), of the preview network (T, n)."""

    rows: np.ndarray  # (n,) rows in Hierarchy.nodes
    sums: np.ndarray
    weights: np.ndarray  # (K,) of the recognised frames; they sum to 1
    chosen: np.ndarray  # (K,) which preview frames were recognised
    preview: np.ndarray | None
    fsm: np.ndarray | None  # (K,) of the recognised frames

    def known(self, names: tuple[str, ...]) -> bool:
        """Whether all signs with these names can be told."""
        unknown = () if self.preview is not None else PREVIEW_SIGNS
        return not set(names) & {*unknown, *(() if self.fsm is not None else SAMPLER_SIGNS)}

    def signs(self, hierarchy: Hierarchy, names: tuple[str, ...]) -> np.ndarray:
        """Returns the signs (n, S) with these names."""
        found = {"leaves": np.log(hierarchy.members[self.rows].sum(1))}
        order = np.sort(self.sums, axis=0)
        found |= {"mean": logit(self.weights @ self.sums), "peak": logit(order[-1]), "agreement": logit(order[-2:][0])}
        if self.preview is not None:
            most = np.sort(self.preview, axis=0)[-max(1, len(self.preview) // 8) :]
            found |= {"preview": logit(self.preview[self.chosen].mean(0)), "elsewhere": logit(most.mean(0))}
        if self.fsm is not None:
            found["salient"] = np.full(len(self.rows), logit(self.fsm.mean()))
        return np.stack([found[name] for name in names], axis=1)

    def within(self, first: int, last: int) -> Nodes | None:
        """Returns the same for preview frames first to last alone, or None if none of them was recognised."""
        inside = (self.chosen >= first) & (self.chosen <= last)
        if not inside.any():
            return None
        weights = np.maximum(self.weights[inside], 1e-9)  # next to another frame one can weigh nothing
        preview = None if self.preview is None else self.preview[first : last + 1]
        fsm = None if self.fsm is None else self.fsm[inside]
        return Nodes(self.rows, self.sums[inside], weights / weights.sum(), self.chosen[inside] - first, preview, fsm)


@dataclass(frozen=True, slots=True)
class Present:
    """The nodes of a video with their probabilities (n,); None: nothing was calibrated for what is known."""

    nodes: Nodes
    probabilities: np.ndarray | None

    @property
    def scores(self) -> np.ndarray:
        """(n,) each node's score in the video: the weighted mean of its sums."""
        return np.asarray(self.nodes.weights @ self.nodes.sums)


@dataclass(frozen=True, eq=False)
class Judge:
    """Says what is present. Made once per run; safe to use from several threads."""

    hierarchy: Hierarchy
    calibration: Calibration | None = None
    previews: bool = True
    """Whether the preview network's classes are the vocabulary's tags, in the same order."""
    independent: bool = False
    """Whether scores are independent (multi-label). A node then has the highest score below it: a sum may exceed 1."""
    ids: tuple[str, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", tuple(node.id for node in self.hierarchy.nodes))

    def look(
        self,
        scores: np.ndarray,
        saliency: np.ndarray,
        chosen: np.ndarray,
        preview: np.ndarray | None = None,
        fsm: np.ndarray | None = None,
    ) -> Present:
        """Returns the nodes of a video and how likely each is.

        scores (K, C) and saliency (K,) of the recognised frames, which are the preview frames `chosen` (K,);
        `preview` (T, C) are the preview network's scores, `fsm` (T,) the sampler's; None if they did not look.
        """
        members = self.hierarchy.members
        if self.independent:
            sums = np.stack([scores[:, below].max(1) for below in members], axis=1)
        else:
            sums = scores @ members.T.astype(np.float32)
        rows = np.flatnonzero(sums.max(0) >= LEAST_SUM)
        seen = preview @ members[rows].T.astype(np.float32) if preview is not None and self.previews else None
        fsm = None if fsm is None else fsm[chosen]
        nodes = Nodes(rows, sums[:, rows], frame_weights(scores, saliency), chosen, seen, fsm)
        return Present(nodes, self.probabilities(nodes))

    def probabilities(self, nodes: Nodes) -> np.ndarray | None:
        """Returns (n,), or None without a calibration for what is known. No node is likelier than one over it."""
        if self.calibration is None or not nodes.known(self.calibration.signs):
            return None
        found = self.calibration.probabilities(
            nodes.signs(self.hierarchy, self.calibration.signs), [self.ids[row] for row in nodes.rows]
        )
        over = self.hierarchy.over[np.ix_(nodes.rows, nodes.rows)]
        return np.maximum(found, np.where(over, found[:, None], 0).max(0, initial=0))

    def within(self, nodes: Nodes, first: int, last: int, n: int) -> float:
        """Returns the probability of the n-th node from preview frames first to last alone; 0 if it is not known."""
        part = nodes.within(first, last)
        found = self.probabilities(part) if part else None
        return 0.0 if found is None else float(found[n])

    def certain(self, present: Present, precision: float) -> list[int]:
        """Returns positions (in 0..n-1) of the most specific nodes that reach the precision, the likeliest first."""
        if present.probabilities is None or not precision:
            return []
        seen = present.nodes.sums.max(0) >= LEAST_SEEN
        reach = np.flatnonzero((present.probabilities >= precision) & seen)
        rows = present.nodes.rows[reach]
        specific = reach[~self.hierarchy.over[np.ix_(rows, rows)].any(0)]
        order = np.lexsort((-present.scores[specific], -present.probabilities[specific]))
        return [int(position) for position in specific[order]]


def logit(sums: np.ndarray) -> np.ndarray:
    held = np.clip(sums.astype(np.float64), SMALLEST, 1 - SMALLEST)
    return np.asarray(np.log(held / (1 - held)))
