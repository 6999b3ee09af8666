"""Plans which frames to preview, from the key frames' times, the length and the options.

Key frames can be decoded alone, so they are taken wherever they are dense enough. If they leave a gap that could hide
something salient, the gap is filled with other frames. Each of these needs all frames since the last key frame
decoded. So filling is limited to `max_frames * interval_s` seconds of decoded video, and the time stops growing with
the length.

Where the index tells when cuts are likely, a plan in rounds first takes the key frames, and one frame behind each cut
to a scene that no key frame shows. The others of a gap look like one of these, so they come later, where they matter.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace

from nsnet_cli.media import PlannedFrame, PreviewPlan, ReadOptions

GAP_SLACK = 1.25
"""A gap of up to this many intervals is not worth decoding for."""
TOLERANCE = 0.25
"""Share of the interval by which a filling frame may be off, so that the decoder can skip unreferenced frames."""
BEHIND_CUT_S, BEHIND_CUT_FRAMES = 0.5, 6
"""The frame that shows a scene is this long behind its cut, whichever is longer, or in the middle of a short scene.

An index has decoding times, so a cut is known to within some frames.
"""
REGULAR = 0.98
"""A key frame that comes after this share of the longest time between two is where it is because that time was over.
So it shows the scene before it. One that comes earlier may be a cut.
"""
QUIET_S = 12.0
"""The first round sees a frame after this long without one: something may come and go without a cut."""
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
    frames, ascending; None if nothing is known of cuts, and then no frame is left for later. The plan has at least one
    frame and at most `options.max_frames`, those for later included. Its times ascend and lie in [start_s, end_s].
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
    interval_s = _between_keys(span_s, options)
    if interval_s is None:
        count = min(options.min_frames, options.max_frames)
        return PreviewPlan("even", _evenly(start_s, span_s, count, max(TOLERANCE * span_s / count, 1.05 * frame_s)))
    plan = _keys_and_fill(key_times_s, start_s, end_s, interval_s, options)
    if cuts_s is None:
        return plan
    return _first_round(plan, key_times_s, cuts_s, end_s, max(BEHIND_CUT_S, BEHIND_CUT_FRAMES * frame_s))


def has_gaps(keys: Sequence[float], end_s: float, options: ReadOptions) -> bool:
    """Whether key frames leave a gap that a plan would fill, so that it is worth knowing the cuts in it."""
    interval_s = _between_keys(end_s - keys[0] if keys else 0.0, options)
    if options.even or interval_s is None:
        return False
    return max(b - a for a, b in itertools.pairwise([*keys, end_s])) > GAP_SLACK * interval_s


def _between_keys(span_s: float, options: ReadOptions) -> float | None:
    """Returns how far apart frames may be in a plan by key frames. None: for that the video is too short."""
    interval_s = max(options.interval_s, span_s / options.max_frames)
    return None if span_s <= options.min_frames * interval_s else interval_s


def _first_round(
    plan: PreviewPlan, key_times_s: Sequence[float], cuts_s: Sequence[float], end_s: float, behind_s: float
) -> PreviewPlan:
    """Leaves for later all but the key frames, a frame behind each cut, and one where nothing was seen for QUIET_S."""
    first, later = list[PlannedFrame](), list[PlannedFrame]()
    longest_s = max((b - a for a, b in itertools.pairwise(key_times_s)), default=0.0)
    shown = {b for a, b in itertools.pairwise(key_times_s) if b - a > REGULAR * longest_s}
    alone = [n for n, frame in enumerate(plan.frames) if frame.key or n == 0]
    for a, b in itertools.pairwise([*alone, len(plan.frames)]):
        first.append(plan.frames[a])
        inside, until_s = plan.frames[a + 1 : b], end_s if b == len(plan.frames) else plan.frames[b].pts_s
        starts = list(cuts_s[bisect_right(cuts_s, first[-1].pts_s) : bisect_left(cuts_s, until_s)])
        if until_s not in shown:
            starts.append(until_s)
        seen = dict(pair for x, y in itertools.pairwise(starts) for pair in _behind(x, y, behind_s, inside))
        for frame in inside:
            if frame in seen or frame.pts_s - first[-1].pts_s > QUIET_S:
                first.append(seen.get(frame, frame))
            else:
                later.append(frame)
    if not later:
        return plan
    first.sort(key=lambda frame: frame.pts_s)
    return replace(plan, kind="keys+salient", frames=tuple(first), later=tuple(later))


def _behind(
    cut_s: float, end_s: float, behind_s: float, frames: Sequence[PlannedFrame]
) -> list[tuple[PlannedFrame, PlannedFrame]]:
    """Returns the planned frame that shows the scene from `cut_s` to `end_s` best, and one right behind the cut for it.

    That costs less: all frames up to it are decoded. If no planned frame shows the scene, returns none.
    """
    best_s = cut_s + min(behind_s, (end_s - cut_s) / 2)
    scene = [frame for frame in frames if cut_s <= frame.pts_s < end_s]
    nearest = sorted(scene, key=lambda frame: abs(frame.pts_s - best_s))[:1]
    return [(frame, replace(frame, pts_s=best_s)) for frame in nearest]


def _evenly(start_s: float, span_s: float, count: int, tolerance_s: float, at: float = 0.5) -> tuple[PlannedFrame, ...]:
    """Returns one frame in each of `count` equal parts, at the share `at` of the part."""
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
    """Drops times whose remaining neighbours are at most the interval apart. Keeps the first and the last."""
    kept: list[float] = []
    for i, time_s in enumerate(times_s):
        needed = not kept or i + 1 == len(times_s) or times_s[i + 1] - kept[-1] > interval_s
        if needed:
            kept.append(time_s)
    return kept


def _fill(keys: Sequence[float], end_s: float, interval_s: float, budget_s: float) -> list[float]:
    """Returns times that break up the gaps after keys. Gaps share the budget of decoded seconds by their length."""
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
