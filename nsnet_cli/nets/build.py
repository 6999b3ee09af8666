"""Makes the engine for a checkpoint: exported networks on the CPU, or torch on another device."""

from __future__ import annotations

import logging

from nsnet_cli.cores import usable_cores
from nsnet_cli.errors import DeviceError, WeightsError
from nsnet_cli.nets.auto import NO_GPU, Choice, Workload, choose, driver_is_installed, no_cuda
from nsnet_cli.nets.cost import FrameCost
from nsnet_cli.nets.engine import Engine
from nsnet_cli.weights.checkpoint import CONFIG_FILE, Checkpoint
from nsnet_cli.weights.rows import NetworkUse
from nsnet_cli.weights.text_head import TextHead

logger = logging.getLogger(__name__)

DEVICES = ("auto", "cpu", "torch-cpu", "cuda", "mps")


def build_engine(
    checkpoint: Checkpoint, device: str = "auto", work: Workload | None = None, *, fast: bool = False
) -> Engine:
    """The engine for a device: 'cpu' runs exported networks without torch, 'cuda' / 'mps' / 'torch-cpu' run torch.

    'auto' is what is faster for the work, see `nets/auto.py`. A first run has to export, which takes seconds. `fast`:
    with less precision on the CPU, as `cpu_engine.fast_precision` says. Raises DeviceError, WeightsError.
    """
    if device not in DEVICES:
        raise DeviceError(f"no device named {device!r}", f"known: {', '.join(DEVICES)}")
    if fast and device not in ("auto", "cpu"):
        raise DeviceError(f"--fast is for the CPU engine, not for --device {device}", "leave out one of them")
    if device == "auto":
        choice = _chosen(checkpoint, work or Workload())
        device = choice.device
        logger.debug("device: %s: %s", device, choice.why)
        if fast and device != "cpu":
            logger.info("--fast changes nothing on a GPU, which computes in half precision anyway")
    if device == "cuda" and (why := no_cuda()):
        raise DeviceError(f"--device cuda: {why}", "use --device cpu")
    if isinstance(checkpoint.head, TextHead):
        from nsnet_cli.nets.text import prepare_references, prepare_words

        prepare_words(checkpoint.head)  # first: a word that is too long is told before networks are made
    engine = _engine(checkpoint, device, fast)
    if isinstance(checkpoint.head, TextHead):
        prepare_references(checkpoint.head, engine.recognise)
    check_widths(checkpoint, *engine.widths)
    return engine


def _engine(checkpoint: Checkpoint, device: str, fast: bool) -> Engine:
    if device == "cpu":
        from nsnet_cli.nets.cpu_engine import CpuEngine, fast_precision

        precision = fast_precision(checkpoint) if fast else "f32"
        if fast and precision == "f32":
            name = checkpoint.preview.network.name
            logger.info("--fast changes nothing: this CPU has no bf16, and cannot run %s in 8 bits", name)
        return CpuEngine(checkpoint, precision)
    from nsnet_cli.nets.torch_engine import TorchEngine

    return TorchEngine(checkpoint, "cpu" if device == "torch-cpu" else device)


def _chosen(checkpoint: Checkpoint, work: Workload) -> Choice:
    if not driver_is_installed():
        return Choice("cpu", NO_GPU)
    preview, recogniser = (view_gflops(checkpoint, use) for use in (checkpoint.preview, checkpoint.recogniser))
    cost = FrameCost(preview, 0.0, recogniser)  # the sampler is so cheap that it does not matter
    choice = choose(work.gflops(cost), work.videos, usable_cores())
    if choice.device != "cpu" and (why := no_cuda()):  # asked last: it takes longer than the CPU needs for a clip
        return Choice("cpu", why)
    return choice


def other_engines(device: str) -> tuple[tuple[str, str], ...]:
    """Names and precisions of the engines that 'auto' chooses from here. None for another device.

    A run with fewer videos may get another engine than the last one. What that one found is as good. What `--fast`
    found on the CPU is not.
    """
    return (("cpu", "f32"), ("torch-cuda", "f16")) if device == "auto" and driver_is_installed() else ()


def view_gflops(checkpoint: Checkpoint, use: NetworkUse) -> float:
    """Returns the GFLOPs per view of a network: as counted when it was exported, or else of its architecture.

    The architecture needs torch, but so does a first run on either device.
    """
    from nsnet_cli.nets.cpu_engine import PREVIEW_BATCH, RECOGNISER_BATCH
    from nsnet_cli.nets.exports import Exports

    batch = PREVIEW_BATCH if use == checkpoint.preview else RECOGNISER_BATCH
    known = Exports().known_gflops(use, batch)
    if known is not None:
        return known
    from nsnet_cli.nets.flops import architecture_gflops

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
