"""Runs the preview network while frames arrive, and no network twice on the same picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, Future

import numpy as np

from nsnet_cli.errors import VideoError
from nsnet_cli.media import FrameBatch, PlannedFrame
from nsnet_cli.selection import LEAST_SALIENCY, SALIENT_SHARE, likeness
from nsnet_cli.stages import Looked, Preview
from nsnet_cli.storage.urls import Place
from nsnet_cli.video.reader import VideoReader

LOOK_FRAMES = 4
"""Frames per call of the preview network. The CPU engine's graph takes as many, whatever it is given."""
ALIKE = 0.5
"""Frames that are at least so like a chosen one count as the same scene."""


class Looking:
    """The preview network's work on one video. Frames come in batches, in the order in which they were decoded."""

    def __init__(self, lanes: Executor, look: Callable[[np.ndarray], Looked]) -> None:
        """`look` runs the network on frames (N, S, S, 3), in the threads of `lanes`."""
        self._lanes, self._look = lanes, look
        self._waiting: list[Future[Looked]] = []
        self._new: list[np.ndarray] = []
        self._kinds = Kinds()
        self.of: list[int] = []
        """For each frame so far, which of the different frames it shows."""

    @property
    def different(self) -> int:
        """Frames that differ from all before them: only these are looked at. In whatever order they come, as many."""
        return self._kinds.count

    def add(self, pixels: np.ndarray) -> None:
        for frame in pixels:
            before = self.different
            self.of.append(self._kinds.number(frame))
            if self.different > before:
                self._new.append(frame)
                if len(self._new) == LOOK_FRAMES:
                    self._begin()

    def result(self) -> Looked:
        """Waits for the network. Returns features (T, D) and logits (T, C) of all frames, in their order."""
        if self._new:
            self._begin()
        looked = [future.result() for future in self._waiting]
        features = np.concatenate([each.features for each in looked])[self.of]
        logits = np.concatenate([each.logits for each in looked])[self.of]
        return Looked(features, logits, sum(each.seconds for each in looked))

    def _begin(self) -> None:
        self._waiting.append(self._lanes.submit(self._look, np.stack(self._new)))
        self._new = []


class Previewing:
    """The preview of one open video, which may be read in rounds."""

    def __init__(self, path: Place, video: VideoReader, looking: Looking | None) -> None:
        """`looking`: None if the policy does not look at frames."""
        self._path, self._video, self._looking = path, video, looking
        self._pixels: list[np.ndarray] = []
        self._pts_s: list[np.ndarray] = []
        self._jpegs: list[bytes] = []

    def read(self, batches: Iterable[FrameBatch]) -> Preview:
        """Returns the preview of all frames so far, in order of time. The network runs while frames are decoded."""
        for batch in batches:
            self._pixels += list(batch.pixels)
            self._pts_s.append(batch.pts_s)
            self._jpegs += batch.jpegs
            if self._looking is not None:
                self._looking.add(batch.pixels)
        if not self._pts_s:
            raise VideoError(f"{self._path}: no frame could be decoded", "is the file whole?", kind="no_frames")
        pts_s = np.concatenate(self._pts_s)
        order = np.argsort(pts_s, kind="stable")
        looking = self._looking
        looked = looking.result() if looking else None
        return Preview(
            path=self._path,
            info=self._video.info,
            plan=self._video.plan,
            report=self._video.report,
            pixels=tuple(self._pixels[i] for i in order),
            pts_s=pts_s[order],
            jpegs=tuple(self._jpegs[i] for i in order) if self._jpegs else (),
            features=looked.features[order] if looked else None,
            logits=looked.logits[order] if looked else None,
            seconds=looked.seconds if looked else 0.0,
            repeated=len(looking.of) - looking.different if looking else 0,
        )


class Later:
    """The frames that a plan left out, until they are asked for."""

    def __init__(self, frames: Sequence[PlannedFrame]) -> None:
        self._left = list(frames)

    @property
    def count(self) -> int:
        return len(self._left)

    def rest(self) -> list[PlannedFrame]:
        """Takes out and returns all."""
        rest, self._left = self._left, []
        return rest

    def beside(self, chosen: np.ndarray, saliency: np.ndarray, preview: Preview) -> list[PlannedFrame]:
        """Takes out and returns the frames in gaps beside the salient ones of the frames `chosen` (K,) of a preview.

        Also those in gaps where the scene of a salient frame ends, so that spans end where they should. If nothing is
        salient, nothing tells where to look: it takes all. saliency (T,).
        """
        best = saliency[chosen].max()
        if preview.features is None or best < LEAST_SALIENCY:
            return self.rest()
        salient = chosen[saliency[chosen] >= SALIENT_SHARE * best]
        alike, near = np.zeros((2, len(saliency) + 1), bool)  # the last: what follows the last frame
        alike[:-1] = likeness(preview.features, salient).max(1) >= ALIKE
        near[salient] = True
        after = np.searchsorted(preview.pts_s, [frame.pts_s for frame in self._left])  # the frame seen next
        wanted = near[after] | near[after - 1] | (alike[after] != alike[after - 1])
        asked = [frame for frame, now in zip(self._left, wanted, strict=True) if now]
        self._left = [frame for frame, now in zip(self._left, wanted, strict=True) if not now]
        return asked


class Kinds:
    """Numbers pictures of one shape in the order in which they come. Equal ones have the same number."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}  # by 64 bits of each picture: its bytes would take as much memory again

    @property
    def count(self) -> int:
        return len(self._numbers)

    def number(self, picture: np.ndarray) -> int:
        return self._numbers.setdefault(hash(picture.tobytes()), self.count)


def distinct(views: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns which of the views (K, ...) are the first of their kind, and for each view its place among those."""
    kinds = Kinds()
    place = np.array([kinds.number(view) for view in views])
    return np.unique(place, return_index=True)[1], place
