"""When a tag is seen: stretches of preview frames around the recognised ones."""

from __future__ import annotations

import numpy as np
import pytest

from nsnet_cli.selection import likeness
from nsnet_cli.spans import Stretch, interval_s, seen, stretches, times

PTS_S = np.arange(10) * 2.0


def found(series: list[float], anchors: list[int], pts_s: np.ndarray = PTS_S) -> list[tuple[int, int]]:
    return [(s.first, s.last) for s in stretches(np.array(series), np.array(anchors), pts_s)]


def test_a_stretch_goes_on_while_the_tag_is_seen() -> None:
    assert found([0, 0.1, 0.5, 0.9, 0.9, 0.3, 0.1, 0, 0, 0], [3]) == [(2, 5)]


def test_an_anchor_is_a_stretch_whatever_the_preview_network_says() -> None:
    assert found([0] * 10, [4]) == [(4, 4)]


def test_a_stretch_that_nobody_recognised_must_be_strong() -> None:
    series = [0.9, 0, 0, 0.8, 0, 0, 0.4, 0, 0, 0.9]
    assert found(series, [0]) == [(0, 0), (3, 3), (9, 9)]


def test_short_gaps_end_nothing() -> None:
    series = [0.9, 0.9, 0, 0.9, 0.9, 0, 0, 0, 0, 0]
    assert found(series, [0], np.arange(10) * 0.2) == [(0, 4)]
    assert found(series, [0], np.arange(10) * 2.0) == [(0, 1), (3, 4)]


def test_a_weaker_stretch_has_a_smaller_share() -> None:
    strong, weak = stretches(np.array([0.8, 0.0, 0.7, 0.0]), np.array([0]), PTS_S[:4])
    assert (strong.share, weak.share) == (1.0, pytest.approx(0.875))


def test_ends_lie_half_way_to_the_frames_outside() -> None:
    assert times(Stretch(2, 4, 1.0), PTS_S, 18.5) == (3.0, 9.0)
    assert times(Stretch(0, 9, 1.0), PTS_S, 18.5) == (0.0, 18.5)
    assert times(Stretch(9, 9, 1.0), PTS_S, 17.0) == (17.0, 18.0)  # a duration that is too short does not cut it


def test_a_scene_is_followed_by_likeness_and_by_the_preview_network() -> None:
    desk, street = np.array([1.0, -1.0, 0.0]), np.array([0.0, -1.0, 1.0])
    features = np.stack([street, desk, desk, desk, street])
    like = likeness(features, np.array([1]))
    assert seen(like).tolist() == pytest.approx([0.0625, 1, 1, 1, 0.0625])
    gone = seen(like, np.array([0.0, 0.8, 0.8, 0.0, 0.0]))
    assert gone.tolist() == pytest.approx([0, 0.8**0.5, 0.8**0.5, 0, 0])


def test_the_uncertainty_is_the_usual_distance_of_frames() -> None:
    assert interval_s(np.array([0.0, 1.0, 2.0, 9.0])) == 1.0
    assert interval_s(np.array([3.0])) is None
