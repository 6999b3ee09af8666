"""What every frame source shares: the tally that becomes the DecodeReport, and the size of a batch."""

from __future__ import annotations

from dataclasses import dataclass

BATCH_FRAMES = 8
"""Frames of a batch: few, so that the networks start while most are still to be decoded."""


@dataclass(slots=True)
class Tally:
    """Counted while decoding goes on."""

    frames_decoded: int = 0
    frames_lost: int = 0

    def add(self, other: Tally) -> None:
        self.frames_decoded += other.frames_decoded
        self.frames_lost += other.frames_lost
