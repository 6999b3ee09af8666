"""What every frame source shares: the tally that becomes the DecodeReport, and the size of a batch."""

from __future__ import annotations

from dataclasses import dataclass

BATCH_FRAMES = 4
"""Frames per batch: few, so that the networks start before most frames are decoded."""


@dataclass(slots=True)
class Tally:
    """Frames counted during decoding."""

    frames_decoded: int = 0
    frames_lost: int = 0

    def add(self, other: Tally) -> None:
        self.frames_decoded += other.frames_decoded
        self.frames_lost += other.frames_lost
