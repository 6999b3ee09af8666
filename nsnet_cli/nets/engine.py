"""The engine runs the networks: one protocol, two ways to carry it out (CPU engine, torch), one place that picks."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from nsnet_cli.errors import DeviceError, NsnetError, WeightsError
from nsnet_cli.nets.cost import FrameCost

if TYPE_CHECKING:
    from nsnet_cli.weights.checkpoint import Checkpoint

DEVICES = ("auto", "cpu", "torch-cpu", "cuda", "mps")
HEAVY_GFLOPS = 30.0
"""A recogniser of so much a frame is heavy. Starting a GPU takes about 17 s more than a lighter one needs on two cores
for a dozen videos (ViT-B/16 at 224 px has 17.6, ResNet-50 4.1, ViT-L/16 at 224 px 61.6)."""


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
        if not np.isfinite(logits).all():
            raise WeightsError(
                "the recogniser's scores are not numbers", "its weights are damaged: nsnet models verify"
            )
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

    'auto' is 'cpu', but 'cuda' for a heavy recogniser where the NVIDIA driver answers. `say` is told that, and when the
    first run has to export (a wait of seconds). Raises DeviceError, WeightsError.
    """
    if device not in DEVICES:
        raise DeviceError(f"no device named {device!r}", f"known: {', '.join(DEVICES)}")
    if device == "auto":
        device = "cpu"
        if _cuda_present():
            gflops = frame_gflops(checkpoint)
            device = auto_device(gflops, gpu=True)
            if device != "cpu":
                name = checkpoint.recogniser.network.name
                say(f"{name} takes {gflops:.0f} GFLOPs a frame: using the GPU (--device cpu does not)")
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


def auto_device(recogniser_gflops: float, *, gpu: bool) -> str:
    """The device of `--device auto`: a GPU is worth its start only where a frame costs much."""
    return "cuda" if gpu and recogniser_gflops >= HEAVY_GFLOPS else "cpu"


def frame_gflops(checkpoint: Checkpoint) -> float:
    """GFLOPs of a frame of the recogniser: from its export; where there is none, from its architecture (in torch, which
    the first run on either device needs anyway)."""
    from nsnet_cli.nets.cpu_engine import RECOGNISER_BATCH
    from nsnet_cli.nets.exports import Exports

    use = checkpoint.recogniser
    known = Exports(checkpoint, lambda message: None).known_gflops(use, RECOGNISER_BATCH)
    if known is not None:
        return known
    from nsnet_cli.nets.torch_engine import architecture_gflops

    return architecture_gflops(use)


def check_widths(checkpoint: Checkpoint, head: TagHead, preview: int, recogniser: int) -> None:
    """Whether sampler and head were made for networks of so many features a frame. Raises WeightsError."""
    from nsnet_cli.weights.checkpoint import CONFIG_FILE, MODEL_FILE

    if checkpoint.sampler is None:
        return
    made_for = checkpoint.sampler_config["features"]
    if made_for != preview:
        name = checkpoint.preview.network.name
        raise WeightsError(
            f"{checkpoint.sampler / CONFIG_FILE}: sampler.features: {made_for}, where {name} gives {preview}",
            "train or download the checkpoint again",
            "bad_tensors",
        )
    if head.weight is not None and head.weight.shape[1] != recogniser:
        name = checkpoint.recogniser.network.name
        raise WeightsError(
            f"{checkpoint.sampler / MODEL_FILE}: head.weight has shape {head.weight.shape}, {name} gives {recogniser}"
            " features",
            "train or download the checkpoint again",
            "bad_tensors",
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
