"""Chooses the engine for a checkpoint: exported networks on the CPU, or torch if a GPU is worth its start."""

from __future__ import annotations

import logging
import sys

from nsnet_cli.errors import DeviceError, WeightsError
from nsnet_cli.nets.engine import Engine
from nsnet_cli.weights.checkpoint import CONFIG_FILE, Checkpoint
from nsnet_cli.weights.text_head import TextHead

logger = logging.getLogger(__name__)

DEVICES = ("auto", "cpu", "torch-cpu", "cuda", "mps")
HEAVY_GFLOPS = 30.0
"""A recogniser that takes this much per view is worth starting a GPU for.

The start takes about 17 s, longer than a lighter recogniser needs for a dozen videos on two cores. At 224 px, ViT-L/16
takes 61.6 GFLOPs, ViT-B/16 17.6, ResNet-50 4.1.
"""


def build_engine(checkpoint: Checkpoint, device: str = "auto") -> Engine:
    """The engine for a device: 'cpu' runs exported networks without torch, 'cuda' / 'mps' / 'torch-cpu' run torch.

    'auto' is 'cpu', but 'cuda' for a heavy recogniser where the NVIDIA driver answers. A first run has to export, which
    takes seconds. Raises DeviceError, WeightsError.
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
                logger.info("%s takes %.0f GFLOPs per frame: using the GPU (--device cpu does not)", name, gflops)
    if isinstance(checkpoint.head, TextHead):
        from nsnet_cli.nets.text import prepare_references, prepare_words

        prepare_words(checkpoint.head)  # first: a word that is too long is told before networks are made
    engine = _engine(checkpoint, device)
    if isinstance(checkpoint.head, TextHead):
        prepare_references(checkpoint.head, engine.recognise)
    check_widths(checkpoint, *engine.widths)
    return engine


def _engine(checkpoint: Checkpoint, device: str) -> Engine:
    if device == "cpu":
        from nsnet_cli.nets.cpu_engine import CpuEngine

        return CpuEngine(checkpoint)
    from nsnet_cli.nets.torch_engine import TorchEngine

    return TorchEngine(checkpoint, "cpu" if device == "torch-cpu" else device)


def auto_device(recogniser_gflops: float, *, gpu: bool) -> str:
    """Returns the device for `--device auto`: a GPU only for a heavy recogniser."""
    return "cuda" if gpu and recogniser_gflops >= HEAVY_GFLOPS else "cpu"


def frame_gflops(checkpoint: Checkpoint) -> float:
    """Returns the recogniser's GFLOPs per frame: from its export, or else from its architecture.

    The architecture needs torch, but so does a first run on either device.
    """
    from nsnet_cli.nets.cpu_engine import RECOGNISER_BATCH
    from nsnet_cli.nets.exports import Exports

    use = checkpoint.recogniser
    known = Exports(checkpoint).known_gflops(use, RECOGNISER_BATCH)
    if known is not None:
        return known
    from nsnet_cli.nets.torch_engine import architecture_gflops

    return architecture_gflops(use)


def check_widths(checkpoint: Checkpoint, preview: int, recogniser: int) -> None:
    """Raises WeightsError if sampler or head were made for networks with another number of features."""
    checkpoint.head.check_width(recogniser, checkpoint.recogniser.network.name)
    if checkpoint.sampler is None:  # only image networks
        return
    made_for = checkpoint.sampler_config["features"]
    if made_for != preview:
        name = checkpoint.preview.network.name
        raise WeightsError(
            f"{checkpoint.sampler / CONFIG_FILE}: sampler.features is {made_for}, but {name} gives {preview}",
            "train or download the checkpoint again",
            "bad_tensors",
        )


def _cuda_present() -> bool:
    """Whether there is an NVIDIA GPU. Asks its driver: importing torch would take two seconds."""
    import ctypes

    # By name: ctypes.util.find_library would run a compiler, if one is installed, for 70 ms.
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        count = ctypes.c_int(0)
        return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
    except (OSError, AttributeError):
        return False
