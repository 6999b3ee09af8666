"""Certain tags as `nsnet evaluate` measures them: by hand on a small hierarchy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nsnet_cli.calibration import Calibration
from nsnet_cli.evaluation.certain import certain, intersection_over_union
from nsnet_cli.evaluation.policies import ScoredVideo
from nsnet_cli.hierarchy import Hierarchy, own_table
from nsnet_cli.presence import Judge
from nsnet_cli.types import TagName

CAT, TIGER, KETTLE = range(3)
TABLE = own_table([("f", "feline", []), ("c", "cat", ["f"]), ("t", "tiger", ["f"]), ("k", "kettle", [])])
TAGS = (TagName("c", "cat"), TagName("t", "tiger"), TagName("k", "kettle"))
FRAMES_ONLY = Calibration(("mean",), (1.0,), 0.0)
"""A node's probability is the mean of its scores, weighted as the video's scores are."""


def judge(calibration: Calibration | None = FRAMES_ONLY) -> Judge:
    return Judge(Hierarchy(TAGS, TABLE), calibration, previews=True)


def video(name: str, scores: list[list[float]], labels: tuple[int, ...], **changes: object) -> ScoredVideo:
    """Frames at 0, 1, 2, ... s that are equally salient. Logits of the preview network say the same as the scores."""
    array = np.array(scores, np.float32)
    made = ScoredVideo(
        name,
        labels,
        np.arange(len(array)) * 1.0,
        {"nsnet": np.ones(len(array)), "confidence": np.ones(len(array))},
        array,
        logits=np.log(array),
        fsm=np.full(len(array), 0.9),
        duration_s=float(len(array)),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


SURE_CAT, CAT_OR_TIGER, KETTLE_SURE = [0.94, 0.03, 0.03], [0.5, 0.48, 0.02], [0.02, 0.02, 0.96]


def test_right_wrong_and_covered_by_hand() -> None:
    videos = [
        video("a", [SURE_CAT] * 4, (CAT,)),  # certain: cat, right
        video("b", [CAT_OR_TIGER] * 4, (TIGER,)),  # certain: feline, which stands over the label
        video("c", [KETTLE_SURE] * 4, (CAT,)),  # certain: kettle, wrong
        video("d", [[0.4, 0.2, 0.4]] * 4, (CAT, KETTLE)),  # nothing is certain
    ]
    found = certain(videos, "nsnet", 2, judge(), 0.8)
    assert found is not None
    figures = found.figures()
    assert figures["asked"] == 0.8 and figures["shown"] == 3 / 4
    assert figures["precision"] == figures["tag_precision"] == 2 / 3
    assert figures["coverage"] == 2 / 4 and figures["tag_coverage"] == 2 / 5
    assert np.isnan(found.span_iou) and found.span_videos == 0


def test_two_certain_tags_and_their_spans_by_hand() -> None:
    """A cat, then a kettle: both are certain by their highest score. The labels say when each is seen."""
    scores = [SURE_CAT] * 4 + [KETTLE_SURE] * 4
    peak = Calibration(("peak",), (1.0,), 0.0)
    two = video("a", scores, (CAT, KETTLE), segments=((0.0, 6.0),), salient=np.arange(8) < 6)
    found = certain([two], "dense", 8, judge(peak), 0.8)
    assert found is not None and found.promise.tags_right == 2 and found.tag_coverage == 1
    assert found.span_videos == 1 and found.span_iou == pytest.approx(6 / 8)  # the tags' spans are the whole video
    cat = replace(two, labels=(CAT,))
    found = certain([cat], "dense", 8, judge(peak), 0.8)
    assert found is not None and found.promise.tags_wrong == 1
    assert found.span_iou == pytest.approx(3.5 / 6)  # only the right one counts: it ends between 3 s and 4 s


def test_a_policy_that_cannot_be_judged_is_left_out() -> None:
    videos = [video("a", [SURE_CAT] * 4, (CAT,))]
    preview = judge(Calibration(("preview",), (1.0,), 0.0))
    salient = judge(Calibration(("salient",), (1.0,), 2.0))
    assert certain(videos, "uniform", 2, judge(), 0.8) is not None
    assert certain(videos, "uniform", 2, preview, 0.8) is None
    assert certain(videos, "confidence", 2, preview, 0.8) is not None
    assert certain(videos, "confidence", 2, salient, 0.8) is None, "this policy does not run the sampler"
    assert certain(videos, "nsnet", 2, salient, 0.8) is not None
    assert certain(videos, "nsnet", 2, judge(None), 0.8) is None
    assert certain(videos, "nsnet", 2, judge(), 0.0) is None


def test_random_draws_are_counted_together() -> None:
    found = certain([video("a", [SURE_CAT] * 4, (CAT,))], "random", 2, judge(), 0.8)
    assert found is not None and found.promise.videos == 5 and found.figures()["coverage"] == 1


def test_calibration_error_by_hand() -> None:
    """Cat and feline have the probabilities 0.94 and 0.97, and are right in half of the videos."""
    videos = [video(name, [SURE_CAT] * 4, (label,)) for name, label in (("a", CAT), ("b", KETTLE))]
    found = certain(videos, "nsnet", 2, judge(), 0.8)
    assert found is not None and found.calibration_error == pytest.approx((0.44 + 0.47) / 2, abs=1e-3)


def test_intersection_over_union_by_hand() -> None:
    assert intersection_over_union([(0, 4)], [(2, 6)]) == pytest.approx(2 / 6)
    assert intersection_over_union([(0, 2), (1, 4)], [(0, 4)]) == 1
    assert intersection_over_union([(0, 1), (3, 4)], [(0, 4)]) == pytest.approx(2 / 4)
    assert intersection_over_union([(0, 1)], [(2, 3)]) == 0
    assert intersection_over_union([(1, 1)], [(1, 1)]) == 0
