"""Networks in torch on one device. Imports torch, and no library of networks where a traced network is kept."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from nsnet_cli.errors import DeviceError
from nsnet_cli.nets.batching import Answer
from nsnet_cli.nets.sampler import SamplerGraph, load_sampler
from nsnet_cli.weights.checkpoint import Checkpoint
from nsnet_cli.weights.rows import NetworkUse

if TYPE_CHECKING:
    from nsnet_cli.nets.networks import ViewNetwork

logger = logging.getLogger(__name__)

GRAPH_FILE = "graph.pt"
Network = Callable[[Tensor], tuple[Tensor, Tensor]]
"""views (N, ...) uint8 -> features (N, D), logits (N, C), both on the device."""


class OnDevice:
    """A network on a device. Batches are copied there and back while others are computed."""

    def __init__(self, network: Network, use: NetworkUse, device: str) -> None:
        self._network, self._spec, self.device = network, use.input, torch.device(device)
        cuda = device == "cuda"
        self._pinned = cuda
        self._stream = torch.cuda.Stream() if cuda else None
        if cuda:
            torch.cuda.synchronize()  # the weights were copied on another stream

    def start(self, parts: Sequence[np.ndarray]) -> Callable[[], Answer]:
        """Starts computing views, and returns what waits for features (N, D) and logits (N, C)."""
        count = sum(map(len, parts))
        pixels = torch.empty((self.padded(count), *parts[0].shape[1:]), dtype=torch.uint8, pin_memory=self._pinned)
        at, written = 0, pixels.numpy()
        for part in parts:
            written[at : at + len(part)] = part
            at += len(part)
        written[at:] = 0
        with torch.inference_mode(), torch.cuda.stream(self._stream) if self._stream else nullcontext():
            views = self._shrunk(pixels.to(self.device, non_blocking=True))
            outputs = [self._home(output[:count]) for output in self._network(views)]
            if self._stream is None:
                return lambda: tuple(output.numpy() for output in outputs)
            done = torch.cuda.Event()
            done.record(self._stream)

        def wait() -> Answer:
            done.synchronize()
            return tuple(output.numpy() for output in outputs)

        return wait

    def padded(self, count: int) -> int:
        """Returns how many views to compute for `count`: on a GPU a power of two, since new sizes cost it time."""
        return 1 << (count - 1).bit_length() if self._pinned else count

    def _shrunk(self, pixels: Tensor) -> Tensor:
        """Shrinks frames that are larger than the network's input: the area mean as uint8, as in the CPU engine."""
        side = self._spec.size_px
        if self._spec.frames > 1 or pixels.shape[1] == side:
            return pixels
        planes = F.adaptive_avg_pool2d(pixels.permute(0, 3, 1, 2).float(), side)
        return planes.add(0.5).to(torch.uint8).permute(0, 2, 3, 1)

    def _home(self, output: Tensor) -> Tensor:
        if not self._pinned:
            return output.float().cpu()
        found = torch.empty(output.shape, dtype=torch.float32, pin_memory=True)
        return found.copy_(output.float(), non_blocking=True)


def opened(use: NetworkUse, kept: Path | None, device: str) -> OnDevice:
    """Returns a network on a device: the traced one in the folder `kept`, else a new one. Raises WeightsError."""
    check(device)
    network: Network | None = None
    if kept is not None:
        try:
            with quietly():
                traced = torch.jit.load(kept / GRAPH_FILE, map_location=device).eval()
            network = lambda views: call_traced(traced, views)  # noqa: E731
        except Exception as error:  # such as a version of torch that has no traced networks
            logger.debug("%s: the traced network is not used: %s", use.network.name, error)
    if network is None:
        network = _made(use, device)
    found = OnDevice(network, use, device)
    frame = (use.size_px, use.size_px, 3)
    found.start([np.zeros((1, *([use.network.frames] if use.network.frames > 1 else []), *frame), np.uint8)])()
    return found


def opened_sampler(checkpoint: Checkpoint, device: str) -> Callable[..., list[np.ndarray]]:
    """Returns the sampler on a device: features (T, D), logits (T, C), times (T,) -> fsm, vgm, combined, each (T,)."""
    check(device)
    sampler: Any = SamplerGraph(load_sampler(checkpoint).to(device))
    width = sampler.sampler.config.features
    example = [torch.rand(shape, device=device) for shape in ((9, width), (9, 8), (9,))]
    try:
        with quietly(), torch.no_grad():
            sampler = torch.jit.trace(sampler, example, check_trace=False)
    except Exception as error:  # it runs without, too
        logger.debug("the sampler cannot be traced: %s", error)

    def saliency(*inputs: np.ndarray) -> list[np.ndarray]:
        tensors = [torch.from_numpy(np.asarray(value, np.float32)).to(device) for value in inputs]
        with torch.inference_mode():
            return [output.float().cpu().numpy() for output in call_traced(sampler, *tensors)]

    return saliency


def call_traced(traced: Any, *inputs: Tensor) -> Any:
    """Calls a traced network as it stands. Torch would else spend the first calls on looking for a faster form."""
    with torch.no_grad(), torch.jit.optimized_execution(False):
        return traced(*inputs)


def placed(network: ViewNetwork, device: str) -> ViewNetwork:
    """Moves a network to a device, its weights in the order that suits GPUs."""
    if network.spec.frames > 1:
        return network.to(device)
    return network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def half_precision(network: ViewNetwork, device: str) -> AbstractContextManager[Any]:
    """The precision that a network runs in on a device: half by autocast on NVIDIA GPUs, if it takes that."""
    if device == "cuda" and network.takes_half:
        return torch.autocast("cuda", torch.float16, cache_enabled=False)
    return nullcontext()


def check(device: str) -> None:
    """Raises DeviceError if torch does not see the device."""
    if (device == "cuda" and not torch.cuda.is_available()) or (
        device == "mps" and not torch.backends.mps.is_available()
    ):
        raise DeviceError(f"--device {device}: torch sees no {device} device here", "use --device cpu")


@contextmanager
def quietly() -> Iterator[None]:
    """Hides warnings: of the tracer about checks of shapes, which are constant here, and about its future."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _made(use: NetworkUse, device: str) -> Network:
    from nsnet_cli.nets.families import load_network

    network = placed(load_network(use), device)

    def call(views: Tensor) -> tuple[Tensor, Tensor]:
        with half_precision(network, device):
            features, logits = network(views)
        return features, logits

    return call
