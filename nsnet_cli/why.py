"""Why a tag is or is not certain: what each sign added to the log-odds, as numbers and in words. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from nsnet_cli.calibration import LEAST_SEEN
from nsnet_cli.kept import Judged
from nsnet_cli.types import Sign, Tag, Why

MUCH_TRUST = 0.5
"""Trust of at least this, in log-odds, is told: it multiplies the odds by 1.6."""
RAISED = 1e-5
"""A node that is likelier by more than this than its own signs make it has the probability of a node below it."""
NOT_SALIENT = -1.0
"""Frames that the sampler finds less salient than this, in log-odds, are told: 0.27 on a scale to 1."""


def reasons(judged: Judged, positions: Iterable[int], preview_frames: int) -> dict[int, Why]:
    """Returns by position in `Judged.nodes` why a node has its probability. Empty if nothing was calibrated."""
    return {} if judged.probabilities is None else {n: _reason(judged, n, preview_frames) for n in positions}


def _reason(judged: Judged, n: int, preview_frames: int) -> Why:
    assert judged.probabilities is not None and judged.signs is not None and judged.trust is not None
    sums, trust = judged.sums[:, n], float(judged.trust[n])
    parts = zip(judged.weights, judged.signs[n].tolist(), strict=True)
    signs = tuple(Sign(name, value, weight * value) for (name, weight), value in parts)
    faint = min(1.0, float(sums.max()) / LEAST_SEEN)
    own = faint / (1 + np.exp(-(sum(sign.adds for sign in signs) + trust + judged.bias)))
    identifier = judged.nodes[n].id
    below = [m for m, node in enumerate(judged.nodes) if any(over.id == identifier for over in node.parents)]
    raised_by = None
    if below and judged.probabilities[n] > own + RAISED:  # it has the probability of the likeliest node below
        raised_by = judged.nodes[max(below, key=judged.probabilities.__getitem__)].name
    sees = None if judged.preview_seen is None else int(judged.preview_seen[n])
    return Why(
        signs,
        trust,
        judged.bias,
        faint,
        raised_by,
        int((sums >= LEAST_SEEN).sum()),
        len(sums),
        float(sums.max()),
        sees,
        None if sees is None else preview_frames,
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
