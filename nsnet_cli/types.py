"""What a run is asked for and what it says of a video: frozen dataclasses that check themselves.

Times are presentation times in seconds (`pts_s`), counted from the container's start.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from nsnet_cli.errors import UsageError
from nsnet_cli.media import DECODERS, Decoder, VideoInfo
from nsnet_cli.policies import POLICIES

SCHEMA_VERSION = 1
ALGORITHM_VERSION = 2
"""Raised whenever the same video could get other tags than before: kept results are then done again."""


@dataclass(frozen=True, slots=True)
class Source:
    """The file that a result is about: what tells two videos of one name apart, and knows one that was moved."""

    path: str
    """Absolute, links followed."""
    size_bytes: int | None = None
    mtime_ns: int | None = None


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
