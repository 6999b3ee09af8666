"""What the recogniser looks at: chosen preview frames, or clips that the open reader gives around them."""

from __future__ import annotations

import numpy as np

from nsnet_cli.media import InputSpec
from nsnet_cli.selection import LEAST_SALIENCY, SALIENT_SHARE
from nsnet_cli.stages import Preview
from nsnet_cli.video.reader import VideoReader
from nsnet_cli.video.views import view_times

SAME = 0.5
"""Clips that share more than this of the shorter one look at the same thing."""
SHORTEST_S = 2.0
"""A shorter stretch is widened to this: networks of clips were trained on at least two seconds."""
VIEWS_PER_READ = 16
"""Most clips in memory at the same time: 77 MB of 32 frames at 224 px."""


class Views:
    """The views of K chosen preview frames of one video, in the order of choice."""

    def __init__(
        self, preview: Preview, saliency: np.ndarray, chosen: np.ndarray, spec: InputSpec, video: VideoReader
    ) -> None:
        """saliency (T,) of the preview frames; `chosen` (K,) are indices of some of them."""
        self._preview, self._chosen, self._spec, self._video = preview, chosen, spec, video
        self._at_s = preview.pts_s[chosen]  # (K,), or (K, F)
        self.spans_s = None if spec.frames == 1 else np.zeros((len(chosen), 2))
        """(K, 2): times of the first and the last frame of each clip that was read. None: a view is a frame."""
        self.frames_decoded = 0
        """Frames that went through the decoder for clips."""
        if spec.stride_s == "spread":
            stretches = [salient_stretch(int(i), saliency, preview.pts_s, preview.info.duration_s) for i in chosen]
            times = spread_times(self._at_s, np.array(stretches), spec.frames)
            self._at_s = at_preview_frames(times, np.array(stretches), preview.pts_s)

    @property
    def most(self) -> int:
        """How many views may be read in one call."""
        return VIEWS_PER_READ if self._spec.frames > 1 else max(1, len(self._chosen))

    def read(self, first: int, last: int) -> np.ndarray:
        """Returns the views from `first` to before `last`: pixels (n, S, S, 3), or (n, F, S, S, 3) of clips."""
        if self.spans_s is None:
            return np.stack([self._preview.pixels[i] for i in self._chosen[first:last]])
        views = self._video.views(self._at_s[first:last], self._spec)
        self.spans_s[first:last] = views.pts_s[:, [0, -1]]
        self.frames_decoded += views.frames_decoded
        return views.pixels


def worth_a_clip(
    order: np.ndarray, saliency: np.ndarray, pts_s: np.ndarray, duration_s: float, spec: InputSpec
) -> np.ndarray:
    """Returns those of the frames `order` (n,), the most wanted first, around which a clip shows something else.

    They are at least SALIENT_SHARE as salient as the first, and their clip is not nearly that of an earlier one.
    Frames of a short video are so near each other that the clips around them are nearly one. A stretch that spread
    clips share has a clip per F preview frames, so that each sees other frames. saliency, pts_s (T,).
    """
    if spec.frames == 1:
        return order
    if spec.stride_s == "spread":
        extents = np.array([salient_stretch(int(i), saliency, pts_s, duration_s) for i in order])
        inside = (pts_s >= extents[:, :1]) & (pts_s < extents[:, 1:])
        most = np.maximum(1, inside.sum(1) // spec.frames)
    else:
        extents = view_times(pts_s[order], spec, 0.0, max(duration_s, float(pts_s[-1])))[:, [0, -1]]
        most = np.ones(len(order), int)
    level, kept = np.maximum(saliency[order], LEAST_SALIENCY), list[int]()
    for n, (start, end) in enumerate(extents):
        if level[n] < SALIENT_SHARE * level[0]:
            continue
        shared_s = np.minimum(end, extents[kept, 1]) - np.maximum(start, extents[kept, 0])
        shorter_s = np.minimum(end - start, extents[kept, 1] - extents[kept, 0])
        if np.count_nonzero(shared_s > SAME * shorter_s) < most[n]:
            kept.append(n)
    return order[kept]


def salient_stretch(frame: int, saliency: np.ndarray, pts_s: np.ndarray, duration_s: float) -> tuple[float, float]:
    """Returns from when to when a video is about as salient as in one of its preview frames.

    The stretch has the frames around it that are at least SALIENT_SHARE as salient, and ends half way to the next ones.
    Saliencies below LEAST_SALIENCY count as equal, so where nothing is salient it is the whole video.
    saliency, pts_s (T,).
    """
    level = np.maximum(saliency, LEAST_SALIENCY)
    outside = np.flatnonzero(level < SALIENT_SHARE * level[frame])
    first, last = int((outside[outside < frame] + 1).max(initial=0)), len(pts_s) - 1
    last = int((outside[outside > frame] - 1).min(initial=last))
    end_of_video_s = max(duration_s, float(pts_s[-1]))
    start = 0.0 if first == 0 else float(pts_s[first - 1] + pts_s[first]) / 2
    end = end_of_video_s if last == len(pts_s) - 1 else float(pts_s[last] + pts_s[last + 1]) / 2
    if end - start < SHORTEST_S:
        start = max(0.0, min((start + end - SHORTEST_S) / 2, end_of_video_s - SHORTEST_S))
        end = min(start + SHORTEST_S, end_of_video_s)
    return start, end


def spread_times(at_s: np.ndarray, stretches_s: np.ndarray, frames: int) -> np.ndarray:
    """Returns times (K, F): F frames spread evenly over each of K stretches (K, 2), one of them at `at_s` (K,).

    Each equal part of a stretch has one frame. Views of one stretch are around different times, so they differ.
    """
    start, part_s = _parts(stretches_s, frames)
    place = (at_s - start) / part_s
    place -= np.clip(np.floor(place), 0, frames - 1)
    return np.asarray(start[:, None] + (np.arange(frames) + np.clip(place, 0, 1)[:, None]) * part_s[:, None])


def at_preview_frames(times_s: np.ndarray, stretches_s: np.ndarray, pts_s: np.ndarray) -> np.ndarray:
    """Returns the times (K, F) of `spread_times`, those of preview frames where their part has one.

    Spread frames may be anywhere in their part. Preview frames are mostly key frames, which decode alone, so that clips
    spread over a long video cost little. Each is taken once: views of one stretch differ.
    pts_s (T,) of the preview frames.
    """
    moved, taken = times_s.copy(), set[int]()
    start, part_s = _parts(stretches_s, times_s.shape[1])
    for view, part in np.ndindex(times_s.shape):
        first = start[view] + part * part_s[view]
        inside = np.flatnonzero((pts_s >= first) & (pts_s < first + part_s[view]))
        free = [int(i) for i in inside if int(i) not in taken]
        if free:
            nearest = min(free, key=lambda i: abs(pts_s[i] - times_s[view, part]))
            taken.add(nearest)
            moved[view, part] = pts_s[nearest]
    return moved


def _parts(stretches_s: np.ndarray, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Stretches (K, 2) in equal parts: where the first part of each begins (K,), and how long one is (K,)."""
    start, end = stretches_s.T
    return start, np.maximum((end - start) / frames, 1e-9)
