"""What an engine is: it runs a checkpoint's three networks. `nets/build.py` picks one of those that there are."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from nsnet_cli.errors import NsnetError, WeightsError
from nsnet_cli.media import InputSpec
from nsnet_cli.nets.cost import FrameCost


@dataclass(frozen=True, slots=True)
class Saliency:
    """What the sampler says of T preview frames, each (T,) in [0, 1]."""

    fsm: np.ndarray
    vgm: np.ndarray
    combined: np.ndarray

    def __post_init__(self) -> None:
        if not np.isfinite(self.combined).all():
            raise WeightsError("the sampler's saliency is not a number", "its weights are damaged: nsnet models verify")


class Engine(Protocol):
    """Runs a checkpoint's three networks. Safe to call from several threads."""

    name: str
    """The engine and its device: another one gives other rounding, so a result depends on it."""
    precision: str
    """In which the networks compute: 'f32' or 'f16'."""
    cost: FrameCost
    lanes: int
    """Calls that it carries out side by side: a caller with many frames shares them out among so many threads."""
    input: InputSpec
    """A view, as the recogniser wants it."""
    widths: tuple[int, int]
    """Features that the preview network gives per frame, and the recogniser per view."""

    def load(self) -> None:
        """Wait until the preview network is ready: it may be loading behind the decoding. Raises WeightsError."""
        ...

    def preview(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """pixels (N, S, S, 3) uint8 -> features (N, D), logits (N, C), float32."""
        ...

    def saliency(self, features: np.ndarray, logits: np.ndarray, times: np.ndarray) -> Saliency:
        """features (T, D), logits (T, C), times (T,) = pts_s / duration -> Saliency. Needs a sampler."""
        ...

    def recognise(self, views: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """views (K, F, S, S, 3) uint8 -> features (K, D2), logits (K, C0), float32. Where F is 1: (K, S, S, 3) too.

        A checkpoint's head turns both into scores of tags.
        """
        ...


def single_frames(views: np.ndarray) -> np.ndarray:
    """(K, 1, S, S, 3) or (K, S, S, 3) -> (K, S, S, 3), for networks that look at one frame. Raises ValueError."""
    if views.ndim == 5 and views.shape[1] == 1:
        return views[:, 0]
    if views.ndim != 4:
        raise ValueError(f"views must be (K, 1, S, S, 3) or (K, S, S, 3) for this recogniser, got {views.shape}")
    return views


def check_not_forked(made_by: int) -> None:
    """Networks and threads do not survive a fork: the first call would wait for ever. Raises NsnetError."""
    if os.getpid() != made_by:
        raise NsnetError(
            f"this tagger was made in process {made_by} and came here by a fork, which its networks do not survive",
            'make it in the process that uses it, or start processes by multiprocessing.get_context("spawn")',
        )
