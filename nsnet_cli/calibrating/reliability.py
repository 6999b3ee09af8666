"""Whether probabilities are right as often as they say, and whether a promised precision is kept. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from itertools import pairwise
from typing import Literal

import numpy as np

from nsnet_cli.records import dataclass

Verdict = Literal["right", "wrong", "unjudged"]
LOOKED_AT = 0.05
"""Only nodes above this probability count for the calibration error.

A video has hundreds of nodes near zero. Their error is near zero too, and would hide that of the few that people see.
"""
DRAWS = 1000
"""Bootstrap samples behind a standard error."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Nodes of about the same probability."""

    probability: float
    """Their mean probability."""
    right: float
    """The share of them that are right."""
    count: int


@dataclass(frozen=True, slots=True)
class Promise:
    """What `--precision` at one value gives for a set of videos."""

    precision: float
    """The precision that was asked for."""
    videos: int
    named: int
    """Videos that have something to name."""
    shown: int
    """Videos with a certain tag. Its first one is right, wrong or unjudged, and counted so here."""
    right: int
    wrong: int
    unjudged: int
    tags_right: int
    """Of all certain tags, not the first ones alone."""
    tags_wrong: int
    error: float | None
    """Standard error of `precision_measured`, by a bootstrap over sources. None for a single source."""

    @property
    def precision_measured(self) -> float | None:
        """Share of the judged first certain tags that are right; None if there is none."""
        return self.right / (self.right + self.wrong) if self.right + self.wrong else None

    @property
    def coverage(self) -> float | None:
        """Right first certain tags per video that has something to name."""
        return self.right / self.named if self.named else None

    @property
    def tag_precision(self) -> float | None:
        """Share of all judged certain tags that are right."""
        judged = self.tags_right + self.tags_wrong
        return self.tags_right / judged if judged else None

    @property
    def kept(self) -> bool | None:
        """Whether the measured precision reaches the promise within one standard error."""
        if self.precision_measured is None:
            return None
        return self.precision_measured + (self.error or 0.0) >= self.precision


def reliability(probability: np.ndarray, right: np.ndarray, bins: int = 10) -> tuple[Bin, ...]:
    """Returns bins of equally many nodes, the least likely first. probability, right (n,).

    Nodes of the same probability are in the same bin, so there may be fewer bins.
    """
    probability, right = np.asarray(probability, np.float64), np.asarray(right, bool)
    edges = [int(part[0]) for part in np.array_split(np.arange(len(probability)), bins) if len(part)]
    order = np.argsort(probability, kind="stable")
    ranked, found = probability[order], right[order]
    starts = sorted({int(np.searchsorted(ranked, ranked[edge], "left")) for edge in edges})
    pairs = pairwise([*starts, len(ranked)])
    return tuple(Bin(float(ranked[a:b].mean()), float(found[a:b].mean()), b - a) for a, b in pairs)


def expected_calibration_error(probability: np.ndarray, right: np.ndarray, bins: int = 10) -> float:
    """Returns the mean of |probability - share right| over bins of equally many nodes; nan without a node.

    Callers leave out nodes at or below LOOKED_AT first. probability, right (n,).
    """
    found = reliability(probability, right, bins)
    total = sum(one.count for one in found)
    return sum(one.count * abs(one.probability - one.right) for one in found) / total if total else float("nan")


def verdict(node: str, right: Set[str], unjudged: Set[str]) -> Verdict:
    """Returns what a person says about a node. Both sets hold all that stands over their ids (`examples.closed`)."""
    return "right" if node in right else "unjudged" if node in unjudged else "wrong"


def promise(
    precision: float, certain: Sequence[Sequence[Verdict]], named: Sequence[bool], sources: Sequence[str]
) -> Promise:
    """Returns what was promised and what was kept.

    Args:
        precision: The precision that was asked for.
        certain: For each video the verdicts of its certain tags, in the order in which they are shown.
        named: For each video whether it has something to name.
        sources: For each video what it shares with others, the recording for example.
    """
    firsts = [tags[0] if tags else None for tags in certain]
    every = [verdict for tags in certain for verdict in tags]
    return Promise(
        precision=precision,
        videos=len(certain),
        named=sum(named),
        shown=sum(first is not None for first in firsts),
        right=firsts.count("right"),
        wrong=firsts.count("wrong"),
        unjudged=firsts.count("unjudged"),
        tags_right=every.count("right"),
        tags_wrong=every.count("wrong"),
        error=_standard_error(firsts, sources),
    )


def _standard_error(firsts: Iterable[Verdict | None], sources: Sequence[str]) -> float | None:
    """Returns the spread of the precision when whole sources are drawn again.

    Clips of one source are right or wrong together. Sources without a judged tag are left out: they do not change the
    precision.
    """
    counts: dict[str, list[int]] = {}
    for first, source in zip(firsts, sources, strict=True):
        if first in ("right", "wrong"):
            counts.setdefault(source, [0, 0])[first == "wrong"] += 1
    if len(counts) < 2:
        return None
    table = np.array(list(counts.values()))
    drawn = np.random.default_rng(0).multinomial(len(table), np.full(len(table), 1 / len(table)), DRAWS) @ table
    return float((drawn[:, 0] / drawn.sum(1)).std())
