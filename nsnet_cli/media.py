"""Data passed between the video and nets packages: what a file is, which frames are wanted, their pixels.

All are frozen dataclasses. Times are presentation times in seconds (`pts_s`), counted from the container's start.
Shapes are written (N, S, S, 3).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, get_args

from nsnet_cli.records import dataclass

if TYPE_CHECKING:
    import numpy as np  # not at run time: the first video is requested before numpy is loaded

Interpolation = Literal["bilinear", "bicubic", "area"]
Decoder = Literal["auto", "pyav", "decord"]
DECODERS: tuple[Decoder, ...] = ("auto", "pyav", "decord")


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What probing a file tells, before its preview is decoded."""

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
    """One wanted frame: at `pts_s`, give or take `tolerance_s`. A `key` frame can be decoded alone."""

    pts_s: float
    key: bool
    tolerance_s: float = 0.0


@dataclass(frozen=True, slots=True)
class PreviewPlan:
    """Which frames to preview. Plain data, so that it can be printed, tested and reported in the result."""

    kind: Literal["keys", "keys+fill", "keys+salient", "even", "all", "views"]
    frames: tuple[PlannedFrame, ...]
    later: tuple[PlannedFrame, ...] = ()
    """Frames in gaps that were left out. A reader is asked for those beside salient frames (`VideoReader.more`)."""

    def __len__(self) -> int:
        return len(self.frames)


@dataclass(frozen=True, slots=True)
class InputSpec:
    """Describes a view: the pixels that a network takes at once. Raises ValueError that names the field."""

    size_px: int
    """Side of the square that the network sees."""
    crop: float
    """Share of the shorter side that the centred square keeps."""
    interpolation: Interpolation
    mean: tuple[float, float, float]
    """Red, green, blue on a scale from 0 to 1. The network itself subtracts it from the uint8 pixels."""
    std: tuple[float, float, float]
    frames: int = 1
    """F: frames per view. One is an image, several are a clip."""
    stride_s: float | Literal["spread"] = 0.0
    """Seconds between the frames of a clip, or "spread": evenly over a stretch of the video. 0 for a single frame."""

    def __post_init__(self) -> None:
        self._check("size_px", self.size_px >= 1, "not at least 1")
        self._check("crop", 0 < self.crop <= 1, "not above 0 and at most 1")
        known = get_args(Interpolation)
        self._check("interpolation", self.interpolation in known, f"not one of {', '.join(known)}")
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
    """How to read a video: the frame size that the recogniser needs, how many frames, and limits on the file."""

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
    """Take max_frames evenly spaced exact frames, or all if the video has fewer (policy `uniform`)."""
    in_rounds: bool = False
    """Leave out frames between key frames at first, where the index tells in which gaps a scene is hidden."""
    decoder: Decoder = "auto"
    threads: int = 1
    """Decoder contexts that work on one file at the same time."""
    jpegs: bool = False
    """Also keep each frame uncropped as a small JPEG, for thumbnails, posters and pages."""
    jpeg_side_px: int = 320
    max_side_px: int = 16_384
    max_duration_s: float = 48 * 3600.0
    max_streams: int = 64

    @classmethod
    def of(cls, spec: InputSpec, **limits: Any) -> ReadOptions:
        """Returns options for a recogniser with this input. `limits` are the other fields."""
        return cls(size_px=spec.size_px, crop=spec.crop, interpolation=spec.interpolation, **limits)


@dataclass(frozen=True, slots=True)
class VideoHeader:
    """The first message of a reader: what the file is and which frames will follow."""

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
    frames_decoded: int = 0
    """Of views: frames that went through the decoder for them. The preview's are in the DecodeReport."""

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
class Copied:
    """What a copy of a span holds. Times are those of the video that it was copied from."""

    start_s: float
    """Where the copy begins: the key frame at or before the requested start, or else the first one."""
    end_s: float
    """End of its last picture."""
    ending: str
    """The ending that fits the container, such as ".mp4"."""
    left_out: tuple[str, ...]
    """What the copy lacks: streams that its container cannot take, for people to read."""


@dataclass(frozen=True, slots=True)
class DecodeReport:
    """The last message of a reader: what decoding took, and what was lost."""

    decoder: str
    frames_decoded: int
    """Frames that went through the decoder, including those that are not part of the preview."""
    frames_lost: int
    """Planned frames that could not be decoded."""
    decode_s: float
