"""The data that travels between the rooms: frozen dataclasses, no behaviour beyond checking themselves.

Times are presentation times in seconds (`pts_s`), counted from the container's start; shapes are written (N, H, W, 3),
(T, D), (T,).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from nsnet_cli.errors import UsageError
from nsnet_cli.policies import POLICIES

if TYPE_CHECKING:
    import numpy as np  # not at run time: the command line's options need this module, and numpy takes as long as they

SCHEMA_VERSION = 1
ALGORITHM_VERSION = 2
"""Raised whenever the same video could get other tags than before: kept results are then done again."""

Interpolation = Literal["bilinear", "bicubic", "area"]
Decoder = Literal["auto", "pyav", "decord"]
DECODERS: tuple[Decoder, ...] = ("auto", "pyav", "decord")


@dataclass(frozen=True, slots=True)
class Source:
    """The file that a result is about: what tells two videos of one name apart, and knows one that was moved."""

    path: str
    """Absolute, links followed."""
    size_bytes: int | None = None
    mtime_ns: int | None = None


# ---- video in -------------------------------------------------------------------------------------------------------


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


# ---- options -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TagOptions:
    """What the user asked of a tagging run. All of it can change a result, so all of it is fingerprinted."""

    policy: str = "nsnet"
    """A row of nsnet_cli.policies.POLICIES."""
    frames: int = 4
    """K: frames that the recogniser sees."""
    preview: int = 128
    """T: most frames that the preview looks at."""
    top_k: int = 5
    threshold: float = 0.0
    """Tags below this score are left out."""
    seed: int = 0
    """For the policy `random` alone."""
    decoder: Decoder = "auto"
    budget: str | None = None
    """'2s' (seconds a video), '5%' (of dense cost) or '8' (frames); None: exactly `frames`."""

    def __post_init__(self) -> None:
        """Raises UsageError naming the field that cannot be carried out. `budget` is read where it is spent."""
        for name, value, known in (("policy", self.policy, POLICIES), ("decoder", self.decoder, DECODERS)):
            if value not in known:
                raise UsageError(f"--{name} {value!r} is no {name}", f"known: {', '.join(known)}")
        for name, number, least in (
            ("frames", self.frames, 1),
            ("preview", self.preview, 1),
            ("top-k", self.top_k, 1),
            ("seed", self.seed, 0),
        ):
            if not isinstance(number, int) or isinstance(number, bool):
                raise UsageError(f"--{name} {number!r} is no whole number", f"at least {least}")
            if number < least:
                raise UsageError(f"--{name} {number} is too small", f"at least {least}")
        if not isinstance(self.threshold, int | float) or not 0 <= self.threshold <= 1:
            raise UsageError(f"--threshold {self.threshold!r} is no score", "from 0 to 1")
        if self.budget is not None and not isinstance(self.budget, str):
            raise UsageError(f"--budget {self.budget!r} is no text", "use '8', '5%' or '2s'")


# ---- results --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TagName:
    """One entry of a vocabulary: a stable id (WordNet id for ImageNet) and a name to read."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """One frame that carried a tag."""

    pts_s: float
    saliency: float
    score: float


@dataclass(frozen=True, slots=True)
class Tag:
    id: str
    name: str
    score: float
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class SalientFrame:
    """A frame that the recogniser saw."""

    pts_s: float
    saliency: float


@dataclass(frozen=True, slots=True)
class FrameScore:
    """One preview frame as the sampler saw it. fsm and vgm are None where the policy did not compute them."""

    pts_s: float
    saliency: float
    chosen: bool
    fsm: float | None = None
    vgm: float | None = None
    confidence: float | None = None
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class SamplingInfo:
    """The sampling contract as it was carried out."""

    policy: str
    plan: str
    preview_frames: int
    salient_frames: int
    stopped: str | None = None
    """Why the recogniser stopped, when a budget was given."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    checkpoint: str
    hash: str


@dataclass(frozen=True, slots=True)
class Cost:
    frames_decoded: int = 0
    frames_lost: int = 0
    gflops: float = 0.0
    dense_gflops: float = 0.0
    """What the recogniser on every preview frame would have taken."""


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds of work by stage, and from start to end. Decoding and previewing go on side by side, and each on several
    cores: stages can add up to more than `total_s`.
    """

    decode_s: float = 0.0
    preview_s: float = 0.0
    sampler_s: float = 0.0
    recognise_s: float = 0.0
    total_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class VideoResult:
    """All that is known about one tagged (or failed) video. Every output renders this and nothing else."""

    path: str
    status: Literal["ok", "error"]
    duration_s: float | None = None
    tags: tuple[Tag, ...] = ()
    salient_frames: tuple[SalientFrame, ...] = ()
    sampling: SamplingInfo | None = None
    model: ModelInfo | None = None
    cost: Cost | None = None
    timings: Timings | None = None
    error: ErrorInfo | None = None
    frames: tuple[FrameScore, ...] = ()
    """One entry a preview frame, in order of time; `explain` shows them, `tag --json` leaves them out."""
    info: VideoInfo | None = None
    jpegs: tuple[bytes, ...] = field(default=(), repr=False)
    """As `frames`, the uncropped preview frames as JPEG; empty unless they were asked for."""

    @classmethod
    def failed(cls, path: str, kind: str, message: str, model: ModelInfo | None = None) -> VideoResult:
        """The row of a video that could not be tagged. `kind` is one of errors.VIDEO_ERROR_KINDS."""
        return cls(path, "error", model=model, error=ErrorInfo(kind, message))
