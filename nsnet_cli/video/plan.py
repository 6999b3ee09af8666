"""Which frames to preview: a pure function of the key frames' times, the length and the options.

Key frames decode alone, so they are taken wherever they are dense enough. Where they leave a gap in which a salient
stretch could hide, the gap is filled with frames that need all frames between the key frame and themselves to be
decoded. What is decoded for filling is bounded by `max_frames * interval_s` seconds of video, so that time stops
growing with length.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

from nsnet_cli.media import PlannedFrame, PreviewPlan, ReadOptions

GAP_SLACK = 1.25
"""A gap this much longer than the interval is not worth decoding for."""
TOLERANCE = 0.25
"""Share of the interval by which a filling frame may be off, so that the decoder can skip frames nobody refers to."""
LONGEST_HOLE_S = 30.0
"""No hole stays longer than this (or four intervals), whatever it costs to fill: half a video is never ignored."""


def plan_preview(
    key_times_s: Sequence[float], start_s: float, end_s: float, fps: float | None, options: ReadOptions
) -> PreviewPlan:
    """Plan the preview of a video whose first frame is at `start_s` and whose last one ends at `end_s`.

    `key_times_s`: presentation times of the key frames, ascending; may be empty or incomplete, and may begin before
    the first frame that is shown, which is then no key frame. Never more than
    `options.max_frames` frames, at least one; times ascend and lie in [start_s, end_s].
    """
    span_s = end_s - start_s
    frame_s = 1.0 / fps if fps and fps > 0 else 0.0
    if not span_s > max(frame_s * 1.5, 0.0):
        return PreviewPlan("all", (PlannedFrame(start_s, key=not key_times_s or start_s in key_times_s),))
    frames = span_s / frame_s if frame_s else math.inf
    few = options.max_frames if options.even else options.min_frames
    if frames <= min(few, options.max_frames):
        return PreviewPlan("all", _evenly(start_s, span_s, max(1, round(frames)), frame_s / 2, at=0.0))
    if options.even:
        return PreviewPlan("even", _evenly(start_s, span_s, options.max_frames, 0.0))
    interval_s = max(options.interval_s, span_s / options.max_frames)
    if span_s <= options.min_frames * interval_s:
        count = min(options.min_frames, options.max_frames)
        return PreviewPlan("even", _evenly(start_s, span_s, count, max(TOLERANCE * span_s / count, 1.05 * frame_s)))
    return _keys_and_fill(key_times_s, start_s, end_s, interval_s, options)


def _evenly(start_s: float, span_s: float, count: int, tolerance_s: float, at: float = 0.5) -> tuple[PlannedFrame, ...]:
    """One frame in each of `count` equal parts, `at` a share of the part."""
    return tuple(PlannedFrame(start_s + (i + at) * span_s / count, False, tolerance_s) for i in range(count))


def _keys_and_fill(
    key_times_s: Sequence[float], start_s: float, end_s: float, interval_s: float, options: ReadOptions
) -> PreviewPlan:
    alone = set(key_times_s) or {start_s}
    keys = sorted({t for t in alone if start_s - 1e-3 <= t < end_s} | {start_s})
    budget_s = options.max_frames * options.interval_s
    while True:
        kept = thin(keys, interval_s)
        filled = _fill(kept, end_s, interval_s, budget_s)
        if len(kept) + len(filled) <= options.max_frames or interval_s > end_s - start_s:
            break
        interval_s *= 1.05
    tolerance_s = TOLERANCE * interval_s
    frames = [PlannedFrame(t, True) if t in alone else PlannedFrame(t, False, tolerance_s) for t in kept]
    frames += [PlannedFrame(t, False, tolerance_s) for t in filled]
    frames.sort(key=lambda frame: frame.pts_s)
    return PreviewPlan("keys+fill" if filled else "keys", tuple(frames[: options.max_frames]))


def thin(times_s: Sequence[float], interval_s: float) -> list[float]:
    """Leave out times whose neighbours that stay are no further apart than the interval. The first and last stay."""
    kept: list[float] = []
    for i, time_s in enumerate(times_s):
        needed = not kept or i + 1 == len(times_s) or times_s[i + 1] - kept[-1] > interval_s
        if needed:
            kept.append(time_s)
    return kept


def _fill(keys: Sequence[float], end_s: float, interval_s: float, budget_s: float) -> list[float]:
    """Times that break up the gaps after each key, within a budget of decoded seconds shared out by length."""
    gaps = [(a, b) for a, b in zip(keys, [*keys[1:], end_s], strict=True) if b - a > GAP_SLACK * interval_s]
    total_s = sum(b - a for a, b in gaps)
    share = min(1.0, budget_s / total_s) if total_s else 1.0
    hole_s = max(LONGEST_HOLE_S, 4 * interval_s)
    times: list[float] = []
    for a, b in gaps:
        step_s = (b - a) / math.ceil((b - a) / interval_s)
        inside = [a + i * step_s for i in range(1, round((b - a) / step_s))]
        affordable = bisect_right(inside, a + share * (b - a) + 1e-9)
        last_s = inside[affordable - 1] if affordable else a
        times += inside[:affordable]
        holes = math.ceil((b - last_s) / hole_s)
        times += [last_s + i * (b - last_s) / holes for i in range(1, holes)]
    return times
