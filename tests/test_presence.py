"""What is present: names over names, two things in one video, and what makes a tag certain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nsnet_cli.calibration import LEAST_SEEN, LIKELY, SIGNS, Calibration
from nsnet_cli.hierarchy import Hierarchy, own_table
from nsnet_cli.presence import Judge, Present
from nsnet_cli.types import TagName

TABLE = own_table(
    [
        ("animal", "animal", []),
        ("cat", "cat", ["animal"]),
        ("tabby", "tabby", ["cat"]),
        ("siamese", "Siamese", ["cat"]),
        ("bus", "bus", []),
        ("desk", "desk", []),
    ]
)
VOCABULARY = tuple(TagName(tag, tag) for tag in ("tabby", "siamese", "bus", "desk"))
HIERARCHY = Hierarchy(VOCABULARY, TABLE)
BY_PEAK = Calibration(("peak",), (1.0,), 0.0)
"""The probability is the highest sum itself."""
INDOORS, STREET = np.array([1.0, 0.0, 0.0, -1.0]), np.array([-1.0, 0.0, 1.0, 0.0])


def look(scores: list[list[float]], judge: Judge, scenes: list[np.ndarray] | None = None, least: int = 0) -> Present:
    found, frames = np.array(scores, np.float32), np.arange(len(scores))
    features = None if scenes is None else np.stack(scenes)
    return judge.look(found, np.ones(len(found)), frames, None, None, features, least=least)


def names(judge: Judge, present: Present, precision: float) -> list[str]:
    return [judge.ids[present.nodes.rows[n]] for n in judge.certain(present, precision)]


def chance(judge: Judge, present: Present, node: str) -> float:
    assert present.probabilities is not None
    return float(present.probabilities[present.nodes.rows.tolist().index(judge.ids.index(node))])


def test_a_cat_is_certain_where_its_breed_is_not() -> None:
    judge = Judge(HIERARCHY, BY_PEAK)
    present = look([[0.5, 0.4, 0.05, 0.05]], judge)
    assert names(judge, present, 0.8) == ["cat"]
    assert chance(judge, present, "tabby") == pytest.approx(0.5)
    assert chance(judge, present, "cat") == pytest.approx(0.9)
    assert names(judge, look([[0.3, 0.25, 0.2, 0.25]], judge), LIKELY) == ["cat"]


def test_the_most_specific_is_shown_alone() -> None:
    judge = Judge(HIERARCHY, BY_PEAK)
    assert names(judge, look([[0.85, 0.1, 0.03, 0.02]], judge), 0.8) == ["tabby"]


def test_nothing_is_likelier_than_what_stands_over_it() -> None:
    judge = Judge(HIERARCHY, replace(BY_PEAK, trust={"tabby": 5.0}))
    present = look([[0.5, 0.0, 0.25, 0.25]], judge)
    assert chance(judge, present, "animal") == chance(judge, present, "cat") == chance(judge, present, "tabby") > 0.9


def test_two_things_in_one_video_are_two_certain_tags() -> None:
    judge = Judge(HIERARCHY, Calibration(("mean", "peak"), (0.5, 0.5), 0.0))
    frames = [[0.9, 0.02, 0.04, 0.04], [0.92, 0.0, 0.04, 0.04], [0.0, 0.02, 0.9, 0.08], [0.0, 0.0, 0.93, 0.07]]
    apart = look(frames, judge, [INDOORS, INDOORS, STREET, STREET])
    assert set(names(judge, apart, 0.8)) == {"tabby", "bus"}
    alike = look(frames, judge, [INDOORS] * 4)  # the same numbers in one scene contradict each other
    assert names(judge, alike, 0.8) == []


def test_more_frames_of_the_same_change_nothing() -> None:
    """A promise for K = 4 holds for K = 16: `support` is a share."""
    judge = Judge(HIERARCHY, Calibration(("mean", "support"), (1.0, 1.0), 0.0))
    few, many = (look([[0.8, 0.1, 0.05, 0.05]] * k, judge, [INDOORS] * k) for k in (2, 16))
    assert few.probabilities == pytest.approx(many.probabilities, abs=1e-6)


def test_trust_alone_makes_nothing_certain() -> None:
    judge = Judge(HIERARCHY, replace(BY_PEAK, trust={"bus": 20.0}))
    hardly, seen = (look([[0.5, 0.4 - bus, bus, 0.1]], judge) for bus in (LEAST_SEEN / 4, LEAST_SEEN))
    assert "bus" not in names(judge, hardly, 0.8)
    assert "bus" in names(judge, seen, 0.8)


def test_the_tag_that_fills_the_video_comes_first() -> None:
    judge = Judge(HIERARCHY, replace(BY_PEAK, trust={"bus": 5.0, "desk": 2.0}))
    assert names(judge, look([[0.0, 0.0, 0.3, 0.7]], judge), 0.8) == ["desk", "bus"]


def test_no_probability_without_a_calibration_or_what_it_needs() -> None:
    frames = [[0.9, 0.0, 0.05, 0.05]]
    for calibration in (None, Calibration(("preview",), (1.0,), 0.0), Calibration(("salient",), (1.0,), 0.0)):
        judge = Judge(HIERARCHY, calibration)
        present = look(frames, judge)
        assert present.probabilities is None
        assert judge.certain(present, 0.1) == []


def test_precision_zero_makes_nothing_certain() -> None:
    judge = Judge(HIERARCHY, BY_PEAK)
    assert judge.certain(look([[0.99, 0.0, 0.0, 0.01]], judge), 0) == []


def test_as_many_tags_are_looked_at_as_are_asked_for() -> None:
    judge = Judge(HIERARCHY, BY_PEAK)
    assert len(look([[0.996, 0.004, 0.0, 0.0]], judge, least=4).nodes.rows) >= 4


def test_every_sign_is_a_number_for_every_node() -> None:
    judge = Judge(HIERARCHY, None)
    scores, frames = np.array([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]], np.float32), np.array([2, 0])
    present = judge.look(
        scores, np.zeros(2), frames, np.eye(3, 4), np.array([0.0, 0.5, 1.0]), np.zeros((3, 4)), least=4
    )
    signs = present.nodes.signs(HIERARCHY, SIGNS)
    assert signs.shape == (len(present.nodes.rows), len(SIGNS))
    assert np.isfinite(signs).all()
