"""Which frames the recogniser's clips hold, and what spans make of them: by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import sample_results

from nsnet_cli.hierarchy import Hierarchy, table_for
from nsnet_cli.index.found import _of_result as of_result
from nsnet_cli.media import InputSpec
from nsnet_cli.spans import spans
from nsnet_cli.types import TagName
from nsnet_cli.viewing import SHORTEST_S, at_preview_frames, salient_stretch, spread_times, worth_a_clip
from nsnet_cli.weights.checkpoint import resolve_checkpoint
from nsnet_cli.weights.vocabulary import load_vocabulary

PTS_S = np.arange(10) * 2.0 + 1  # 1, 3, ..., 19 s of a video of 20 s


def stretch(saliency: list[float], frame: int) -> tuple[float, float]:
    return salient_stretch(frame, np.array(saliency), PTS_S, 20.0)


def test_a_stretch_goes_on_while_frames_are_half_as_salient() -> None:
    saliency = [0.1, 0.2, 0.9, 0.8, 0.5, 0.3, 0.1, 0.9, 0.9, 0.9]
    assert stretch(saliency, 2) == (4.0, 10.0), "half way to the frames outside"
    assert stretch(saliency, 4) == (4.0, 12.0), "its own saliency counts, not the highest"
    assert stretch(saliency, 8) == (14.0, 20.0), "up to the end of the video"


def test_where_nothing_is_salient_the_stretch_is_the_video() -> None:
    assert stretch([0.01, 0.09, 0.02, 0.0, 0.05] * 2, 3) == (0.0, 20.0)
    assert stretch([0.5] * 10, 3) == (0.0, 20.0), "or where all is"


@pytest.mark.parametrize(("frame", "wanted"), [(0, (0.0, 2.0)), (4, (8.0, 10.0)), (9, (18.0, 20.0))])
def test_a_short_stretch_is_widened_inside_the_video(frame: int, wanted: tuple[float, float]) -> None:
    saliency, pts_s = np.zeros(10), np.arange(10) * 0.5 + frame * 1.5 + 0.25
    saliency[frame] = 1.0
    found = salient_stretch(frame, saliency, PTS_S, 20.0)
    assert found == pytest.approx(wanted)
    start, end = salient_stretch(frame, saliency, pts_s, float(pts_s[-1]) + 0.25)
    assert end - start == pytest.approx(SHORTEST_S) and start <= pts_s[frame] <= end
    assert salient_stretch(0, np.ones(1), np.array([0.0]), 0.5) == (0.0, 0.5), "a video shorter than that"


def test_frames_are_spread_over_a_stretch_and_one_is_the_chosen() -> None:
    times = spread_times(np.array([5.0, 6.5, 8.0]), np.array([[4.0, 8.0]] * 3), 4)
    assert times.tolist() == [[4, 5, 6, 7], [4.5, 5.5, 6.5, 7.5], [5, 6, 7, 8]]
    assert spread_times(np.array([1.0]), np.array([[1.0, 1.0]]), 3) == pytest.approx(np.ones((1, 3)))


def test_spread_frames_are_preview_frames_where_their_part_has_one() -> None:
    stretches = np.array([[0.0, 8.0]] * 2)
    times = spread_times(np.array([1.0, 1.5]), stretches, 4)
    pts_s = np.array([1.0, 1.6, 4.1, 9.0])
    assert at_preview_frames(times, stretches, pts_s).tolist() == [[1.0, 3, 4.1, 7], [1.6, 3.5, 5.5, 7.5]]
    assert at_preview_frames(times, stretches, np.array([9.0])).tolist() == times.tolist()


def test_clips_that_are_nearly_the_same_count_once() -> None:
    pts_s, flat = np.arange(24) * 0.2 + 0.1, np.full(24, 0.5)
    order, rgb = np.array([5, 6, 20, 13, 0]), (0.5, 0.5, 0.5)
    image = InputSpec(32, 1.0, "bicubic", rgb, rgb)
    clip, spread = replace(image, frames=16, stride_s=0.1), replace(image, frames=16, stride_s="spread")
    assert worth_a_clip(order, flat, pts_s, 4.8, clip).tolist() == [5, 20, 13], "1.5 s long, around 1.1, 4.1 and 2.7 s"
    assert worth_a_clip(order, flat, pts_s, 4.8, spread).tolist() == [5], "a stretch of 24 frames holds 16 once"
    rising = np.where((pts_s > 1.2) & (pts_s < 3.6), 0.1, 0.9)
    assert worth_a_clip(order, rising, pts_s, 4.8, spread).tolist() == [5, 20], "two stretches"
    one = np.where(pts_s < 1.2, 0.9, 0.1)
    assert worth_a_clip(order, one, pts_s, 4.8, clip).tolist() == [5], "the others are not salient"
    many = np.arange(128) * 7.0
    assert worth_a_clip(order, np.full(128, 0.5), many, 900.0, spread).tolist() == [5, 6, 20, 13, 0]
    assert worth_a_clip(order, flat, pts_s, 4.8, image).tolist() == order.tolist(), "frames are frames"


def test_a_span_holds_the_clips_that_show_the_tag() -> None:
    pts_s, series = np.arange(10.0), np.array([0, 0, 0.9, 0, 0, 0, 0, 0.9, 0, 0])
    frames = spans(series, np.array([2, 7]), pts_s, 10.0, 0.8)
    assert [(s.start_s, s.end_s) for s in frames] == [(1.5, 2.5), (6.5, 7.5)]
    clips = spans(series, np.array([2, 7]), pts_s, 10.0, 0.8, np.array([[1.0, 3.0], [6.0, 8.0]]))
    assert [(s.start_s, s.end_s, s.probability) for s in clips] == [(1.0, 3.0, 0.8), (6.0, 8.0, 0.8)]
    one = spans(series, np.array([2, 7]), pts_s, 10.0, 0.8, np.array([[1.0, 6.7], [6.0, 8.0]]))
    assert [(s.start_s, s.end_s) for s in one] == [(1.0, 8.0)], "clips that overlap are one span"


def test_a_guess_is_found_where_its_clip_lasts() -> None:
    for result in (sample_results.of_clips(certain=0), sample_results.uncalibrated()):
        best = result.tags[0].evidence[0]
        wanted = (best.pts_s, best.pts_s) if best.start_s is None else (best.start_s, best.end_s)
        assert {span[:2] for seen in of_result(result) for span in seen.spans} == {wanted}


def test_actions_have_no_hierarchy_and_objects_keep_theirs() -> None:
    actions = load_vocabulary("kinetics-400")
    assert Hierarchy(actions, table_for(actions)).nodes == actions
    checkpoint = resolve_checkpoint("kinetics-uniformer")
    assert checkpoint.table.names == {} and len(checkpoint.vocabulary) == 400 and checkpoint.calibration is None
    assert resolve_checkpoint("imagenet-lite").table.names
    assert table_for((TagName("mine", "mine"), TagName("n02121808", "cat"))).names
