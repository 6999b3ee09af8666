"""The CPU engine: networks exported once per machine, run by OpenVINO. No torch once the exports are there.

Loading is hidden behind the decoding of the first video: the constructor checks that the exports are there (or makes
them) and returns; the graphs are compiled in a thread of their own, and the first call that needs one waits for it.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nsnet_cli.errors import WeightsError
from nsnet_cli.nets.cost import FrameCost
from nsnet_cli.nets.engine import Saliency, TagHead
from nsnet_cli.weights.checkpoint import MODEL_FILE, Checkpoint, network_identity
from nsnet_cli.weights.files import network_file
from nsnet_cli.weights.registry import NetworkUse

if TYPE_CHECKING:
    import openvino

EXPORT_VERSION = 5
"""Raised whenever the graphs change: older exports are then made anew."""
PREVIEW_BATCH = 8
RECOGNISER_BATCH = 1
"""Frames that a compiled graph takes. Fixed, because a graph for any number prepares itself anew for each it meets
(40 to 75 ms, measured); the preview's is where a frame costs least, the recogniser sees too few to gain from more."""
SAMPLER_STEP = 16
"""The sampler is given a multiple of so many frames, some of them padding: each new number costs it 3 ms."""


class CpuEngine:
    """Runs a checkpoint on the CPU. `say` is told when something has to be exported first."""

    name = "cpu"
    precision = "f32"

    def __init__(self, checkpoint: Checkpoint, *, say: Callable[[str], None] = lambda message: None) -> None:
        self.lanes = cpu_threads()
        self._preview_side = checkpoint.preview.size_px
        exports = Exports(checkpoint, say)
        preview = exports.classifier(checkpoint.preview, PREVIEW_BATCH)
        recogniser = exports.classifier(checkpoint.recogniser, RECOGNISER_BATCH)
        sampler = exports.sampler() if checkpoint.sampler else None
        self._head = TagHead.of(checkpoint)
        self.cost = FrameCost(
            exports.gflops(preview), exports.gflops(sampler) if sampler else 0.0, exports.gflops(recogniser)
        )
        pool = ThreadPoolExecutor(1, thread_name_prefix="compile")  # in the order in which they are needed
        self._preview = pool.submit(exports.compile, preview)
        self._sampler = pool.submit(exports.compile, sampler) if sampler else None
        self._recogniser = pool.submit(exports.compile, recogniser)
        pool.shutdown(wait=False)

    def load(self) -> None:
        self._preview.result()

    def preview(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        features, logits = self._preview.result()(shrink(pixels, self._preview_side))
        return features, logits

    def recognise(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        features, logits = self._recogniser.result()(pixels)
        return features, self._head.scores(features, logits)

    def saliency(self, features: np.ndarray, logits: np.ndarray, times: np.ndarray) -> Saliency:
        if self._sampler is None:
            raise WeightsError("this checkpoint has no sampler", "use --policy confidence")
        count, padding = len(times), -len(times) % SAMPLER_STEP
        frames = (np.pad(np.asarray(a, np.float32), ((0, padding), (0, 0))) for a in (features, logits))
        padded_times = np.pad(np.asarray(times, np.float32), (0, padding), constant_values=-1)
        return Saliency(*(out[:count] for out in self._sampler.result()(*frames, padded_times)))


def shrink(pixels: np.ndarray, side_px: int) -> np.ndarray:
    """Area mean of square frames: (N, S, S, 3) uint8 -> (N, side_px, side_px, 3) uint8.

    Outside the graph, whose own pooling takes six times as long.
    """
    side = pixels.shape[1]
    if side == side_px:
        return pixels
    if side == 2 * side_px:  # the usual case, without the time that importing Pillow takes
        quads = pixels.reshape(-1, side_px, 2, side_px, 2, 3)
        top = np.add(quads[:, :, 0, :, 0], quads[:, :, 0, :, 1], dtype=np.uint16)
        bottom = np.add(quads[:, :, 1, :, 0], quads[:, :, 1, :, 1], dtype=np.uint16)
        return ((top + bottom + 2) >> 2).astype(np.uint8)
    from PIL import Image

    images = (Image.fromarray(frame) for frame in pixels)
    return np.stack([np.asarray(image.resize((side_px, side_px), Image.Resampling.BOX)) for image in images])


class Graph:
    """A compiled graph that several threads can call, each with a request of its own.

    `batch`: frames that it takes at once; more are run in turn, fewer are filled up. None: a graph for any number.
    """

    def __init__(self, compiled: openvino.CompiledModel, batch: int | None) -> None:
        self._compiled = compiled
        self._outputs = len(compiled.outputs)
        self._batch = batch
        self._local = threading.local()

    def __call__(self, *inputs: np.ndarray) -> list[np.ndarray]:
        if self._batch is None:
            return self._infer(*inputs)
        (frames,) = inputs
        parts = [self._filled(frames[i : i + self._batch]) for i in range(0, len(frames), self._batch)]
        return [np.concatenate(output) for output in zip(*parts, strict=True)]

    def _filled(self, frames: np.ndarray) -> list[np.ndarray]:
        count = len(frames)
        if self._batch is not None and count < self._batch:
            frames = np.concatenate([frames, np.zeros((self._batch - count, *frames.shape[1:]), frames.dtype)])
        return [output[:count] for output in self._infer(frames)]

    def _infer(self, *inputs: np.ndarray) -> list[np.ndarray]:
        if not hasattr(self._local, "request"):
            self._local.request = self._compiled.create_infer_request()
        outputs = self._local.request.infer([np.ascontiguousarray(a) for a in inputs], share_inputs=True)
        return [np.array(outputs[i]) for i in range(self._outputs)]  # copies: the request reuses its buffers


@dataclass(frozen=True, slots=True)
class Export:
    """One graph of a checkpoint in the cache: its folder, how it is made, the batch that it is compiled for."""

    name: str
    folder: Path
    make: Callable[[Path], None]
    batch: int | None

    @property
    def meta(self) -> Path:
        """The file whose presence says that the export is whole."""
        return self.folder / "meta.json"


class Exports:
    """The exported graphs of a checkpoint: found in the cache, or made there under a lock."""

    def __init__(self, checkpoint: Checkpoint, say: Callable[[str], None]) -> None:
        self.checkpoint = checkpoint
        self.say = say
        self.root = engine_cache()
        self._openvino = version("openvino")

    def classifier(self, use: NetworkUse, batch: int) -> Export:
        def make(folder: Path) -> None:
            from nsnet_cli.nets.export import export_classifier

            export_classifier(use, folder, batch)

        name = use.network.name
        export = Export(name, self._folder(name, f"{network_identity(use)}:{batch}"), make, batch)
        if not export.meta.is_file():
            network_file(use.network)  # downloads wait outside the lock, in this thread, where an interrupt ends them
            self._make(export)
        return export

    def sampler(self) -> Export:
        assert self.checkpoint.sampler is not None
        weights = hashlib.sha256((self.checkpoint.sampler / MODEL_FILE).read_bytes()).hexdigest()
        config = json.dumps(dict(self.checkpoint.sampler_config), sort_keys=True)

        def make(folder: Path) -> None:
            from nsnet_cli.nets.export import export_sampler

            export_sampler(self.checkpoint, folder)

        export = Export("sampler", self._folder("sampler", weights + config), make, None)
        if not export.meta.is_file():
            self._make(export)
        return export

    def gflops(self, export: Export) -> float:
        """Of one frame. Raises WeightsError."""
        try:
            return float(json.loads(export.meta.read_text())["gflops"])
        except (OSError, ValueError, KeyError):
            self._make_again(export)
            return float(json.loads(export.meta.read_text())["gflops"])

    def compile(self, export: Export) -> Graph:
        """Ready to run. Raises WeightsError."""
        try:
            return self._compile(export)
        except (RuntimeError, OSError, ValueError):  # a damaged export: make it again, once
            self._make_again(export)
            return self._compile(export)

    def _folder(self, name: str, identity: str) -> Path:
        key = hashlib.sha256(f"{EXPORT_VERSION}:{self._openvino}:{identity}".encode()).hexdigest()[:16]
        return self.root / f"{name}-{key}"

    def _make_again(self, export: Export) -> None:
        export.meta.unlink(missing_ok=True)
        self._make(export)

    def _make(self, export: Export) -> None:
        from filelock import FileLock

        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with FileLock(self.root / "export.lock"):
                if export.meta.is_file():
                    return  # another process made it meanwhile
                self.say(f"exporting {export.name} for this machine (once; it takes some seconds) ...")
                export.make(export.folder)
        except OSError as error:
            hint = "set NSNET_CACHE to a folder that can be written"
            raise WeightsError(f"cannot write the exported networks to {self.root}: {error}", hint) from error

    def _compile(self, export: Export) -> Graph:
        import openvino

        # Two threads that make a process's first tensors at the same time can wait for each other for ever (OpenVINO
        # 2026.4 takes its own lock and Python's in either order): the first one is made here, before there is a graph.
        openvino.Tensor(np.zeros(1, np.uint8))
        lanes = cpu_threads() if export.batch else 1  # the sampler runs once a video
        settings = {
            # one thread a request, a request a core: cheaper than several threads that wait for each other
            "NUM_STREAMS": lanes,
            "INFERENCE_NUM_THREADS": lanes,
            "CACHE_DIR": str(export.folder / "compiled"),
            "INFERENCE_PRECISION_HINT": CpuEngine.precision,
        }
        return Graph(openvino.Core().compile_model(export.folder / "graph.xml", "CPU", settings), export.batch)


def engine_cache() -> Path:
    """NSNET_CACHE/engine, or the user's cache folder of this platform."""
    from platformdirs import user_cache_path

    root = os.environ.get("NSNET_CACHE")
    return (Path(root) if root else user_cache_path("nsnet")) / "engine"


def cpu_threads() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
