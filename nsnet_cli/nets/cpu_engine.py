"""The CPU engine: networks exported once per machine, run by OpenVINO. No torch once the exports are there."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import openvino
from filelock import FileLock
from PIL import Image

from nsnet_cli.errors import WeightsError
from nsnet_cli.nets.cost import FrameCost
from nsnet_cli.nets.engine import Saliency, TagHead
from nsnet_cli.weights.checkpoint import MODEL_FILE, Checkpoint, network_identity
from nsnet_cli.weights.files import network_file
from nsnet_cli.weights.registry import NetworkUse

EXPORT_VERSION = 2
"""Raised whenever the graphs change: older exports are then made anew."""


class CpuEngine:
    """Runs a checkpoint on the CPU. `say` is told when something has to be exported first."""

    name = "cpu"

    def __init__(self, checkpoint: Checkpoint, *, say: Callable[[str], None] = lambda message: None) -> None:
        self._preview_side = checkpoint.preview.size_px
        exports = Exports(checkpoint, say)
        exports.fetch()
        with ThreadPoolExecutor(3) as pool:  # reading compiled graphs waits on the disk: do it side by side
            preview = pool.submit(exports.classifier, checkpoint.preview)
            recogniser = pool.submit(exports.classifier, checkpoint.recogniser)
            sampler = pool.submit(exports.sampler) if checkpoint.sampler else None
            self._preview, self._recogniser = preview.result(), recogniser.result()
            self._sampler = sampler.result() if sampler else None
        self._head = TagHead.of(checkpoint)
        self.cost = FrameCost(
            self._preview.gflops, self._sampler.gflops if self._sampler else 0.0, self._recogniser.gflops
        )

    def preview(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        features, logits = self._preview(shrink(pixels, self._preview_side))
        return features, logits

    def recognise(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        features, logits = self._recogniser(pixels)
        return features, self._head.scores(features, logits)

    def saliency(self, features: np.ndarray, logits: np.ndarray, times: np.ndarray) -> Saliency:
        if self._sampler is None:
            raise WeightsError("this checkpoint has no sampler", "use --policy confidence")
        return Saliency(*self._sampler(*(np.ascontiguousarray(a, np.float32) for a in (features, logits, times))))


def shrink(pixels: np.ndarray, side_px: int) -> np.ndarray:
    """Area mean of square frames: (N, S, S, 3) uint8 -> (N, side_px, side_px, 3) uint8.

    Outside the graph, because Pillow takes a tenth of the time that the graph's own pooling takes.
    """
    side = pixels.shape[1]
    if side == side_px:
        return pixels
    images = (Image.fromarray(frame) for frame in pixels)
    if side % side_px == 0:
        return np.stack([np.asarray(image.reduce(side // side_px)) for image in images])
    return np.stack([np.asarray(image.resize((side_px, side_px), Image.Resampling.BOX)) for image in images])


class Graph:
    """A compiled graph that several threads can call, each with a request of its own."""

    def __init__(self, compiled: openvino.CompiledModel, gflops: float) -> None:
        self.gflops = gflops
        self._compiled = compiled
        self._local = threading.local()

    def __call__(self, *inputs: np.ndarray) -> list[np.ndarray]:
        if not hasattr(self._local, "request"):
            self._local.request = self._compiled.create_infer_request()
        outputs = self._local.request.infer([np.ascontiguousarray(a) for a in inputs])
        # copies, because the request reuses its buffers
        return [np.array(outputs[i]) for i in range(len(self._compiled.outputs))]


class Exports:
    """The exported graphs of a checkpoint: found in the cache, or made there under a lock."""

    def __init__(self, checkpoint: Checkpoint, say: Callable[[str], None]) -> None:
        self.checkpoint = checkpoint
        self.say = say
        self.root = engine_cache()
        self.core = openvino.Core()

    def fetch(self) -> None:
        """Download what has to be exported and is not here: in the caller's thread, where an interrupt ends it."""
        for use in (self.checkpoint.preview, self.checkpoint.recogniser):
            if not (self._folder(use.network.name, network_identity(use)) / "meta.json").is_file():
                network_file(use.network)

    def classifier(self, use: NetworkUse) -> Graph:
        def export(folder: Path) -> None:
            from nsnet_cli.nets.export import export_classifier

            export_classifier(use, folder)

        return self._graph(use.network.name, network_identity(use), export)

    def sampler(self) -> Graph:
        assert self.checkpoint.sampler is not None
        weights = hashlib.sha256((self.checkpoint.sampler / MODEL_FILE).read_bytes()).hexdigest()
        config = json.dumps(dict(self.checkpoint.sampler_config), sort_keys=True)

        def export(folder: Path) -> None:
            from nsnet_cli.nets.export import export_sampler

            export_sampler(self.checkpoint, folder)

        return self._graph("sampler", weights + config, export)

    def _folder(self, name: str, identity: str) -> Path:
        key = hashlib.sha256(f"{EXPORT_VERSION}:{openvino.__version__}:{identity}".encode()).hexdigest()[:16]
        return self.root / f"{name}-{key}"

    def _graph(self, name: str, identity: str, export: Callable[[Path], None]) -> Graph:
        folder = self._folder(name, identity)
        if not (folder / "meta.json").is_file():
            self._export(name, folder, export)
        try:
            return self._compile(folder)
        except (RuntimeError, OSError, ValueError, KeyError):  # a damaged export: make it again, once
            (folder / "meta.json").unlink(missing_ok=True)
            self._export(name, folder, export)
            return self._compile(folder)

    def _export(self, name: str, folder: Path, export: Callable[[Path], None]) -> None:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with FileLock(self.root / "export.lock"):
                if (folder / "meta.json").is_file():
                    return  # another process made it meanwhile
                self.say(f"exporting {name} for this machine (once; it takes some seconds) ...")
                export(folder)
        except OSError as error:
            hint = "set NSNET_CACHE to a folder that can be written"
            raise WeightsError(f"cannot write the exported networks to {self.root}: {error}", hint) from error

    def _compile(self, folder: Path) -> Graph:
        meta = json.loads((folder / "meta.json").read_text())
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": cpu_threads(),
            "CACHE_DIR": str(folder / "compiled"),
            "INFERENCE_PRECISION_HINT": "f32",
        }
        return Graph(self.core.compile_model(folder / "graph.xml", "CPU", settings), float(meta["gflops"]))


def engine_cache() -> Path:
    """NSNET_CACHE/engine, or the user's cache folder of this platform."""
    from platformdirs import user_cache_path

    root = os.environ.get("NSNET_CACHE")
    return (Path(root) if root else user_cache_path("nsnet")) / "engine"


def cpu_threads() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
