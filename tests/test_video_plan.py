"""The preview plan: a pure function, checked on every kind of video that hypothesis can make up."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsnet_cli.media import PreviewPlan, ReadOptions
from nsnet_cli.video.plan import (
    BEHIND_CUT_FRAMES,
    BEHIND_CUT_S,
    GAP_SLACK,
    LONGEST_HOLE_S,
    plan_preview,
    thin,
)

OPTIONS = ReadOptions(size_px=256)


def regular(length_s: float, gop_s: float) -> list[float]:
    return [i * gop_s for i in range(int(length_s / gop_s) + 1) if i * gop_s < length_s]


def gaps(plan: PreviewPlan, start_s: float, end_s: float) -> list[float]:
    times = [frame.pts_s for frame in plan.frames]
    return [b - a for a, b in itertools.pairwise([start_s, *times, end_s])]


def fill_cost_s(plan: PreviewPlan, keys: list[float]) -> float:
    """Seconds of video that must be decoded for the frames that are not key frames."""
    deepest: dict[float, float] = {}
    for frame in plan.frames:
        if not frame.key:
            key = max(k for k in keys if k <= frame.pts_s)
            deepest[key] = max(deepest.get(key, 0.0), frame.pts_s - key)
    return sum(deepest.values())


def test_dense_key_frames_are_enough() -> None:
    plan = plan_preview(regular(900, 5), 0, 900, 25, OPTIONS)
    assert plan.kind == "keys"
    assert 90 <= len(plan) <= 128
    assert all(frame.key for frame in plan.frames)


def test_gaps_between_key_frames_are_filled() -> None:
    keys = regular(40, 10)
    plan = plan_preview(keys, 0, 40, 25, OPTIONS)
    assert plan.kind == "keys+fill"
    assert max(gaps(plan, 0, 40)) <= OPTIONS.interval_s * GAP_SLACK + 1e-9
    assert [frame.pts_s for frame in plan.frames if frame.key] == keys


def test_short_clips_are_sampled_evenly() -> None:
    plan = plan_preview([0.0], 0, 8, 25, OPTIONS)
    assert (plan.kind, len(plan)) == ("even", OPTIONS.min_frames)
    assert max(gaps(plan, 0, 8)) == pytest.approx(8 / 24)


@pytest.mark.parametrize(("end_s", "fps", "count"), [(0.0, None, 1), (0.04, 25, 1), (0.08, 25, 2), (0.4, 25, 10)])
def test_every_frame_of_stills_and_very_short_clips_is_taken(end_s: float, fps: float | None, count: int) -> None:
    plan = plan_preview([0.0], 0, end_s, fps, OPTIONS)
    assert (plan.kind, len(plan)) == ("all", count)


def test_even_means_exact_times_and_exact_number() -> None:
    options = ReadOptions(size_px=256, even=True, max_frames=64)
    plan = plan_preview(regular(900, 5), 0, 900, 25, options)
    assert (plan.kind, len(plan)) == ("even", 64)
    assert all(frame.tolerance_s == 0 and not frame.key for frame in plan.frames)
    assert len(plan_preview([0.0], 0, 1, 25, options)) == 25


def test_no_gap_is_ever_ignored() -> None:
    """One key frame in an hour: the end is previewed too, although everything must be decoded for it."""
    plan = plan_preview([0.0], 0, 3600, 25, OPTIONS)
    assert max(gaps(plan, 0, 3600)) <= max(LONGEST_HOLE_S, 4 * 3600 / 128) + 1


@pytest.mark.parametrize("gop_s", [2, 5, 10])
def test_what_filling_decodes_stops_growing_with_length(gop_s: float) -> None:
    costs = [
        fill_cost_s(plan_preview(keys, 0, n, 25, OPTIONS), keys)
        for n in range(30, 3600, 60)
        if (keys := regular(n, gop_s))
    ]
    assert max(costs) <= OPTIONS.max_frames * OPTIONS.interval_s + gop_s
    assert costs[-1] == 0


@given(
    steps=st.lists(st.floats(0.02, 40), max_size=200),
    start_s=st.floats(0, 20),
    tail_s=st.floats(0, 60),
    fps=st.one_of(st.none(), st.floats(0.5, 120)),
    max_frames=st.integers(1, 160),
    min_frames=st.integers(1, 40),
    interval_s=st.floats(0.1, 5),
    even=st.booleans(),
    cuts=st.one_of(st.none(), st.lists(st.floats(0, 2000), max_size=100).map(sorted)),
)
def test_every_plan_is_sane(
    steps: list[float],
    start_s: float,
    tail_s: float,
    fps: float | None,
    max_frames: int,
    min_frames: int,
    interval_s: float,
    even: bool,
    cuts: list[float] | None,
) -> None:
    keys = list(itertools.accumulate(steps, initial=start_s))
    end_s = keys[-1] + tail_s
    options = ReadOptions(8, max_frames=max_frames, min_frames=min_frames, interval_s=interval_s, even=even)
    plan = plan_preview(keys, start_s, end_s, fps, options, cuts)
    times = [frame.pts_s for frame in plan.frames]
    assert 1 <= len(plan) <= max_frames
    assert times == sorted(set(times))
    assert all(start_s <= t <= end_s for t in times)
    assert {frame.pts_s for frame in plan.frames if frame.key} <= set(keys)
    assert plan == plan_preview(keys, start_s, end_s, fps, options, cuts), "a pure function"
    enough = (
        max_frames * interval_s > 2.5 * (end_s - start_s) and len(keys) + (end_s - start_s) / interval_s < max_frames
    )
    whole = plan_preview(keys, start_s, end_s, fps, options)
    moved = set(plan.frames) - set(whole.frames)
    assert len(plan.frames) + len(plan.later) == len(whole.frames) and set(plan.later) <= set(whole.frames)
    behind_s = max(BEHIND_CUT_S, BEHIND_CUT_FRAMES / fps if fps else 0)
    assert all(any(0 <= frame.pts_s - cut_s <= behind_s + 1e-6 for cut_s in cuts or ()) for frame in moved)
    assert not any(frame.key for frame in moved)
    assert plan == whole or plan.later
    if enough and not even and plan.kind == "keys+fill":
        assert max(gaps(plan, start_s, end_s)) <= GAP_SLACK * interval_s + 1e-6


@given(st.lists(st.floats(0.01, 3), min_size=1, max_size=100), st.floats(0.1, 4))
def test_thinning_keeps_the_ends_and_opens_no_gap(steps: list[float], interval_s: float) -> None:
    times = list(itertools.accumulate(steps))
    kept = thin(times, interval_s)
    assert (kept[0], kept[-1]) == (times[0], times[-1])
    old = {b: b - a for a, b in itertools.pairwise(times)}
    for a, b in itertools.pairwise(kept):
        assert b - a <= interval_s + 1e-9 or b - a == pytest.approx(old[b])
