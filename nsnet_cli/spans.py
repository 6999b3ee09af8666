"""When a tag is seen: stretches of preview frames around the recognised ones, found with hysteresis."""

from __future__ import annotations

import numpy as np

from nsnet_cli.selection import unit_rows

HIGH, LOW = 0.5, 0.25
"""Shares of the node's level in recognised frames. A stretch goes on above LOW; HIGH on both sides bridges a frame."""


LIKENESS_POWER = 4
"""How sharply a frame's likeness to the recognised ones counts."""


def seen(features: np.ndarray, anchors: np.ndarray, preview: np.ndarray | None = None) -> np.ndarray:
    """Returns how strongly a node is seen in each preview frame, (T,) in [0, 1].

    features (T, D) are the preview network's; a frame is like the most alike of `anchors`, the frames where the
    recogniser saw the node. `preview` (T,) are the preview network's sums for the node: likeness alone would follow a
    scene out of which a thing has gone. None: it has other classes.
    """
    unit = unit_rows(features)
    like = np.clip((unit @ unit[anchors].T).max(1), 0, 1) ** LIKENESS_POWER
    return like if preview is None else np.sqrt(like * preview)


def stretches(series: np.ndarray, anchors: np.ndarray) -> list[tuple[int, int]]:
    """Returns the first and last frame of each stretch, in order of time.

    `series` (T,) is how strongly the node is seen in each preview frame; `anchors` are the frames where the recogniser
    saw it. A stretch begins at an anchor, and goes on in both directions while the series stays above LOW times the
    anchors' level. A single frame below it ends nothing if the next one is above HIGH times the level.
    """
    if not len(anchors):
        return []
    level = float(np.median(series[anchors]))
    inside = series >= LOW * level
    strong = series >= HIGH * level
    gap = ~inside[1:-1] & strong[:-2] & strong[2:]
    inside[1:-1] |= gap
    inside[anchors] = True
    edges = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]]).astype(np.int8)))
    runs = [(int(first), int(last) - 1) for first, last in edges.reshape(-1, 2)]
    return [(first, last) for first, last in runs if ((anchors >= first) & (anchors <= last)).any()]


def times(stretch: tuple[int, int], pts_s: np.ndarray, duration_s: float) -> tuple[float, float]:
    """Returns start and end in seconds: half way to the frames outside, or the video's own start and end.

    pts_s (T,) ascending. The end is never before the last frame.
    """
    first, last = stretch
    start = 0.0 if first == 0 else (pts_s[first - 1] + pts_s[first]) / 2
    end = max(duration_s, pts_s[-1]) if last == len(pts_s) - 1 else (pts_s[last] + pts_s[last + 1]) / 2
    return float(start), float(end)


def interval_s(pts_s: np.ndarray) -> float | None:
    """Returns the median seconds between preview frames, None for a single one."""
    return float(np.median(np.diff(pts_s))) if len(pts_s) > 1 else None
