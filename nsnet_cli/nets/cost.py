"""The cost of a video in GFLOPs. As usual in papers, one multiply-add counts as one (ResNet-50 at 224 px: 4.1)."""

from __future__ import annotations

from nsnet_cli.records import dataclass

SAMPLER_COST_FRAMES = 64


@dataclass(frozen=True, slots=True)
class FrameCost:
    """GFLOPs per frame of each network. The sampler's are per preview frame at T = SAMPLER_COST_FRAMES."""

    preview: float
    sampler: float
    recogniser: float

    def total(self, preview_frames: int, recognised_frames: int, *, sampler: bool = True) -> float:
        """Returns the GFLOPs for a preview of T frames and the recognition of K."""
        per_preview = self.preview + (self.sampler if sampler else 0.0)
        return preview_frames * per_preview + recognised_frames * self.recogniser

    def dense(self, preview_frames: int) -> float:
        """Returns the GFLOPs of the recogniser alone on every preview frame."""
        return preview_frames * self.recogniser
