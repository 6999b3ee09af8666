"""Which frames a view holds: a pure function of the times asked for and of what a view is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nsnet_cli.media import InputSpec

LAST_FRAME_S = 1e-3
"""Times stay this far before the video's end, so that the last frame is still the nearest."""


def view_times(at_s: Sequence[float], spec: InputSpec, start_s: float, end_s: float) -> np.ndarray:
    """Times (K, F) of the frames of K views of a video that runs from `start_s` to `end_s`.

    A view of one frame is at its time. With a stride, F frames that far apart lie around it, moved as a whole so that
    they stay inside the video. With "spread", the F frames lie evenly over the whole video, and `at_s` only says how
    many views there are: each takes its own place inside the F equal parts.
    """
    at = np.asarray(at_s, float)[:, None]  # (K, 1)
    last_s = max(start_s, end_s - LAST_FRAME_S)
    if spec.stride_s == "spread":
        share = (np.arange(len(at))[:, None] + 0.5) / len(at)  # (K, 1)
        times = start_s + (np.arange(spec.frames) + share) / spec.frames * (end_s - start_s)
    else:
        reach_s = (spec.frames - 1) * spec.stride_s
        first = np.clip(at - reach_s / 2, start_s, max(start_s, last_s - reach_s))
        times = first + np.arange(spec.frames) * spec.stride_s
    return np.clip(times, start_s, last_s)
