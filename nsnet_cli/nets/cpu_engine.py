"""The CPU engine: image networks exported once per machine, run by OpenVINO. Only the exports need torch.

Loading overlaps with decoding the first video. The constructor makes exports that are missing, and returns. A thread
compiles the graphs, and the first call that needs one waits for it. The sampler runs in numpy.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from nsnet_cli.cores import usable_cores
from nsnet_cli.errors import WeightsError
from nsnet_cli.nets.cost import FrameCost, sampler_gflops
from nsnet_cli.nets.engine import Saliency, fitting_views
from nsnet_cli.nets.exports import Export, Exports
from nsnet_cli.nets.quantised import ranges_of
from nsnet_cli.nets.sampler_config import config_of
from nsnet_cli.nets.sampler_numpy import load_numpy_sampler
from nsnet_cli.nets.telemetry import no_telemetry
from nsnet_cli.weights.checkpoint import Checkpoint

if TYPE_CHECKING:
    import openvino

PREVIEW_BATCH = 4
RECOGNISER_BATCH = 1
"""Views that a compiled graph takes.

Fixed, because a graph for any number prepares itself again for each new number (40 to 75 ms, measured). With eight a
preview frame costs 2 % less, but more of the last batch is padding. The recogniser sees too few frames to gain from
more than one.
"""


class CpuEngine:
    """Runs a checkpoint on the CPU."""

    name = "cpu"

    def __init__(self, checkpoint: Checkpoint, precision: str = "f32") -> None:
        """`precision`: 'f32', 'bf16' of both image networks, or 'int8' of the preview network.

        The recogniser in 8 bits would be 1.4 times as fast, but its first tags are wrong more often.
        """
        self.precision = precision
        self.lanes = self.splits = usable_cores()
        self.input = checkpoint.recogniser.input
        self._preview_side = checkpoint.preview.size_px
        sampler = sampler_gflops(config_of(checkpoint)) if checkpoint.sampler else 0.0
        self._exports = exports = Exports()  # kept: while it lives, its graphs stay in the cache
        preview = exports.classifier(checkpoint.preview, PREVIEW_BATCH, int8=precision == "int8")
        recogniser = exports.classifier(checkpoint.recogniser, RECOGNISER_BATCH)
        metas = [exports.meta(preview), exports.meta(recogniser)]
        self.widths = (metas[0]["widths"][0], metas[1]["widths"][0])
        self.cost = FrameCost(metas[0]["gflops"], sampler, metas[1]["gflops"])
        pool = ThreadPoolExecutor(1, thread_name_prefix="compile")  # in the order in which they are needed
        hint = "bf16" if precision == "bf16" else "f32"
        self._preview = pool.submit(loaded, exports, preview, hint)
        self._sampler = pool.submit(load_numpy_sampler, checkpoint) if checkpoint.sampler else None
        self._recogniser = pool.submit(loaded, exports, recogniser, hint)
        pool.shutdown(wait=False)

    def load(self) -> None:
        self._preview.result()

    def preview(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        features, logits = self._preview.result()(shrink(pixels, self._preview_side))
        return features, logits

    def recognise(self, views: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        features, logits = self._recogniser.result()(fitting_views(views, self.input))
        return features, logits

    def saliency(self, features: np.ndarray, logits: np.ndarray, times: np.ndarray) -> Saliency:
        if self._sampler is None:
            raise WeightsError("this checkpoint has no sampler", "use --policy confidence")
        return Saliency(*self._sampler.result()(features, logits, times))


def fast_precision(checkpoint: Checkpoint) -> str:
    """Returns 'bf16' where the CPU computes in it, else 'int8', or 'f32' if the preview network has no ranges."""
    with no_telemetry():
        import openvino

    can = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if "BF16" in can:
        return "bf16"
    return "int8" if "INT8" in can and ranges_of(checkpoint.preview) else "f32"


def shrink(pixels: np.ndarray, side_px: int) -> np.ndarray:
    """Shrinks square frames by area mean: (N, S, S, 3) uint8 -> (N, side_px, side_px, 3) uint8.

    This is done outside the graph, whose own pooling takes six times as long.
    """
    side = pixels.shape[1]
    if side == side_px:
        return pixels
    if side == 2 * side_px:  # the usual case, which needs no import of Pillow
        rows = pixels.reshape(-1, 2, side * 3)
        pairs = np.add(rows[:, 0], rows[:, 1], dtype=np.uint16).reshape(-1, 6)  # each two pixels side by side
        small = np.empty((len(pairs), 3), np.uint8)
        for colour in range(3):  # not all at once: numpy is seven times slower where the last axis has three numbers
            small[:, colour] = (pairs[:, colour] + pairs[:, colour + 3] + 2) >> 2
        return small.reshape(-1, side_px, side_px, 3)
    from PIL import Image

    images = (Image.fromarray(frame) for frame in pixels)
    return np.stack([np.asarray(image.resize((side_px, side_px), Image.Resampling.BOX)) for image in images])


class Graph:
    """A compiled graph that several threads can call, each with a request of its own.

    `batch`: views that it takes at once. More are run in turn, fewer are padded.
    """

    def __init__(self, compiled: openvino.CompiledModel, batch: int) -> None:
        self._compiled = compiled
        self._outputs = len(compiled.outputs)
        self._batch = batch
        self._local = threading.local()

    def __call__(self, views: np.ndarray) -> list[np.ndarray]:
        parts = [self._filled(views[i : i + self._batch]) for i in range(0, len(views), self._batch)]
        return [np.concatenate(output) for output in zip(*parts, strict=True)]

    def _filled(self, views: np.ndarray) -> list[np.ndarray]:
        count = len(views)
        if count < self._batch:
            views = np.concatenate([views, np.zeros((self._batch - count, *views.shape[1:]), views.dtype)])
        return [output[:count] for output in self._infer(views)]

    def _infer(self, views: np.ndarray) -> list[np.ndarray]:
        if not hasattr(self._local, "request"):
            self._local.request = self._compiled.create_infer_request()
        outputs = self._local.request.infer([np.ascontiguousarray(views)], share_inputs=True)
        return [np.array(outputs[i]) for i in range(self._outputs)]  # copies: the request reuses its buffers


def loaded(exports: Exports, export: Export, precision: str = "f32") -> Graph:
    """Returns the graph of an export, ready to run in a precision of floats. Raises WeightsError."""
    with no_telemetry():
        import openvino

    # Two threads that make the first tensors of a process at the same time can deadlock: OpenVINO 2026.4 takes its own
    # lock and Python's in either order. So the first tensor is made here, before there is a graph.
    openvino.Tensor(np.zeros(1, np.uint8))
    lanes = usable_cores()
    settings = {
        # one thread per request, one request per core: cheaper than several threads that wait for each other
        "NUM_STREAMS": lanes,
        "INFERENCE_NUM_THREADS": lanes,
        "INFERENCE_PRECISION_HINT": precision,
        # not bound to cores: a decode process may have the one that a thread is bound to, while another is free
        "ENABLE_CPU_PINNING": False,
    }
    assert export.batch is not None
    return Graph(exports.compile(export, settings), export.batch)
