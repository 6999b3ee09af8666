"""Plans which frames to preview, from the key frames' times, the length and the options.

Key frames can be decoded alone, so they are taken wherever they are dense enough. If they leave a gap that could hide
something salient, the gap is filled with other frames. Each of these needs all frames since the last key frame
decoded. So filling is limited to `max_frames * interval_s` seconds of decoded video, and the time stops growing with
the length.

Where the index tells when cuts are likely, less is filled: the first seconds behind each key frame, and one frame in
each scene that lies between two key frames. The rest of a gap looks like what was seen.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from nsnet_cli.media import PlannedFrame, PreviewPlan, ReadOptions

GAP_SLACK = 1.25
"""A gap of up to this many intervals is not worth decoding for."""
TOLERANCE = 0.25
"""Share of the interval by which a filling frame may be off, so that the decoder can skip unreferenced frames."""
CHEAP_S = 2.0
"""Where cuts are known, gaps are filled this far behind their key frame, where a frame costs little."""
QUIET_S = 8.0
"""Then no gap stays longer than this (or four intervals): something may come and go without a cut."""
BEHIND_CUT_S = 0.4
"""The frame that shows a hidden scene is this long behind the cut, or in the middle of the scene if that is nearer."""
SHORTEST_SCENE_S = 0.5
"""Two cuts closer together than this are a flash or a mistake, not a scene."""
HIDDEN_SHARE = 0.25
"""At most this share of the video is decoded to see hidden scenes."""
LONGEST_HOLE_S = 30.0
"""No gap stays longer than this (or four intervals), whatever filling costs: half a video is never ignored."""


def plan_preview(
    key_times_s: Sequence[float],
    start_s: float,
    end_s: float,
    fps: float | None,
    options: ReadOptions,
    cuts_s: Sequence[float] | None = None,
) -> PreviewPlan:
    """Plans the preview of a video whose first frame is at `start_s` and whose last one ends at `end_s`.

    `key_times_s`: presentation times of the key frames, ascending. They may be empty or incomplete. They may begin
    before the first frame that is shown, which is then not a key frame. `cuts_s`: times of likely cuts between key
    frames, ascending; None if nothing is known of cuts. The plan has at least one frame and at most
    `options.max_frames`. Its times ascend and lie in [start_s, end_s].
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
    return _keys_and_fill(key_times_s, start_s, end_s, interval_s, options, cuts_s)


def has_gaps(keys: Sequence[float], end_s: float, options: ReadOptions) -> bool:
    """Whether key frames leave a gap that a plan would fill, so that it is worth knowing the cuts in it."""
    span_s = end_s - keys[0] if keys else 0.0
    interval_s = max(options.interval_s, span_s / options.max_frames)
    if options.even or span_s <= options.min_frames * interval_s:
        return False
    return max(b - a for a, b in itertools.pairwise([*keys, end_s])) > GAP_SLACK * interval_s


def _evenly(start_s: float, span_s: float, count: int, tolerance_s: float, at: float = 0.5) -> tuple[PlannedFrame, ...]:
    """Returns one frame in each of `count` equal parts, at the share `at` of the part."""
    return tuple(PlannedFrame(start_s + (i + at) * span_s / count, False, tolerance_s) for i in range(count))


def _keys_and_fill(
    key_times_s: Sequence[float],
    start_s: float,
    end_s: float,
    interval_s: float,
    options: ReadOptions,
    cuts_s: Sequence[float] | None,
) -> PreviewPlan:
    alone = set(key_times_s) or {start_s}
    keys = sorted({t for t in alone if start_s - 1e-3 <= t < end_s} | {start_s})
    budget_s = options.max_frames * options.interval_s
    while True:
        kept = thin(keys, interval_s)
        if cuts_s is None:
            filled = _fill(kept, end_s, interval_s, budget_s)
        else:
            filled = _fill(kept, end_s, interval_s, budget_s, CHEAP_S, QUIET_S)
            hidden = _hidden(kept, cuts_s, end_s, HIDDEN_SHARE * (end_s - start_s))
            filled = sorted({*filled, *hidden} - {*kept})
        if len(kept) + len(filled) <= options.max_frames or interval_s > end_s - start_s:
            break
        interval_s *= 1.05
    tolerance_s = TOLERANCE * interval_s
    frames = [PlannedFrame(t, True) if t in alone else PlannedFrame(t, False, tolerance_s) for t in kept]
    frames += [PlannedFrame(t, False, tolerance_s) for t in filled]
    frames.sort(key=lambda frame: frame.pts_s)
    return PreviewPlan("keys+fill" if filled else "keys", tuple(frames[: options.max_frames]))


def thin(times_s: Sequence[float], interval_s: float) -> list[float]:
    """Drops times whose remaining neighbours are at most the interval apart. Keeps the first and the last."""
    kept: list[float] = []
    for i, time_s in enumerate(times_s):
        needed = not kept or i + 1 == len(times_s) or times_s[i + 1] - kept[-1] > interval_s
        if needed:
            kept.append(time_s)
    return kept


def _fill(
    keys: Sequence[float],
    end_s: float,
    interval_s: float,
    budget_s: float,
    deepest_s: float = math.inf,
    longest_s: float = LONGEST_HOLE_S,
) -> list[float]:
    """Returns times that break up the gaps after keys. Gaps share the budget of decoded seconds by their length.

    None is filled further than `deepest_s` behind its key, but for times that leave no hole longer than `longest_s`.
    """
    gaps = [(a, b) for a, b in zip(keys, [*keys[1:], end_s], strict=True) if b - a > GAP_SLACK * interval_s]
    total_s = sum(b - a for a, b in gaps)
    share = min(1.0, budget_s / total_s) if total_s else 1.0
    hole_s = max(longest_s, 4 * interval_s)
    times: list[float] = []
    for a, b in gaps:
        step_s = (b - a) / math.ceil((b - a) / interval_s)
        inside = [a + i * step_s for i in range(1, round((b - a) / step_s))]
        affordable = bisect_right(inside, a + min(share * (b - a), deepest_s) + 1e-9)
        last_s = inside[affordable - 1] if affordable else a
        times += inside[:affordable]
        holes = math.ceil((b - last_s) / hole_s)
        times += [last_s + i * (b - last_s) / holes for i in range(1, holes)]
    return times


def _hidden(keys: Sequence[float], cuts_s: Sequence[float], end_s: float, budget_s: float) -> list[float]:
    """Returns a time in each scene that no key frame shows: it begins and ends between two key frames, or at the end.

    Seeing one costs all frames since its key frame. Where the budget is too small, gaps with the most hidden seconds
    per decoded second come first.
    """
    gaps: list[tuple[float, float, list[float]]] = []
    for a, b in zip(keys, [*keys[1:], end_s], strict=True):
        marks = [*cuts_s[bisect_right(cuts_s, a) : bisect_left(cuts_s, b)], *([end_s] if b == end_s else [])]
        scenes = [(x, y) for x, y in itertools.pairwise(marks) if y - x >= SHORTEST_SCENE_S]
        if scenes:
            times = [x + min(BEHIND_CUT_S, (y - x) / 2) for x, y in scenes]
            cost_s = times[-1] - a
            gaps.append((sum(y - x for x, y in scenes) / cost_s, cost_s, times))
    gaps.sort(reverse=True)
    chosen: list[float] = []
    for _, cost_s, times in gaps:
        if cost_s <= budget_s:
            budget_s -= cost_s
            chosen += times
    return sorted(chosen)
