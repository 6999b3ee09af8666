"""What passes between video and networks: what a file is, which frames are wanted, their pixels. Frozen dataclasses.

Times are presentation times in seconds (`pts_s`), counted from the container's start; shapes are written (N, S, S, 3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    import numpy as np  # not at run time: decode processes are asked before there is time for it

Interpolation = Literal["bilinear", "bicubic", "area"]
Decoder = Literal["auto", "pyav", "decord"]
DECODERS: tuple[Decoder, ...] = ("auto", "pyav", "decord")


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What probing a file tells, before any frame is decoded."""

    path: str
    container: str
    codec: str
    width_px: int
    """As displayed: after rotation and sample aspect."""
    height_px: int
    rotation_deg: int
    duration_s: float
    fps: float | None
    key_frames: int
    """Key frames found in the index or by demuxing."""


@dataclass(frozen=True, slots=True)
class PlannedFrame:
    """One frame the preview wants: at `pts_s`, give or take `tolerance_s`; `key` frames decode alone."""

    pts_s: float
    key: bool
    tolerance_s: float = 0.0


@dataclass(frozen=True, slots=True)
class PreviewPlan:
    """Which frames to preview. Data: it is printed, tested and reported in the result."""

    kind: Literal["keys", "keys+fill", "even", "all", "views"]
    frames: tuple[PlannedFrame, ...]

    def __len__(self) -> int:
        return len(self.frames)


@dataclass(frozen=True, slots=True)
class InputSpec:
    """What a view is: the pixels that a network looks at once. Raises ValueError, which names the field."""

    size_px: int
    """Side of the square that the network sees."""
    crop: float
    """Share of the shorter side that the centred square keeps."""
    interpolation: Interpolation
    mean: tuple[float, float, float]
    """Red, green, blue on a scale from 0 to 1; subtracted inside the network, from uint8 pixels."""
    std: tuple[float, float, float]
    frames: int = 1
    """F: frames of a view. One is an image, more are a clip."""
    stride_s: float | Literal["spread"] = 0.0
    """Seconds between the frames of a clip; "spread": they share the salient spans evenly. One frame has none."""

    def __post_init__(self) -> None:
        self._check("size_px", self.size_px >= 1, "not at least 1")
        self._check("crop", 0 < self.crop <= 1, "not above 0 and at most 1")
        known = get_args(Interpolation)
        self._check("interpolation", self.interpolation in known, f"none of {', '.join(known)}")
        self._check("mean", len(self.mean) == 3 and all(map(math.isfinite, self.mean)), "not three numbers")
        self._check("std", len(self.std) == 3 and all(0 < v < math.inf for v in self.std), "not three numbers above 0")
        self._check("frames", self.frames >= 1, "not at least 1")
        if isinstance(self.stride_s, str):
            self._check("stride_s", self.stride_s == "spread", "neither seconds nor 'spread'")
        elif self.frames == 1:
            self._check("stride_s", self.stride_s == 0, "not 0, the stride of a single frame")
        else:
            self._check("stride_s", 0 < self.stride_s < math.inf, f"not above 0, as {self.frames} frames need")

    def _check(self, name: str, fits: bool, why: str) -> None:
        if not fits:
            raise ValueError(f"{name}: {getattr(self, name)!r} is {why}")


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How a video is read: the size that the recogniser wants, how many frames, and the limits on what is accepted."""

    size_px: int
    """Side of the square that the recogniser sees; frames are decoded straight to (size_px, size_px, 3)."""
    crop: float = 0.875
    """Share of the shorter side that the centred square keeps."""
    interpolation: Interpolation = "bicubic"
    max_frames: int = 128
    min_frames: int = 24
    interval_s: float = 1.0
    """Longest gap between preview frames, while max_frames allows it."""
    even: bool = False
    """Evenly spaced exact frames, exactly max_frames of them where the video has as many (policy `uniform`)."""
    decoder: Decoder = "auto"
    threads: int = 1
    """Decoder contexts that work on one file side by side."""
    jpegs: bool = False
    """Also keep each frame uncropped as a small JPEG, for thumbnails, posters and pages."""
    jpeg_side_px: int = 320
    max_side_px: int = 16_384
    max_duration_s: float = 48 * 3600.0
    max_streams: int = 64

    @classmethod
    def of(cls, spec: InputSpec, **limits: Any) -> ReadOptions:
        """Frames as a recogniser of this input wants them; `limits` are the other fields."""
        return cls(size_px=spec.size_px, crop=spec.crop, interpolation=spec.interpolation, **limits)


@dataclass(frozen=True, slots=True)
class VideoHeader:
    """First thing out of a reader: what the file is and which frames will come."""

    info: VideoInfo
    plan: PreviewPlan


@dataclass(frozen=True, slots=True, repr=False)
class FrameBatch:
    """Decoded frames and their times: N frames, or K views of F frames.

    pixels (N, S, S, 3) or (K, F, S, S, 3) uint8 RGB; pts_s (N,) or (K, F) float64; jpegs: none, or one per frame.
    """

    pixels: np.ndarray
    pts_s: np.ndarray
    jpegs: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        leading, side = self.pts_s.shape, self.pixels.shape[-2:-1]
        fits = self.pixels.shape == (*leading, *side, *side, 3)
        if len(leading) not in (1, 2) or not fits or self.pixels.dtype != "uint8":
            wanted = f"({', '.join(map(str, leading))}, S, S, 3) uint8 for pts_s {leading}"
            raise ValueError(f"pixels must be {wanted}, got {self.pixels.shape} {self.pixels.dtype}")
        if self.jpegs and len(self.jpegs) != self.pts_s.size:
            raise ValueError(f"{len(self.jpegs)} jpegs for {self.pts_s.size} frames")

    def __len__(self) -> int:
        return len(self.pts_s)

    def __repr__(self) -> str:
        return f"FrameBatch(pixels={self.pixels.shape}, pts_s={self.pts_s.shape}, jpegs={len(self.jpegs)})"


@dataclass(frozen=True, slots=True)
class DecodeReport:
    """Last thing out of a reader: what decoding took, and what was lost on the way."""

    decoder: str
    frames_decoded: int
    """Frames that went through the decoder, the skipped-over ones included."""
    frames_lost: int
    """Planned frames that could not be decoded."""
    decode_s: float
