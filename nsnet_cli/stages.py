"""What each stage of tagging a video hands to the next: T preview frames, their scores, the K chosen ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nsnet_cli.media import DecodeReport, PreviewPlan, VideoInfo
from nsnet_cli.nets.engine import Saliency


@dataclass(frozen=True, slots=True)
class Looked:
    """What the preview network says of one batch, and the seconds that it took."""

    features: np.ndarray  # (N, D)
    logits: np.ndarray  # (N, C)
    seconds: float


@dataclass(frozen=True, slots=True)
class Preview:
    """The decoded preview, in order of time, and what the preview network says of it."""

    path: Path
    info: VideoInfo
    plan: PreviewPlan
    report: DecodeReport
    pixels: tuple[np.ndarray, ...]  # T of (S, S, 3) uint8
    pts_s: np.ndarray  # (T,)
    jpegs: tuple[bytes, ...]
    features: np.ndarray | None  # (T, D); None where the policy does not look
    logits: np.ndarray | None  # (T, C)
    seconds: float

    def times(self) -> np.ndarray:
        """pts_s / duration, (T,) in [0, 1]."""
        return np.clip(self.pts_s / max(self.info.duration_s, 1e-6), 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Scores:
    """Saliency (T,), where it came from, and the preview network's first guess of each frame."""

    saliency: np.ndarray
    sampler: Saliency | None
    confidence: np.ndarray | None
    best: np.ndarray | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen frames, indices (K,) in the order wanted, and the recogniser's scores of them (K, C)."""

    frames: np.ndarray
    scores: np.ndarray
    stopped: str | None
    seconds: float
