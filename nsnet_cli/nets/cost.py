"""The cost of a video in GFLOPs. As usual in papers, one multiply-add counts as one (ResNet-50 at 224 px: 4.1)."""

from __future__ import annotations

import math
from dataclasses import replace

from nsnet_cli.nets.sampler_config import SamplerConfig
from nsnet_cli.records import dataclass
from nsnet_cli.weights.schema import sampler_shapes

SAMPLER_COST_FRAMES = 64
COUNTED_CLASSES = 2
"""The sampler's cost is counted for logits of this many classes. Only `elsewhere` multiplies logits with each other."""


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


def sampler_gflops(config: SamplerConfig) -> float:
    """Returns GFLOPs per preview frame at T = SAMPLER_COST_FRAMES: of the products of matrices, in the torch form."""
    parts = [replace(config, second=False), *([config.of_second()] if config.second else [])]
    return sum(map(_multiply_adds, parts)) / 1e9 / SAMPLER_COST_FRAMES


def _multiply_adds(config: SamplerConfig) -> int:
    """Returns those of one video, for a sampler without a second."""
    t, elsewhere = SAMPLER_COST_FRAMES, config.elsewhere and config.classes == 0
    # frames that are compared with frames: by features, by logits, and in each layer, which then also mixes them
    found = t * t * (config.features + elsewhere * COUNTED_CLASSES + config.layers * 2 * config.hidden)
    for name, shape in sampler_shapes(config.to_dict()).items():
        if len(shape) == 2:  # a layer's weights: for each frame, the classifier's also for the two pooled ones
            found += math.prod(shape) * (t + 2 * name.startswith("classifier."))
    return found
