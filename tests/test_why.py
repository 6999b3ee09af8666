"""Why a tag is or is not certain: the parts add up to its probability, and the words say what they are."""

from __future__ import annotations

import numpy as np
import pytest

from nsnet_cli.answer import judged
from nsnet_cli.calibration import Calibration
from nsnet_cli.hierarchy import Hierarchy, own_table
from nsnet_cli.kept import KEPT_TAGS, Judged
from nsnet_cli.presence import Judge, Present
from nsnet_cli.types import Tag, TagName, Why
from nsnet_cli.why import reasons, to_dict, words

TABLE = own_table([("f", "feline", []), ("c", "cat", ["f"]), ("t", "tiger", ["f"]), ("k", "kettle", [])])
TAGS = (TagName("c", "cat"), TagName("t", "tiger"), TagName("k", "kettle"))
CALIBRATION = Calibration(("mean", "salient", "preview"), (1.5, 0.2, 0.5), -0.3, {"c": 1.2, "f": -3.0, "k": -0.9})
SCORES = np.array([[0.7, 0.05, 0.2], [0.6, 0.04, 0.3]], np.float32)


def seen(calibration: Calibration | None = CALIBRATION, fsm: float = 0.9) -> Judged:
    judge = Judge(Hierarchy(TAGS, TABLE), calibration)
    preview = np.array([[0.5, 0.0, 0.2], [0.6, 0.0, 0.0], [0.05, 0.0, 0.0]], np.float32)
    return kept(judge, judge.look(SCORES, np.ones(2), np.array([0, 1]), preview, np.full(3, fsm)))


def kept(judge: Judge, present: Present) -> Judged:
    return judged(judge, present, np.arange(len(present.nodes.rows)), KEPT_TAGS)


def tag(why: Why | None, probability: float, *, certain: bool = False) -> Tag:
    return Tag("c", "cat", 0.5, probability=probability, certain=certain, why=why)


def test_the_parts_add_up_to_the_probability() -> None:
    look = seen()
    found = reasons(look, range(len(look.nodes)), 3)
    assert look.probabilities is not None
    for n, why in found.items():
        odds = sum(sign.adds for sign in why.signs) + why.trust + why.bias
        own = why.faint / (1 + np.exp(-odds))
        assert why.faint == pytest.approx(min(1, why.highest / 0.1))
        assert [sign.name for sign in why.signs] == ["mean", "salient", "preview"]
        assert all(s.adds == pytest.approx(s.value * w) for s, w in zip(why.signs, CALIBRATION.weights, strict=True))
        if why.raised_by is None:
            assert own == pytest.approx(look.probabilities[n], rel=1e-5)
        else:
            assert look.nodes[n].id == "f" and why.raised_by == "cat"
            assert own < look.probabilities[n]
    assert sum(why.raised_by is not None for why in found.values()) == 1


def test_nothing_is_said_without_a_calibration() -> None:
    look = seen(None)
    assert reasons(look, [0], 3) == {} and words(tag(None, 0.5), 0.8) is None
    assert to_dict(tag(None, 0.5), 0.8) is None


def test_words() -> None:
    look = seen()
    cat, tiger, kettle, feline = (reasons(look, range(4), 3)[n] for n in range(4))
    assert words(tag(cat, 0.951, certain=True), 0.8) == (
        "cat 95 %: seen in 2 of 2 recognised frames (0.70 at most); the preview network sees it in 2 of 3 frames; "
        "often right in the calibration"
    )
    assert words(tag(tiger, 0.31), 0.8) == (
        "cat 31 %, 80 % needed: seen in none of 2 recognised frames (0.05 at most); the preview network does not see it"
    )
    said = words(tag(kettle, 0.796), 0.8)
    assert said is not None and said.startswith("cat 79.6 %, 80 % needed: ") and "often wrong" in said
    assert (words(tag(feline, 0.9, certain=True), 0.8) or "").endswith("; at least as likely as cat")
    look = seen(fsm=0.1)
    assert "these frames are not salient" in (words(tag(reasons(look, [0], 3)[0], 0.5), 0.8) or "")


def test_words_for_a_likely_tag_that_is_not_certain() -> None:
    look = seen()
    why = reasons(look, range(4), 3)
    assert (words(tag(why[0], 0.9), 0.8) or "").startswith("cat 90 %, but a more specific tag is certain: ")
    assert (words(tag(why[0], 0.9), 0.0) or "").startswith("cat 90 %: ")


def test_one_frame() -> None:
    judge = Judge(Hierarchy(TAGS, TABLE), CALIBRATION)
    one = judge.look(SCORES[:1], np.ones(1), np.array([0]), SCORES[:1], np.ones(1))
    said = words(tag(reasons(kept(judge, one), [0], 1)[0], 0.9, certain=True), 0.8)
    assert said is not None and "seen in the only recognised frame (0.70)" in said


def test_json_has_each_sign_by_name() -> None:
    look = seen()
    found = to_dict(tag(reasons(look, [0], 3)[0], 0.95, certain=True), 0.8)
    assert found is not None and list(found) == ["words", "log_odds", "bias", "trust", "signs", "faint", "raised_by"]
    assert found["log_odds"] == pytest.approx(
        found["bias"] + found["trust"] + sum(sign["adds"] for sign in found["signs"].values()), abs=1e-4
    )
    assert list(found["signs"]["mean"]) == ["value", "adds"]
