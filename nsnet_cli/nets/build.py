"""Which engine runs a checkpoint: the exported networks on the CPU, or torch where a GPU is worth its start."""

from __future__ import annotations

import logging
import sys

from nsnet_cli.errors import DeviceError, WeightsError
from nsnet_cli.nets.engine import Engine
from nsnet_cli.weights.checkpoint import CONFIG_FILE, Checkpoint

logger = logging.getLogger(__name__)

DEVICES = ("auto", "cpu", "torch-cpu", "cuda", "mps")
HEAVY_GFLOPS = 30.0
"""A recogniser that takes as much per view is heavy: it is worth the start of a GPU.

That start takes about 17 s, more than a lighter one needs on two cores for a dozen videos. ViT-L/16 at 224 px takes
61.6 GFLOPs, ViT-B/16 17.6, ResNet-50 4.1.
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
    engine = _engine(checkpoint, device)
    check_widths(checkpoint, *engine.widths)
    return engine


def _engine(checkpoint: Checkpoint, device: str) -> Engine:
    if device == "cpu":
        from nsnet_cli.nets.cpu_engine import CpuEngine

        return CpuEngine(checkpoint)
    from nsnet_cli.nets.torch_engine import TorchEngine

    return TorchEngine(checkpoint, "cpu" if device == "torch-cpu" else device)


def auto_device(recogniser_gflops: float, *, gpu: bool) -> str:
    """The device of `--device auto`: a GPU is worth its start only where a frame costs much."""
    return "cuda" if gpu and recogniser_gflops >= HEAVY_GFLOPS else "cpu"


def frame_gflops(checkpoint: Checkpoint) -> float:
    """GFLOPs that the recogniser takes per frame: from its export, or else from its architecture.

    The architecture needs torch, which a first run needs on either device.
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
    """Whether sampler and head were made for networks of so many features. Raises WeightsError."""
    if checkpoint.sampler is None:  # the image networks alone
        return
    made_for = checkpoint.sampler_config["features"]
    if made_for != preview:
        name = checkpoint.preview.network.name
        raise WeightsError(
            f"{checkpoint.sampler / CONFIG_FILE}: sampler.features: {made_for}, where {name} gives {preview}",
            "train or download the checkpoint again",
            "bad_tensors",
        )
    checkpoint.head.check_width(recogniser, checkpoint.recogniser.network.name)


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
