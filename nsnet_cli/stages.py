"""Data that the stages of tagging pass on: T preview frames, their scores, the K chosen ones."""

from __future__ import annotations

import numpy as np

from nsnet_cli.media import DecodeReport, PreviewPlan, VideoInfo
from nsnet_cli.nets.engine import Saliency
from nsnet_cli.records import dataclass
from nsnet_cli.storage.urls import Place


@dataclass(frozen=True, slots=True)
class Looked:
    """The preview network's output for one batch, and the seconds that it took."""

    features: np.ndarray  # (N, D)
    logits: np.ndarray  # (N, C)
    seconds: float


@dataclass(frozen=True, slots=True)
class Preview:
    """The decoded preview in order of time, and the preview network's output for it."""

    path: Place
    info: VideoInfo
    plan: PreviewPlan
    report: DecodeReport
    pixels: tuple[np.ndarray, ...]  # T of (S, S, 3) uint8
    pts_s: np.ndarray  # (T,)
    jpegs: tuple[bytes, ...]
    features: np.ndarray | None  # (T, D); None if the policy does not look
    logits: np.ndarray | None  # (T, C)
    seconds: float
    repeated: int = 0
    """Frames that equal another one: the preview network did not look at them again."""
    left: int = 0
    """Planned frames that were left out, far from what is salient."""

    def times(self) -> np.ndarray:
        """pts_s / duration, (T,) in [0, 1]."""
        return np.clip(self.pts_s / max(self.info.duration_s, 1e-6), 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Scores:
    """Saliency (T,), where it came from, and the preview network's first guess for each frame."""

    saliency: np.ndarray
    sampler: Saliency | None
    confidence: np.ndarray | None
    best: np.ndarray | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen frames, as indices (K,) in order of choice, and the recogniser's scores for them (K, C)."""

    frames: np.ndarray
    scores: np.ndarray
    stopped: str | None
    seconds: float
    views_s: np.ndarray | None = None
    """(K, 2): times of the first and the last frame of each clip. None: the recogniser looks at single frames."""
    frames_decoded: int = 0
    """Frames that went through the decoder for clips."""
    features: np.ndarray | None = None
    """(K, D): the recogniser's features of the chosen views."""
