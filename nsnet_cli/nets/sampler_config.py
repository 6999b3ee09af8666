"""A sampler's settings and fixed numbers: what its torch and its numpy form share. Imports neither."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any, Literal

from nsnet_cli.errors import WeightsError
from nsnet_cli.records import dataclass
from nsnet_cli.weights.checkpoint import MODEL_FILE, Checkpoint

FSM_SHARE = 0.75
"""Weight of the FSM in the mean of log-odds: it learns from every frame, the VGM mostly from means over videos."""
SECOND_SHARE = 0.6
"""Weight of the second sampler in the mean of log-odds."""
ALIKE = (0.5, 0.7, 0.85)
"""Cosines from which two frames count as alike: a similar scene, the same scene, nearly the same frame."""
ALIKE_WIDTH = 0.05
"""How softly they do so, in cosine."""
FAR = 0.12
"""Frames further apart than this share of the video count as far away."""
LIMIT = 4.0
"""Standardised statistics are cut off here."""
FASTEST = 256.0
"""How many times as fast as the slowest the fastest wave of the time embedding is."""


@dataclass(frozen=True, slots=True)
class SamplerConfig:
    """Settings of a sampler."""

    features: int
    """D of the preview features."""
    classes: int = 0
    """C of a vocabulary of its own. 0: a big fixed vocabulary, with the preview network's own class logits."""
    hidden: int = 128
    layers: int = 1
    heads: int = 4
    dropout: float = 0.1
    feature_dropout: float = 0.1
    """Share of the preview features that training hides, with one mask per sequence."""
    combination: Literal["log-odds", "product", "mean", "fsm", "vgm"] = "log-odds"
    standing: bool = False
    """Whether the classifier also sees how a frame stands out in its video (numbers that carry no label)."""
    appearance: bool = True
    """Whether the modules see what is in a frame. Without it they see numbers alone that mean the same for any footage:
    they know fewer tricks, and all of them hold on footage that training never saw. Fixed vocabulary only."""
    elsewhere: bool = False
    """Whether the context also says how much of what a frame shows is seen elsewhere in its video, by the logits."""
    second: bool = False
    """Whether a second sampler judges too, without appearance and with `elsewhere`: one that knows footage, and one for
    footage that nobody has seen. The saliency is the mean of their log-odds."""

    def __post_init__(self) -> None:
        wrong = self.features < 1 or self.classes < 0 or self.heads < 1 or self.hidden < 1
        if not self.appearance and (self.classes or not self.standing):
            raise ValueError(f"without appearance, a fixed vocabulary and standing are needed, got {self}")
        if self.second and (self.classes or not self.standing or not self.appearance):
            raise ValueError(f"a second sampler needs a fixed vocabulary, standing and appearance, got {self}")
        if wrong or self.hidden % (2 * self.heads):
            raise ValueError(f"features >= 1, classes >= 0 and hidden a multiple of 2 * heads are needed, got {self}")

    def of_second(self) -> SamplerConfig:
        """The settings of the second sampler."""
        return replace(self, appearance=False, elsewhere=True, second=False)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SamplerConfig:
        """Raises ValueError that names unknown keys."""
        known = {field.name for field in fields(cls)}
        if unknown := set(data) - known:
            raise ValueError(f"unknown sampler settings {sorted(unknown)}; known: {sorted(known)}")
        return cls(**data)


def config_of(checkpoint: Checkpoint) -> SamplerConfig:
    """Returns the settings of a checkpoint's sampler. Raises WeightsError if no sampler can have them."""
    try:
        return SamplerConfig.from_dict(checkpoint.sampler_config)
    except (ValueError, TypeError) as error:
        raise misfit(checkpoint, error) from error


def misfit(checkpoint: Checkpoint, why: object) -> WeightsError:
    """Returns the error for a sampler whose weights and settings disagree."""
    assert checkpoint.sampler is not None
    path = checkpoint.sampler / MODEL_FILE
    return WeightsError(f"{path} does not fit its config.json: {why}", "train or download it again")
