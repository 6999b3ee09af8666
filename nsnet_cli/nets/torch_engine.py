"""The torch engine: GPUs, and the reference that the CPU engine's outputs are tested against.

It imports no torch itself: a thread loads torch and the networks while the first videos are decoded. Many threads may
call it at once. Their frames are put together into batches, see `nets/batching.py`.
"""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nsnet_cli.errors import WeightsError
from nsnet_cli.nets.batching import Batcher
from nsnet_cli.nets.cost import FrameCost, sampler_gflops
from nsnet_cli.nets.engine import Saliency, fitting_views
from nsnet_cli.nets.exports import Export, Exports
from nsnet_cli.nets.sampler_config import config_of
from nsnet_cli.stopwatch import stage
from nsnet_cli.weights.checkpoint import Checkpoint
from nsnet_cli.weights.rows import NetworkUse

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

MOST_FRAMES = 64
"""Most frames that a network computes at once. The networks of clips take as many frames in fewer views."""
CALLS = 64
"""Calls that may wait for batches at the same time."""


class TorchEngine:
    """Runs a checkpoint in torch on `device` ('cpu', 'cuda', 'mps'); half precision by autocast on cuda."""

    lanes, splits = CALLS, 1

    def __init__(self, checkpoint: Checkpoint, device: str) -> None:
        """Returns once it is known what the networks cost and give. Raises WeightsError."""
        self.name = f"torch-{device}"
        self.precision = "f16" if device == "cuda" else "f32"
        self.input = checkpoint.recogniser.input
        self._device = device
        sampler = sampler_gflops(config_of(checkpoint)) if checkpoint.sampler else 0.0
        self._exports = Exports()  # kept: while it lives, its networks stay in the cache
        preview, recogniser = (self._kept(use) for use in (checkpoint.preview, checkpoint.recogniser))
        self.widths = (preview[1]["widths"][0], recogniser[1]["widths"][0])
        self.cost = FrameCost(preview[1]["gflops"], sampler, recogniser[1]["gflops"])
        pool = ThreadPoolExecutor(1, thread_name_prefix="load")  # in the order in which they are needed
        self._preview = pool.submit(self._open, checkpoint.preview, *preview, "preview network")
        self._sampler = pool.submit(self._open_sampler, checkpoint) if checkpoint.sampler else None
        self._recogniser = pool.submit(self._open, checkpoint.recogniser, *recogniser, "recogniser")
        pool.shutdown(wait=False)

    def load(self) -> None:
        self._preview.result()

    def preview(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return _called(self._preview, pixels)

    def recognise(self, views: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return _called(self._recogniser, fitting_views(views, self.input))

    def saliency(self, features: np.ndarray, logits: np.ndarray, times: np.ndarray) -> Saliency:
        if self._sampler is None:
            raise WeightsError("this checkpoint has no sampler", "use --policy confidence")
        return Saliency(*self._sampler.result()(features, logits, times))

    # ---- loading ----

    def _kept(self, use: NetworkUse) -> tuple[Export | None, dict[str, Any]]:
        """What is kept of a network in the cache, made on first use, and what is known of it."""
        try:
            export = self._exports.torch_network(use, self._device)
            return export, self._exports.meta(export)
        except WeightsError as error:
            if error.kind not in ("no_space", "cache_not_writable"):
                raise
            logger.debug("%s is not kept: %s", use.network.name, error)
        from nsnet_cli.nets.torch_graph import counted

        return None, counted(use)

    def _open(self, use: NetworkUse, export: Export | None, meta: dict[str, Any], name: str) -> Batcher:
        with stage("importing torch"):
            from nsnet_cli.nets.torch_networks import opened

        folder: Path | None = None
        with stage(f"loading the {name}"):
            if export is not None and meta["traced"]:
                folder = self._exports.whole(export)
            network = opened(use, folder, self._device)
        return Batcher(network.start, max(1, MOST_FRAMES // use.network.frames), name)

    def _open_sampler(self, checkpoint: Checkpoint) -> Callable[..., list[np.ndarray]]:
        from nsnet_cli.nets.torch_networks import opened_sampler

        with stage("loading the sampler"):
            return opened_sampler(checkpoint, self._device)


def _called(network: Future[Batcher], views: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    features, logits = network.result()(views)
    return features, logits
