"""Options of a run and results of its videos: frozen dataclasses. The options check themselves.

Times are presentation times in seconds (`pts_s`), counted from the container's start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, field
from typing import Any, Literal

from nsnet_cli.errors import UsageError
from nsnet_cli.media import DECODERS, Decoder, VideoInfo
from nsnet_cli.policies import POLICIES
from nsnet_cli.records import dataclass

IndexFrames = Literal["salient", "all"]
"""Which frames an image-text checkpoint embeds for later questions, if results are kept."""
SCHEMA_VERSION = 2
ALGORITHM_VERSION = 6
"""Increased whenever the same video could get other tags than before: kept results are then made again."""


@dataclass(frozen=True, slots=True)
class Source:
    """The file of a result. It tells two videos of the same name apart, and recognises one that was moved."""

    path: str
    """Absolute, with links resolved; or a URL as it is shown, without signature and password."""
    size_bytes: int | None = None
    mtime_ns: int | None = None
    etag: str | None = None
    """What the store of a URL calls this version of the bytes."""


# ---- options -------------------------------------------------------------------------------------------------------


SHOWN = ("top_k", "threshold", "precision")
"""The options with which one look at a video can be rendered in another way. All others are part of the fingerprint."""


@dataclass(frozen=True, slots=True)
class TagOptions:
    """Options of a tagging run. SHOWN ones only choose what is shown of a look; the others decide how to look."""

    policy: str = "nsnet"
    """A row of nsnet_cli.policies.POLICIES."""
    frames: int = 4
    """K: frames that the recogniser sees."""
    preview: int = 128
    """T: most frames in the preview."""
    top_k: int = 5
    threshold: float = 0.0
    """Tags below this score are left out."""
    precision: float = 0.8
    """The least probability of a certain tag. 0: no tag is certain, all are guesses."""
    seed: int = 0
    """For the policy `random` only."""
    decoder: Decoder = "auto"
    budget: str | None = None
    """'2s' (seconds per video), '5%' (of dense cost) or '8' (frames). None: exactly `frames`."""

    def __post_init__(self) -> None:
        """Raises UsageError that names the wrong field. The tagger reads `budget`."""
        for name, value, known in (("policy", self.policy, POLICIES), ("decoder", self.decoder, DECODERS)):
            if value not in known:
                raise UsageError(f"--{name} {value!r} is not a {name}", f"known: {', '.join(known)}")
        for name, number, least in (
            ("frames", self.frames, 1),
            ("preview", self.preview, 1),
            ("top-k", self.top_k, 1),
            ("seed", self.seed, 0),
        ):
            if not isinstance(number, int) or isinstance(number, bool):
                raise UsageError(f"--{name} {number!r} is not a whole number", f"use at least {least}")
            if number < least:
                raise UsageError(f"--{name} {number} is too small", f"use at least {least}")
        if not isinstance(self.threshold, int | float) or not 0 <= self.threshold <= 1:
            raise UsageError(f"--threshold {self.threshold!r} is not a score", "use a number from 0 to 1")
        if not isinstance(self.precision, int | float) or not 0 <= self.precision <= 1:
            raise UsageError(f"--precision {self.precision!r} is not a probability", "use a number from 0 to 1")
        if self.budget is not None and not isinstance(self.budget, str):
            raise UsageError(f"--budget {self.budget!r} is not text", "use '8', '5%' or '2s'")

    def shown(self) -> dict[str, int | float]:
        """Returns the options that only choose what is shown, by name."""
        return {name: getattr(self, name) for name in SHOWN}

    def looked(self) -> dict[str, object]:
        """Returns the options that decide how a video is looked at: all others.

        With a budget the precision is among them: it says when the frames so far are enough.
        """
        return {name: value for name, value in asdict(self).items() if name not in SHOWN} | (
            {"precision": self.precision} if self.budget is not None else {}
        )


# ---- results --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TagName:
    """One entry of a vocabulary: a stable id (WordNet id for ImageNet) and a name to read."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """One frame that supports a tag, or a clip around it."""

    pts_s: float
    saliency: float
    score: float
    start_s: float | None = None
    """Of a clip: the times of its first and its last frame. None: the recogniser looked at the frame alone."""
    end_s: float | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when a tag is seen. Each end may be off by `SamplingInfo.interval_s`."""

    start_s: float
    end_s: float
    probability: float


@dataclass(frozen=True, slots=True)
class Sign:
    """What one sign of the calibration (calibration.SIGNS) says about a tag."""

    name: str
    value: float
    adds: float
    """Its weight times its value, in log-odds."""


@dataclass(frozen=True, slots=True)
class Why:
    """Why a tag has its probability: bias, trust and what the signs add make its log-odds."""

    signs: tuple[Sign, ...]
    trust: float
    """How far the recogniser is trusted with this tag; 0 for a tag that no video of the calibration showed."""
    bias: float
    faint: float
    """The probability is multiplied by this: less than 1 for a tag that no frame shows well."""
    raised_by: str | None
    """The likelier tag below it, if there is one: a tag is at least as likely as what it stands over."""
    seen: int
    """Recognised frames that show it."""
    recognised: int
    highest: float
    """Its highest score in a recognised frame."""
    preview_seen: int | None
    """Preview frames in which the preview network sees it. None if that network does not know the tags."""
    preview_frames: int | None


@dataclass(frozen=True, slots=True)
class Tag:
    id: str
    name: str
    score: float
    """The recogniser's; of a tag that stands over others: the sum of theirs."""
    evidence: tuple[Evidence, ...] = ()
    probability: float | None = None
    """The calibrated chance that a person who looks agrees. None: nothing was calibrated for this run."""
    certain: bool = False
    """Whether the probability is at least the run's precision. The others are guesses."""
    parents: tuple[str, ...] = ()
    """Names of what stands over it, the nearest first."""
    spans: tuple[Span, ...] = ()
    """When it is seen, in order of time. Only certain tags have spans."""
    why: Why | None = field(default=None, compare=False, repr=False)
    """Why it has its probability. `explain` shows it; it is not kept, and `tag --json` leaves it out."""


@dataclass(frozen=True, slots=True)
class SalientFrame:
    """A frame that the recogniser saw, or a clip around it."""

    pts_s: float
    saliency: float
    start_s: float | None = None
    """As in Evidence, as is `end_s`."""
    end_s: float | None = None


@dataclass(frozen=True, slots=True)
class FrameScore:
    """One preview frame as the sampler saw it. fsm and vgm are None if the policy did not compute them."""

    pts_s: float
    saliency: float
    chosen: bool
    fsm: float | None = None
    vgm: float | None = None
    confidence: float | None = None
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class SamplingInfo:
    """How the frames of a video were sampled."""

    policy: str
    plan: str
    preview_frames: int
    salient_frames: int
    stopped: str | None = None
    """Why the recogniser stopped, when a budget was given."""
    interval_s: float | None = None
    """Median seconds between preview frames: how far the ends of a span may be off. None: a single frame."""


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
    """What recognising every preview frame would have cost."""


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds of work per stage, and from start to end.

    Decoding and previewing overlap and use several cores, so the stages can add up to more than `total_s`.
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
    """At most top-k: the certain ones, none beside one that stands over it, then guesses; each by score."""
    salient_frames: tuple[SalientFrame, ...] = ()
    sampling: SamplingInfo | None = None
    model: ModelInfo | None = None
    cost: Cost | None = None
    timings: Timings | None = None
    error: ErrorInfo | None = None
    frames: tuple[FrameScore, ...] = ()
    """One entry per preview frame, in order of time. `explain` shows them, `tag --json` leaves them out."""
    info: VideoInfo | None = None
    jpegs: tuple[bytes, ...] = field(default=(), repr=False)
    """The uncropped preview frames as JPEG, in the order of `frames`; empty unless requested."""
    perhaps: Tag | None = None
    """Where no tag is certain: the most specific that is more likely right than wrong, if there is one."""
    precision: float | None = None
    """What the run asked of certain tags; 0: guesses only. None: nothing was calibrated, so no tag is certain."""
    columns: Mapping[str, Any] | None = None
    """What a manifest says about the video, as plain JSON values. None: it was not in a manifest."""
    kept: bytes = field(default=b"", compare=False, repr=False)
    """The look that it was rendered from, as nsnet_cli.outputs.kept_results packs it; empty unless requested."""

    @classmethod
    def failed(cls, path: str, kind: str, message: str, model: ModelInfo | None = None) -> VideoResult:
        """Returns the row of a video that could not be tagged. `kind` is one of errors.VIDEO_ERROR_KINDS."""
        return cls(path, "error", model=model, error=ErrorInfo(kind, message))
