"""Makes a smaller, faster graph of an exported network: products in 8 bits instead of floats.

Each layer needs to know how large its inputs get. For networks that nsnet knows, that was measured once, by NNCF on
footage and photos (`benchmarks/fast.py`), and is kept in `data/int8_ranges.json`. So every machine makes the same
graph, and needs nothing more for it. A network without ranges stays as it is.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nsnet_cli.nets import intact
from nsnet_cli.nets.telemetry import no_telemetry
from nsnet_cli.weights.identity import network_identity
from nsnet_cli.weights.rows import NetworkUse

if TYPE_CHECKING:
    import openvino

RANGES_FILE = Path(__file__).parents[1] / "data" / "int8_ranges.json"
LAYERS = ("Convolution", "MatMul")
"""Layers that compute in 8 bits.

Those that work on each channel alone stay in f32, and by their ranges so do the first one and the last two: they would
save little more time, and make half of the error.
"""
SPARE = 127 / 64
"""A CPU without VNNI adds two products in 16 bits, where they only fit if weights use 7 bits of the 8."""

Range = tuple[float, float]


def ranges_of(use: NetworkUse) -> list[Range | None] | None:
    """The least and largest input of each layer, in order. None in it: it stays f32. None: nothing is known."""
    found = _known().get(key_of(use))
    return None if found is None else [None if each is None else (each[0], each[1]) for each in found["inputs"]]


def key_of(use: NetworkUse) -> str:
    return hashlib.sha256(network_identity(use).encode()).hexdigest()[:16]


@cache
def _known() -> dict[str, Any]:
    return dict(json.loads(RANGES_FILE.read_text("utf-8")))


def layers(graph: openvino.Model) -> list[openvino.Node]:
    """The layers of a graph that can compute in 8 bits, in order: each input comes from the ones before."""
    return [node for node in graph.get_ordered_ops() if node.get_type_name() in LAYERS]


def export_int8(plain: Path, folder: Path, ranges: list[Range | None]) -> None:
    """Writes the 8-bit graph of an export in f32, `plain`. It takes and gives the same."""
    meta = intact.read_meta(plain)
    assert meta is not None, plain
    with no_telemetry():
        import openvino

    graph = openvino.Core().read_model(plain / "graph.xml")
    quantise(graph, ranges)
    with intact.written(folder, {key: value for key, value in meta.items() if key != "files"}) as temporary:
        openvino.save_model(graph, temporary / "graph.xml", compress_to_fp16=False)


def quantise(graph: openvino.Model, ranges: list[Range | None]) -> None:
    """Rounds inputs and weights of the layers to 8 bits. OpenVINO then computes them so. Raises ValueError."""
    found = layers(graph)
    if len(found) != len(ranges):
        raise ValueError(f"it has {len(found)} layers, and ranges are known of {len(ranges)}")
    rounded: dict[tuple[str, int, Range], openvino.Node] = {}  # layers with the same input share it
    for layer, limits in zip(found, ranges, strict=True):
        if limits is None:
            continue
        place = _input(layer)
        source = place.get_source_output()
        key = (source.get_node().get_friendly_name(), source.get_index(), limits)
        if key not in rounded:
            rounded[key] = _rounded(source, limits[0], limits[1], 256)
        weights = layer.input_value(1)
        most = _most(weights) * np.float32(SPARE)
        place.replace_source_output(rounded[key].output(0))
        layer.input(1).replace_source_output(_rounded(weights, -most, most, 255).output(0))


def _input(layer: openvino.Node) -> openvino.Input:
    """The input of a layer; of one with a border around it, that of the border, which OpenVINO makes part of it."""
    node = layer
    while node.input_value(0).get_node().get_type_name() == "Pad":
        node = node.input_value(0).get_node()
    return node.input(0)


def _rounded(source: openvino.Output, low: float | np.ndarray, high: float | np.ndarray, levels: int) -> openvino.Node:
    from openvino import opset13 as ops

    ends = [ops.constant(np.asarray(end, np.float32)) for end in (low, high)]
    return ops.fake_quantize(source, *ends, *ends, levels)


def _most(weights: openvino.Output) -> np.ndarray:
    """The largest weight of each output, without its sign. Each output has its own scale."""
    node = weights.get_node()
    while node.get_type_name() != "Constant":
        node = node.input_value(0).get_node()
    values = np.abs(node.data.reshape(tuple(weights.get_shape())))
    most = values.max(axis=tuple(range(1, values.ndim)), keepdims=True)
    return np.maximum(most, np.float32(1e-9))
