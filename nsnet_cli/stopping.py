"""When a budget's frames are enough: another frame would hardly change the tags. No network runs here."""

from __future__ import annotations

import numpy as np

from nsnet_cli.answer import look
from nsnet_cli.calibration import LIKELY
from nsnet_cli.presence import Judge
from nsnet_cli.selection import settled, unchanged
from nsnet_cli.stages import Preview, Scores


class Stopping:
    """Follows the frames of one video as they are recognised.

    With a calibration it stops once the certain tags were the same after each of the last few frames. It also stops
    once nothing was likelier than not after each of them: the most salient frames come first, so the rest of them
    rarely shows more. While something is likely but not certain, it goes on. Without a calibration it stops once the
    first tag is settled.
    """

    def __init__(self, judge: Judge, preview: Preview, scores: Scores, precision: float) -> None:
        self._judge, self._preview, self._scores, self._precision = judge, preview, scores, precision
        self._states: list[frozenset[int] | None] = []

    def enough(self, frames: np.ndarray, found: np.ndarray) -> bool:
        """Ask once after each frame. found (n, C): the recogniser's scores of all frames (n,) so far, in order."""
        judge, saliency = self._judge, self._scores.saliency[frames]
        if judge.calibration is None or not self._precision:
            return settled(found, saliency)
        present = look(judge, self._preview, self._scores, frames, found)
        if present.probabilities is None:
            return settled(found, saliency)
        certain = frozenset(int(present.nodes.rows[n]) for n in judge.certain(present, self._precision))
        self._states.append(certain if certain or not judge.certain(present, LIKELY) else None)
        return unchanged(self._states)
