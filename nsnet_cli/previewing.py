"""Runs the preview network while frames arrive, and no network twice on the same picture."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future

import numpy as np

from nsnet_cli.stages import Looked

LOOK_FRAMES = 8
"""Frames per call of the preview network. The CPU engine's graph takes as many, whatever it is given."""


class Looking:
    """The preview network's work on one video. Frames come in batches, in the order in which they were decoded."""

    def __init__(self, lanes: Executor, look: Callable[[np.ndarray], Looked]) -> None:
        """`look` runs the network on frames (N, S, S, 3), in the threads of `lanes`."""
        self._lanes, self._look = lanes, look
        self._waiting: list[Future[Looked]] = []
        self._new: list[np.ndarray] = []
        self._last: np.ndarray | None = None
        self.of: list[int] = []
        """For each frame so far, which of the different frames it shows."""
        self.different = 0
        """Frames that differ from the one before them: only these are looked at."""

    def add(self, pixels: np.ndarray) -> None:
        for frame in pixels:
            if self._last is None or not np.array_equal(frame, self._last):
                self._last = frame
                self._new.append(frame)
                self.different += 1
                if len(self._new) == LOOK_FRAMES:
                    self._begin()
            self.of.append(self.different - 1)

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


def distinct(views: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns which of the views (K, ...) are the first of their kind, and for each view its place among those."""
    first: dict[bytes, int] = {}
    place = np.array([first.setdefault(view.tobytes(), len(first)) for view in views])
    return np.unique(place, return_index=True)[1], place
