"""When a tag is seen: stretches of preview frames around the recognised ones, found with hysteresis."""

from __future__ import annotations

import numpy as np

from nsnet_cli.records import dataclass
from nsnet_cli.types import Span

ANCHOR = 0.5
"""A recognised frame shows a node if its sum there is at least this share of the highest."""
HIGH, LOW = 0.8, 0.25
"""Shares of the node's level in recognised frames: a stretch begins above HIGH, and goes on while above LOW."""
BRIDGE_S = 1.0
"""Two stretches with at most this between them are one."""


def anchors(chosen: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """Returns the recognised frames that show a node, in order of time: some of `chosen` (K,), by its sums (K,)."""
    return np.sort(chosen[shows(sums)])


def shows(sums: np.ndarray) -> np.ndarray:
    """Returns which recognised frames show a node, (K,) bool, by its sums (K,) there."""
    return np.asarray(sums >= ANCHOR * sums.max())


def between(pts_s: np.ndarray, chosen: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """Returns how strongly a node is seen, (T,), where only the recogniser looked: straight lines between its frames.

    `chosen` (K,) are the recognised frames, sums (K,) the node's there.
    """
    order = np.argsort(chosen)
    return np.interp(pts_s, pts_s[chosen[order]], sums[order])


def seen(likeness: np.ndarray, preview: np.ndarray | None = None) -> np.ndarray:
    """Returns how strongly a node is seen in each preview frame, (T,) in [0, 1].

    likeness (T, A) is that of all frames to the A anchors; a frame is like the most alike of them. `preview` (T,) are
    the preview network's sums for the node, None if it has other classes. Likeness alone would go on after the thing
    has left its scene.
    """
    like = likeness.max(1)
    return like if preview is None else np.sqrt(like * preview)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Preview frames first to last, and how strongly the node is seen there at most, as a share of its level."""

    first: int
    last: int
    share: float


def stretches(series: np.ndarray, anchors: np.ndarray, pts_s: np.ndarray) -> list[Stretch]:
    """Returns when a node is seen, in order of time.

    `series` (T,) is how strongly it is seen at pts_s (T,); `anchors` are the frames where the recogniser saw it, at
    least one. Their median is the node's level. A stretch holds an anchor or a frame above HIGH times the level.
    """
    level = max(_median(series[anchors]), 1e-9)
    inside, strong = series >= LOW * level, series >= HIGH * level
    inside[anchors] = strong[anchors] = True
    runs: list[tuple[int, int]] = []
    for frame in np.flatnonzero(inside).tolist():
        if runs and (frame == runs[-1][1] + 1 or pts_s[frame] - pts_s[runs[-1][1]] <= BRIDGE_S):
            runs[-1] = (runs[-1][0], frame)
        else:
            runs.append((frame, frame))
    return [
        Stretch(first, last, min(1.0, float(series[first : last + 1].max()) / level))
        for first, last in runs
        if strong[first : last + 1].any()
    ]


def times(stretch: Stretch, pts_s: np.ndarray, duration_s: float) -> tuple[float, float]:
    """Returns start and end in seconds: half way to the frames outside, or the video's own start and end.

    pts_s (T,) ascending. The end is never before the last frame.
    """
    first, last = stretch.first, stretch.last
    start = 0.0 if first == 0 else (pts_s[first - 1] + pts_s[first]) / 2
    end = max(duration_s, pts_s[-1]) if last == len(pts_s) - 1 else (pts_s[last] + pts_s[last + 1]) / 2
    return float(start), float(end)


def spans(
    series: np.ndarray,
    anchors: np.ndarray,
    pts_s: np.ndarray,
    duration_s: float,
    probability: float,
    clips_s: np.ndarray | None = None,
) -> tuple[Span, ...]:
    """Returns when a node with this probability in the video is seen. The arguments are those of `stretches`.

    clips_s (A, 2): from when to when the clip of each anchor lasts, if the recogniser looks at clips. A span holds its
    clips.
    """
    found: list[Span] = []
    for each in stretches(series.astype(np.float64), anchors, pts_s):
        (start_s, end_s), likely = times(each, pts_s, duration_s), probability * each.share
        if clips_s is not None:
            inside = clips_s[(anchors >= each.first) & (anchors <= each.last)]
            start_s, end_s = float(inside[:, 0].min(initial=start_s)), float(inside[:, 1].max(initial=end_s))
            while found and found[-1].end_s >= start_s:
                before = found.pop()
                start_s, end_s = min(before.start_s, start_s), max(before.end_s, end_s)
                likely = max(before.probability, likely)
        found.append(Span(start_s, end_s, likely))
    return tuple(found)


def interval_s(pts_s: np.ndarray) -> float | None:
    """Returns the median seconds between preview frames, None for a single one."""
    return _median(np.diff(pts_s)) if len(pts_s) > 1 else None


def _median(values: np.ndarray) -> float:
    """The median of values (n,). NumPy's own first loads its masked arrays, which takes 10 ms of a single clip."""
    ascending = np.sort(values)
    return float((ascending[(len(values) - 1) // 2] + ascending[len(values) // 2]) / 2)
