"""Training sequences: preview features of one video with times and labels, and padded batches of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from nsnet_cli.records import dataclass


@dataclass(frozen=True, slots=True, repr=False)
class FeatureSequence:
    """Preview of one video. Features and logits may be arrays that stay in their files: np.asarray reads them.

    `salient` is the known answer if segments were given. It is for metrics; training never reads it.
    """

    features: np.ndarray  # (T, D) float16 or float32
    times: np.ndarray  # (T,) pts_s / duration, in [0, 1]
    labels: tuple[int, ...]  # indices into the vocabulary; several for a multi-label video
    logits: np.ndarray | None = None  # (T, C) of the preview network; needed for the fixed vocabulary
    salient: np.ndarray | None = None  # (T,) bool
    name: str = ""
    recogniser: np.ndarray | None = None
    """(T, C) logits of the recogniser, if it saw every frame."""

    def __post_init__(self) -> None:
        t = len(self.times)
        if self.features.ndim != 2 or len(self.features) != t or t == 0:
            raise ValueError(
                f"{self.name or 'sequence'}: features must be ({t}, D) and T > 0, got {self.features.shape}"
            )
        if self.logits is not None and len(self.logits) != t:
            raise ValueError(f"{self.name or 'sequence'}: {len(self.logits)} rows of logits for {t} frames")
        if self.recogniser is not None and len(self.recogniser) != t:
            raise ValueError(f"{self.name or 'sequence'}: {len(self.recogniser)} rows of the recogniser for {t} frames")
        if self.salient is not None and len(self.salient) != t:
            raise ValueError(f"{self.name or 'sequence'}: {len(self.salient)} salient marks for {t} frames")
        if not self.labels:
            raise ValueError(f"{self.name or 'sequence'}: no label")

    def __len__(self) -> int:
        return len(self.times)

    def __repr__(self) -> str:
        return f"FeatureSequence({self.name!r}, features={self.features.shape}, labels={self.labels})"


class Batch(NamedTuple):
    """Sequences padded at the end. The mask is False there and the pseudo label IGNORED."""

    features: Tensor  # (B, T, D) float32
    logits: Tensor | None  # (B, T, C) float32
    times: Tensor  # (B, T)
    mask: Tensor  # (B, T) bool
    labels: Tensor  # (B, C) float: 1 for each of the video's classes
    pseudo: Tensor  # (B, T) int64: class, C = non-salient, IGNORED

    def to(self, device: torch.device) -> Batch:
        return Batch._make(None if tensor is None else tensor.to(device) for tensor in self)


IGNORED = -1


def collate(sequences: Sequence[FeatureSequence], classes: int, pseudo: Sequence[np.ndarray]) -> Batch:
    """Pads to the longest sequence. `pseudo`: (T,) pseudo labels of each sequence."""
    size, length = len(sequences), max(len(s) for s in sequences)
    features = torch.zeros(size, length, sequences[0].features.shape[1])
    logits = None if sequences[0].logits is None else torch.zeros(size, length, sequences[0].logits.shape[1])
    times, mask = torch.zeros(size, length), torch.zeros(size, length, dtype=torch.bool)
    labels, targets = torch.zeros(size, classes), torch.full((size, length), IGNORED)
    for row, (sequence, target) in enumerate(zip(sequences, pseudo, strict=True)):
        t = len(sequence)
        features[row, :t] = torch.as_tensor(np.asarray(sequence.features))
        if logits is not None:
            logits[row, :t] = torch.as_tensor(np.asarray(sequence.logits))
        times[row, :t] = torch.as_tensor(sequence.times)
        mask[row, :t] = True
        labels[row, list(sequence.labels)] = 1
        targets[row, :t] = torch.as_tensor(target)
    return Batch(features, logits, times, mask, labels, targets)
