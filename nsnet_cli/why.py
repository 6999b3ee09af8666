"""Why a tag is or is not certain: what each sign added to the log-odds, as numbers and in words. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from nsnet_cli.presence import LEAST_SEEN, Judge, Present
from nsnet_cli.types import Sign, Tag, Why

MUCH_TRUST = 0.5
"""Trust of at least this, in log-odds, is mentioned: it multiplies the odds by 1.6."""
NOT_SALIENT = -1.0
"""Frames with a lower FSM score than this, in log-odds, are mentioned as not salient: it is 0.27 on a scale to 1."""


def reasons(judge: Judge, present: Present, positions: Iterable[int]) -> dict[int, Why]:
    """Returns by position in `Present.nodes` why a node has its probability. Empty if nothing was calibrated."""
    if judge.calibration is None or present.probabilities is None:
        return {}
    signs = present.nodes.signs(judge.hierarchy, judge.calibration.signs)
    return {n: _reason(judge, present, n, signs[n]) for n in positions}


def _reason(judge: Judge, present: Present, n: int, values: np.ndarray) -> Why:
    calibration, nodes = judge.calibration, present.nodes
    assert calibration is not None and present.probabilities is not None
    parts = zip(calibration.signs, values.tolist(), calibration.weights, strict=True)
    signs = tuple(Sign(name, value, weight * value) for name, value, weight in parts)
    trust = calibration.trust.get(judge.ids[nodes.rows[n]], 0.0)
    sums, preview = nodes.sums[:, n], None if nodes.preview is None else nodes.preview[:, n]
    faint = min(1.0, float(sums.max()) / LEAST_SEEN)
    own = faint / (1 + np.exp(-(sum(sign.adds for sign in signs) + trust + calibration.bias)))
    below = np.flatnonzero(judge.hierarchy.over[nodes.rows, nodes.rows[n]])
    raised_by = None
    if len(below) and present.probabilities[n] > own + 1e-9:  # it has the probability of the likeliest node below
        likeliest = below[present.probabilities[below].argmax()]
        raised_by = judge.hierarchy.nodes[nodes.rows[likeliest]].name
    return Why(
        signs,
        trust,
        calibration.bias,
        faint,
        raised_by,
        int((sums >= LEAST_SEEN).sum()),
        len(sums),
        float(sums.max()),
        None if preview is None else int((preview >= LEAST_SEEN).sum()),
        None if preview is None else len(preview),
    )


def words(tag: Tag, precision: float | None) -> str | None:
    """Returns 'cat 95 %: seen in 4 of 4 recognised frames (0.91 at most); ...'. None if nothing was calibrated."""
    why = tag.why
    if why is None or tag.probability is None:
        return None
    facts = [_seen(why)]
    if why.preview_seen is not None:
        sees = (
            f"sees it in {why.preview_seen} of {why.preview_frames} frames" if why.preview_seen else "does not see it"
        )
        facts.append(f"the preview network {sees}")
    if any(sign.name == "salient" and sign.value < NOT_SALIENT for sign in why.signs):
        facts.append("these frames are not salient")
    if abs(why.trust) >= MUCH_TRUST:
        facts.append(f"often {'right' if why.trust > 0 else 'wrong'} in the calibration")
    if why.raised_by is not None:
        facts.append(f"at least as likely as {why.raised_by}")
    return f"{tag.name} {_head(tag, precision or 0.0)}: " + "; ".join(facts)


def _seen(why: Why) -> str:
    highest = f"({why.highest:.2f} at most)"
    if why.recognised == 1:
        return f"{'seen' if why.seen else 'not seen'} in the only recognised frame ({why.highest:.2f})"
    if not why.seen:
        return f"seen in none of {why.recognised} recognised frames {highest}"
    return f"seen in {why.seen} of {why.recognised} recognised frames {highest}"


def _head(tag: Tag, precision: float) -> str:
    """The probability, and what keeps the tag from being certain."""
    assert tag.probability is not None
    if tag.certain or not precision:
        return percent(tag.probability)
    if tag.probability < precision:
        needed = f"{100 * precision:.3g} %"
        shown = percent(tag.probability)
        return f"{100 * tag.probability:.1f} %, {needed} needed" if shown == needed else f"{shown}, {needed} needed"
    return f"{percent(tag.probability)}, but a more specific tag is certain"


def percent(probability: float) -> str:
    """Never 0 or 100: a calibration cannot know that."""
    return f"{min(max(round(100 * probability), 1), 99)} %"


def to_dict(tag: Tag, precision: float | None) -> dict[str, Any] | None:
    """Returns the field `why` of `nsnet explain --json`. log_odds is bias + trust + what the signs add."""
    why = tag.why
    if why is None:
        return None
    return {
        "words": words(tag, precision),
        "log_odds": _number(why.bias + why.trust + sum(sign.adds for sign in why.signs)),
        "bias": _number(why.bias),
        "trust": _number(why.trust),
        "signs": {sign.name: {"value": _number(sign.value), "adds": _number(sign.adds)} for sign in why.signs},
        "faint": _number(why.faint),
        "raised_by": why.raised_by,
    }


def _number(value: float) -> float:
    return float(f"{value:.6g}")
