"""Exports image networks from torch to OpenVINO graphs in the user's cache, once per network file.

This is the only module of the CPU engine that imports torch. A finished export is a folder with graph.xml, graph.bin
and meta.json, which holds their hashes. It is written under another name, synced and renamed, so that a folder is
never there in part. A failed export leaves nothing behind.
"""

from __future__ import annotations

import errno
import logging
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nsnet_cli.nets.families import load_network
from nsnet_cli.nets.flops import network_gflops
from nsnet_cli.nets.intact import written
from nsnet_cli.nets.networks import ViewNetwork
from nsnet_cli.nets.telemetry import no_telemetry
from nsnet_cli.weights.rows import NetworkUse

with no_telemetry():
    import openvino

SPARE_BYTES = 2_000_000
"""Space for what an export holds besides its weights."""


def export_classifier(use: NetworkUse, folder: Path, batch: int) -> None:
    """Views of `batch` frames or clips, uint8 -> features (batch, D), logits (batch, C); normalisation inside."""
    network = load_network(use)
    export_network(
        network, folder, batch, {"gflops": network_gflops(network), "architecture": use.network.architecture}
    )


def export_network(network: ViewNetwork, folder: Path, batch: int, meta: dict[str, Any]) -> None:
    """Exports a network that is loaded. `meta`: what is noted beside its graph, with the widths of its outputs."""
    example = network.example(batch)
    _check_space(network, folder.parent)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer warns of shape checks that are constant here
        logging.getLogger("openvino").setLevel(logging.ERROR)
        # checking doubles the wait; tests compare the engines
        traced = torch.jit.trace(network, (example,), check_trace=False)
        with _without_our_flags():
            shape = openvino.PartialShape(list(example.shape))
            graph = _converter()(traced, example_input=(example,), input=[shape])
    shapes_out = [output.partial_shape[-1] for output in graph.outputs]
    widths = [width.get_length() for width in shapes_out if width.is_static]
    with written(folder, {**meta, "widths": widths}) as temporary:
        _save(graph, network, temporary / "graph.xml")


def _check_space(module: nn.Module, folder: Path) -> None:
    """Raises OSError if the disk has too little space. Called before the work, and to explain a failed write."""
    weights_bytes = sum(value.numel() * value.element_size() for value in module.state_dict().values())
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < weights_bytes + SPARE_BYTES:
        needed, free = ((size / 1e6) for size in (weights_bytes + SPARE_BYTES, free_bytes))
        raise OSError(errno.ENOSPC, f"{needed:.1f} MB are needed, {free:.1f} MB are free", str(folder))


def _save(graph: openvino.Model, module: nn.Module, path: Path) -> None:
    """Writes the graph. Raises OSError that names a full disk; OpenVINO only says "iostream error"."""
    try:
        openvino.save_model(graph, path, compress_to_fp16=False)
        openvino.Core().read_model(path)  # fails if the file is cut short
    except RuntimeError as error:
        _check_space(module, path.parent)
        raise OSError(errno.EIO, str(error).strip().splitlines()[0], str(path)) from error


@contextmanager
def _without_our_flags() -> Iterator[None]:
    """Hides `--verbose` of this program's command line: the converter takes it for its own, and prints to stdout."""
    arguments, sys.argv = sys.argv, [argument for argument in sys.argv if argument != "--verbose"]
    try:
        yield
    finally:
        sys.argv = arguments


def _converter() -> Callable[..., openvino.Model]:
    """Returns openvino.convert_model. `nsnet tag` leaves it out when it imports OpenVINO, to save half of the time."""
    if sys.modules.get("openvino.tools.ovc", sys) is None:
        del sys.modules["openvino.tools.ovc"]
    with no_telemetry():
        from openvino.tools.ovc import convert_model

    return convert_model  # type: ignore[no-any-return]
