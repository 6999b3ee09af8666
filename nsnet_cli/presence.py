"""What is in a video: signs of each node from single frames, their probability, and the tags that follow.

A node's evidence is the sum of the scores below it, per frame. So two things in one video, or one thing that the
recogniser calls by two names, do not compete. Pure functions over numpy; `tag` and `evaluate` both use them.
"""

from __future__ import annotations

import shlex
from dataclasses import field

import numpy as np

from nsnet_cli.calibration import LEAST_SEEN, LIKENESS_SIGNS, PREVIEW_SIGNS, SAMPLER_SIGNS, Calibration
from nsnet_cli.hierarchy import Hierarchy
from nsnet_cli.policies import POLICIES
from nsnet_cli.records import dataclass
from nsnet_cli.render import most_specific
from nsnet_cli.selection import frame_weights, likeness
from nsnet_cli.weights.checkpoint import Checkpoint
from nsnet_cli.weights.vocabulary import load_vocabulary

LEAST_SUM = 0.01
"""A node is looked at if its scores sum up to this in a recognised frame."""
SMALLEST = 1e-4
"""Sums are held between this and 1 - this before their logit is taken."""


@dataclass(frozen=True, slots=True)
class Nodes:
    """The n nodes that a video may show, and what is known of its T preview frames, K of them recognised."""

    rows: np.ndarray  # (n,) rows in Hierarchy.nodes
    sums: np.ndarray  # (K, n) of the recogniser
    weights: np.ndarray  # (K,) of the recognised frames; they sum to 1
    chosen: np.ndarray  # (K,) which preview frames were recognised
    likeness: np.ndarray | None  # (T, K) of all frames to the recognised ones, in [0, 1]
    preview: np.ndarray | None  # (T, n) sums of the preview network
    fsm: np.ndarray | None  # (K,) of the recognised frames

    def known(self, names: tuple[str, ...]) -> bool:
        """Whether all signs with these names can be computed."""
        needs = ((LIKENESS_SIGNS, self.likeness), (PREVIEW_SIGNS, self.preview), (SAMPLER_SIGNS, self.fsm))
        return not any(set(names) & set(signs) for signs, need in needs if need is None)

    def signs(self, hierarchy: Hierarchy, names: tuple[str, ...]) -> np.ndarray:
        """Returns the signs (n, S) with these names: see nsnet_cli.calibration.SIGNS."""
        peak = self.sums.argmax(0)  # (n,)
        like = np.ones((len(self.chosen), len(self.rows)))  # (K, n) to the frame of the peak
        found = {"leaves": np.log(hierarchy.members[self.rows].sum(1)), "peak": logit(self.sums.max(0))}
        if self.likeness is not None:
            like = self.likeness[self.chosen][:, peak]
            found["stay"] = np.log(self.likeness.sum(0))[peak]
        count = like.sum(0)
        share = like * self.weights[:, None]
        share /= np.maximum(share.sum(0), 1e-12)
        found |= {"mean": logit((share * self.sums).sum(0)), "support": np.log(count / len(self.chosen))}
        if self.preview is not None:
            found["preview"] = logit((share * self.preview[self.chosen]).sum(0))
        if self.fsm is not None:
            fsm = self.fsm @ like / count
            found |= {"salient": logit(fsm), "salient_mean": fsm * (found["mean"] - logit(np.array(0.0)))}
        return np.reshape([found[name] for name in names], (len(names), len(self.rows))).T


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

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Judge:
        """Returns the judge for a checkpoint."""
        tags = [tag.id for tag in checkpoint.vocabulary]
        same = tags == [tag.id for tag in load_vocabulary(checkpoint.preview.network.vocabulary)]
        hierarchy = Hierarchy(checkpoint.vocabulary, checkpoint.table)
        return cls(hierarchy, checkpoint.calibration, same, checkpoint.head.multi_label)

    def prepare(self) -> None:
        """Makes now what the first video would wait for. It is a moment when the networks are still loading."""
        self.hierarchy.prepare()
        if self.calibration is not None:
            _ = self.hierarchy.over

    def never_certain(self, checkpoint: Checkpoint, policy: str) -> str | None:
        """Returns why no tag can be certain under a policy, and what to do about it. None if tags can be."""
        if self.calibration is None:
            spec = shlex.quote(checkpoint.spec or checkpoint.name)
            return (
                f"no tag can be certain, nothing was calibrated; to do so: nsnet calibrate LABELS --checkpoint {spec}"
            )
        signs, row = set(self.calibration.signs), POLICIES[policy]
        if not row.looks and signs & {*PREVIEW_SIGNS, *LIKENESS_SIGNS}:
            missing = "the preview network"
        elif not row.sampler and signs & set(SAMPLER_SIGNS):
            missing = "the sampler"
        else:
            return None
        why = f"the calibration needs {missing}, which --policy {policy} does not run"
        return f"no tag can be certain, {why}; use --policy nsnet"

    def look(
        self,
        scores: np.ndarray,
        saliency: np.ndarray,
        chosen: np.ndarray,
        preview: np.ndarray | None = None,
        fsm: np.ndarray | None = None,
        features: np.ndarray | None = None,
        *,
        least: int = 0,
    ) -> Present:
        """Returns the nodes of a video and how likely each is, the `least` best tags of the vocabulary among them.

        scores (K, C) and saliency (K,) of the recognised frames, which are the preview frames `chosen` (K,);
        `preview` (T, C) are the preview network's scores, `features` (T, D) its features, `fsm` (T,) the sampler's
        scores; None if they did not look.
        """
        sums = self.hierarchy.sums(scores, np.arange(len(self.ids)), highest=self.independent)
        weights = frame_weights(scores, saliency)
        wanted = sums.max(0) >= LEAST_SUM
        wanted[np.argsort(-(weights @ scores), kind="stable")[:least]] = True  # so that a run has --top-k tags
        rows = np.flatnonzero(wanted)
        seen = self.hierarchy.sums(preview, rows) if preview is not None and self.previews else None
        fsm = None if fsm is None else fsm[chosen]
        like = likeness(features, chosen) if features is not None else None
        nodes = Nodes(rows, sums[:, rows], weights, chosen, like, seen, fsm)
        return Present(nodes, self.probabilities(nodes))

    def probabilities(self, nodes: Nodes) -> np.ndarray | None:
        """Returns (n,), or None without a calibration for what is known. No node is likelier than one over it."""
        if self.calibration is None or not nodes.known(self.calibration.signs):
            return None
        found = self.calibration.probabilities(
            nodes.signs(self.hierarchy, self.calibration.signs), [self.ids[row] for row in nodes.rows]
        )
        found *= np.minimum(1, nodes.sums.max(0) / LEAST_SEEN)
        over = self.hierarchy.over[np.ix_(nodes.rows, nodes.rows)]
        return np.maximum(found, np.where(over, found[:, None], 0).max(0, initial=0))

    def certain(self, present: Present, precision: float) -> list[int]:
        """Returns positions (0..n-1) of the most specific nodes that reach the precision, the highest score first."""
        if present.probabilities is None or not precision:
            return []
        over = self.hierarchy.over[np.ix_(present.nodes.rows, present.nodes.rows)]
        return most_specific(present.probabilities, present.scores, over, precision)


def logit(sums: np.ndarray) -> np.ndarray:
    held = np.clip(sums.astype(np.float64), SMALLEST, 1 - SMALLEST)
    return np.asarray(np.log(held / (1 - held)))
