"""Decides which frames a view holds, from the requested times and the kind of view."""

from __future__ import annotations

import numpy as np

from nsnet_cli.media import InputSpec

LAST_FRAME_S = 1e-3
"""Times stay this far before the video's end, so that the last frame is still the nearest."""


def view_times(at_s: np.ndarray, spec: InputSpec, start_s: float, end_s: float) -> np.ndarray:
    """Returns times (K, F): the frames of K views in a video that runs from `start_s` to `end_s`.

    A view of one frame is at its time. With a stride, F frames that far apart lie around that time, moved as a whole so
    that they stay inside the video. With "spread", the F frames lie evenly over the whole video. `at_s` then only gives
    the number of views, and each view takes another place inside the F equal parts. Where `at_s` is (K, F), it holds
    the times of all frames. Times outside the video become those of its first or last frame.
    """
    at = np.asarray(at_s, float).reshape(len(at_s), -1)  # (K, 1) or (K, F)
    last_s = max(start_s, end_s - LAST_FRAME_S)
    if at.shape[1] > 1:
        times = at
    elif spec.stride_s == "spread":
        share = (np.arange(len(at))[:, None] + 0.5) / len(at)  # (K, 1)
        times = start_s + (np.arange(spec.frames) + share) / spec.frames * (end_s - start_s)
    else:
        reach_s = (spec.frames - 1) * spec.stride_s
        first = np.clip(at - reach_s / 2, start_s, max(start_s, last_s - reach_s))
        times = first + np.arange(spec.frames) * spec.stride_s
    return np.clip(times, start_s, last_s)
