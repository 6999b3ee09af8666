"""Heads turn a recogniser's outputs into scores of tags.

A recogniser gives features, and the logits of its own classifier. The checkpoint, not the recogniser, decides which
head turns them into scores. No numpy at the top: `nsnet tag` reads a checkpoint before there is time to import it.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from nsnet_cli.errors import WeightsError
from nsnet_cli.records import dataclass
from nsnet_cli.types import TagName
from nsnet_cli.weights.keys import HINT

if TYPE_CHECKING:
    import numpy as np


class Head(Protocol):
    """Scores of a vocabulary. Safe to call from several threads."""

    @property
    def vocabulary(self) -> tuple[TagName, ...]:
        """The tags, in the order of the scores."""
        ...

    @property
    def multi_label(self) -> bool:
        """Whether scores are independent. Otherwise they sum to one."""
        ...

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that can change a score, ready for JSON. It is part of the checkpoint's hash."""
        ...

    def check_width(self, features: int, network: str) -> None:
        """Raises WeightsError if this head cannot use `features` numbers per view of `network`."""
        ...

    def scores(self, features: np.ndarray, logits: np.ndarray) -> np.ndarray:
        """features (K, D), logits (K, C0) of the recogniser's own classifier -> scores (K, C) in [0, 1]."""
        ...


@dataclass(frozen=True, slots=True)
class OwnClassifier:
    """The recogniser's own classifier: its classes are the tags."""

    vocabulary: tuple[TagName, ...]
    multi_label: bool = False
    """Each score is independent (sigmoid). Otherwise they sum to one (softmax)."""

    @property
    def identity(self) -> dict[str, Any]:
        return {"head": "classifier", "tags": _pairs(self.vocabulary), "multi_label": self.multi_label}

    def check_width(self, features: int, network: str) -> None: ...

    def scores(self, features: np.ndarray, logits: np.ndarray) -> np.ndarray:
        return probabilities(logits, multi_label=self.multi_label)


@dataclass(frozen=True)
class LinearHead:
    """The user's own tags: a linear layer on the recogniser's features."""

    vocabulary: tuple[TagName, ...]
    multi_label: bool
    file: Path
    """A model.safetensors with head.weight (C, D) and head.bias (C,), read for the first scores."""
    sha256: str
    """The sha256 of `file`."""

    @property
    def identity(self) -> dict[str, Any]:
        tags = _pairs(self.vocabulary)
        return {"head": "linear", "tags": tags, "multi_label": self.multi_label, "sha256": self.sha256}

    def check_width(self, features: int, network: str) -> None:
        shape = self._tensors[0].shape
        if shape[1] != features:
            raise WeightsError(
                f"{self.file}: head.weight has shape {shape}, {network} gives {features} features", HINT, "bad_tensors"
            )

    def scores(self, features: np.ndarray, logits: np.ndarray) -> np.ndarray:
        return linear_scores(features, *self._tensors, multi_label=self.multi_label)

    @cached_property
    def _tensors(self) -> tuple[np.ndarray, np.ndarray]:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.file, framework="numpy") as tensors:
                return tensors.get_tensor("head.weight"), tensors.get_tensor("head.bias")
        except (OSError, SafetensorError) as error:
            raise WeightsError(f"cannot read {self.file}: {error}", HINT, "bad_tensors") from error


def linear_scores(features: np.ndarray, weight: np.ndarray, bias: np.ndarray, *, multi_label: bool) -> np.ndarray:
    """features (K, D), weight (C, D), bias (C,) -> scores (K, C) in [0, 1]."""
    return probabilities(features @ weight.T + bias, multi_label=multi_label)


def probabilities(logits: np.ndarray, *, multi_label: bool) -> np.ndarray:
    """Softmax along the last axis, or the sigmoid of each. Raises WeightsError for NaN and infinity."""
    import numpy as np

    if not np.isfinite(logits).all():
        raise WeightsError(
            "the recogniser's scores are not numbers",
            "its weights may be damaged; check them with: nsnet models verify",
        )
    return np.asarray(1 / (1 + np.exp(-logits))) if multi_label else softmax(logits)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax along the last axis. Of no classes, as an image tower has, nothing."""
    import numpy as np

    if not logits.shape[-1]:
        return logits
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(-1, keepdims=True))


def _pairs(vocabulary: tuple[TagName, ...]) -> list[tuple[str, str]]:
    return [(tag.id, tag.name) for tag in vocabulary]
