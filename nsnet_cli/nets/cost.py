"""What a video costs in GFLOPs. As in the field's papers one multiply-add counts as one (ResNet-50 at 224 px: 4.1)."""

from __future__ import annotations

from dataclasses import dataclass

SAMPLER_COST_FRAMES = 64


@dataclass(frozen=True, slots=True)
class FrameCost:
    """GFLOPs a frame of each network; the sampler's share is per preview frame at T = SAMPLER_COST_FRAMES."""

    preview: float
    sampler: float
    recogniser: float

    def total(self, preview_frames: int, recognised_frames: int, *, sampler: bool = True) -> float:
        """GFLOPs of previewing T frames and recognising K."""
        per_preview = self.preview + (self.sampler if sampler else 0.0)
        return preview_frames * per_preview + recognised_frames * self.recogniser

    def dense(self, preview_frames: int) -> float:
        """GFLOPs of the recogniser on every preview frame, and nothing else."""
        return preview_frames * self.recogniser
