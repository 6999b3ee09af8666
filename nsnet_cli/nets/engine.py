"""The engine runs the networks: one protocol, two ways to carry it out (CPU engine, torch), one place that picks."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from nsnet_cli.errors import DeviceError, NsnetError
from nsnet_cli.nets.cost import FrameCost

if TYPE_CHECKING:
    from nsnet_cli.weights.checkpoint import Checkpoint

DEVICES = ("auto", "cpu", "torch-cpu", "cuda", "mps")


@dataclass(frozen=True, slots=True)
class Saliency:
    """What the sampler says of T preview frames, each (T,) in [0, 1]."""

    fsm: np.ndarray
    vgm: np.ndarray
    combined: np.ndarray


class Engine(Protocol):
    """Runs a checkpoint's three networks. Safe to call from several threads."""

    name: str
    """Kind of device: 'cpu', 'torch-cuda'."""
    precision: str
    """What the image networks reckon in: 'f32', 'f16'."""
    cost: FrameCost
    lanes: int
    """Calls that it carries out side by side: a caller with many frames shares them out among so many threads."""

    def load(self) -> None:
        """Wait until the preview network is ready: it may be loading behind the decoding. Raises WeightsError."""
        ...

    def preview(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """pixels (N, S, S, 3) uint8 -> features (N, D), logits (N, C), float32."""
        ...

    def saliency(self, features: np.ndarray, logits: np.ndarray, times: np.ndarray) -> Saliency:
        """features (T, D), logits (T, C), times (T,) = pts_s / duration -> Saliency. Needs a sampler."""
        ...

    def recognise(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """pixels (N, S, S, 3) uint8 -> features (N, D2), scores (N, vocabulary) in [0, 1]."""
        ...


@dataclass(frozen=True, slots=True)
class TagHead:
    """From the recogniser to the vocabulary: its own logits, or a linear head of the user's tags over its features."""

    weight: np.ndarray | None
    bias: np.ndarray | None
    multi_label: bool

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> TagHead:
        if not checkpoint.head or checkpoint.sampler is None:
            return cls(None, None, checkpoint.multi_label)
        from nsnet_cli.weights.checkpoint import read_tensors

        tensors = read_tensors(checkpoint.sampler)
        return cls(tensors["head.weight"], tensors["head.bias"], checkpoint.multi_label)

    def scores(self, features: np.ndarray, logits: np.ndarray) -> np.ndarray:
        """features (N, D2), logits (N, C2) -> scores (N, C) in [0, 1]: softmax, or sigmoid for multi-label."""
        if self.weight is not None and self.bias is not None:
            logits = features @ self.weight.T + self.bias
        if self.multi_label:
            return np.asarray(1 / (1 + np.exp(-logits)))
        return softmax(logits)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Along the last axis, float32."""
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(-1, keepdims=True))


def build_engine(
    checkpoint: Checkpoint, device: str = "auto", *, say: Callable[[str], None] = lambda message: None
) -> Engine:
    """The engine for a device: 'cpu' runs exported networks without torch, 'cuda' / 'mps' / 'torch-cpu' run torch.

    'auto' is 'cuda' where the NVIDIA driver answers, else 'cpu'. `say` is told when the first run has to export (a wait
    of seconds). Raises DeviceError, WeightsError.
    """
    if device not in DEVICES:
        raise DeviceError(f"no device named {device!r}", f"known: {', '.join(DEVICES)}")
    if device == "auto":
        device = "cuda" if _cuda_present() else "cpu"
    if device == "cpu":
        from nsnet_cli.nets.cpu_engine import CpuEngine

        return CpuEngine(checkpoint, say=say)
    from nsnet_cli.nets.torch_engine import TorchEngine

    return TorchEngine(checkpoint, "cpu" if device == "torch-cpu" else device)


def check_not_forked(made_by: int) -> None:
    """Networks and threads do not survive a fork: the first call would wait for ever. Raises NsnetError."""
    if os.getpid() != made_by:
        raise NsnetError(
            f"this tagger was made in process {made_by} and came here by a fork, which its networks do not survive",
            'make it in the process that uses it, or start processes by multiprocessing.get_context("spawn")',
        )


def _cuda_present() -> bool:
    """Whether an NVIDIA GPU can be expected, found out without the two seconds that importing torch takes."""
    import ctypes

    # By name: ctypes.util.find_library would run a compiler where one is installed, for 70 ms.
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        count = ctypes.c_int(0)
        return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
    except (OSError, AttributeError):
        return False
