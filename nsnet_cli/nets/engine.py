"""The interface of engines, which run a checkpoint's three networks. `nets/build.py` chooses one."""

from __future__ import annotations

import os
from typing import Protocol

import numpy as np

from nsnet_cli.errors import NsnetError, WeightsError
from nsnet_cli.media import InputSpec
from nsnet_cli.nets.cost import FrameCost
from nsnet_cli.records import dataclass


@dataclass(frozen=True, slots=True)
class Saliency:
    """The sampler's output for T preview frames. Each field is (T,) in [0, 1]."""

    fsm: np.ndarray
    vgm: np.ndarray
    combined: np.ndarray

    def __post_init__(self) -> None:
        if not np.isfinite(self.combined).all():
            raise WeightsError(
                "the sampler's saliency is not a number", "run nsnet models verify: its weights are damaged"
            )


class Engine(Protocol):
    """Runs a checkpoint's three networks. Safe to call from several threads."""

    name: str
    """The engine and its device. Results depend on it, because another one rounds differently."""
    precision: str
    """Precision of the image networks: 'f32', 'f16' or 'bf16'; 'int8' of the preview network."""
    cost: FrameCost
    lanes: int
    """Calls that it can take at the same time."""
    splits: int
    """Parts into which a caller splits many views, to call it from as many threads. 1: it makes its own batches."""
    input: InputSpec
    """What the recogniser takes as one view."""
    widths: tuple[int, int]
    """Number of features from the preview network per frame, and from the recogniser per view."""

    def load(self) -> None:
        """Waits until the preview network is ready: it may load while a video is decoded. Raises WeightsError."""
        ...

    def preview(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """pixels (N, S, S, 3) uint8 -> features (N, D), logits (N, C), float32."""
        ...

    def saliency(self, features: np.ndarray, logits: np.ndarray, times: np.ndarray) -> Saliency:
        """features (T, D), logits (T, C), times (T,) = pts_s / duration -> Saliency. Needs a sampler."""
        ...

    def recognise(self, views: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """views (K, F, S, S, 3) uint8 -> features (K, D2), logits (K, C0), float32. If F is 1: (K, S, S, 3) too.

        A checkpoint's head turns both into scores of tags.
        """
        ...


def fitting_views(views: np.ndarray, spec: InputSpec) -> np.ndarray:
    """Returns views as the network takes them: (K, F, S, S, 3), or (K, S, S, 3) if F is 1. Raises ValueError."""
    frames = spec.frames
    if frames == 1 and views.ndim == 5 and views.shape[1] == 1:
        return views[:, 0]
    if views.ndim != 4 + (frames > 1) or (frames > 1 and views.shape[1] != frames):
        wanted = f"(K, {frames}, S, S, 3)" + (" or (K, S, S, 3)" if frames == 1 else "")
        raise ValueError(f"views must be {wanted} for this recogniser, got {views.shape}")
    return views


def check_not_forked(made_by: int) -> None:
    """Raises NsnetError in a fork: networks and threads do not survive one, and the first call would wait for ever."""
    if os.getpid() != made_by:
        raise NsnetError(
            f"this tagger was made in process {made_by} and cannot work in a fork of it",
            'make it in the process that uses it, or start processes with multiprocessing.get_context("spawn")',
        )
