"""--fast: the networks in 8 bits, or in bf16 where the CPU has it. Both are known apart from f32, and close to it."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import openvino
import pytest
from conftest import loads_any
from openvino import opset13 as ops
from PIL import Image

from nsnet_cli.errors import DeviceError, WeightsError
from nsnet_cli.labelled.gather import ReadSettings, gather
from nsnet_cli.labelled.labels import LabelledVideo, LabelSet
from nsnet_cli.nets import build, intact, quantised
from nsnet_cli.nets.auto import Choice
from nsnet_cli.nets.build import build_engine
from nsnet_cli.nets.cpu_engine import PREVIEW_BATCH, RECOGNISER_BATCH, CpuEngine, fast_precision
from nsnet_cli.nets.exports import Exports
from nsnet_cli.nets.quantised import export_int8, layers, quantise, ranges_of
from nsnet_cli.run.opening import Asked
from nsnet_cli.run.tagging import Request, TaggingRun
from nsnet_cli.tagger import Tagger
from nsnet_cli.weights.rows import NetworkUse


@pytest.fixture(scope="module")
def int8(tagger: Tagger) -> CpuEngine:
    return CpuEngine(tagger.checkpoint, "int8")


def small_network() -> openvino.Model:
    """A layer with a border, a layer per channel, a sum and a product: what the embedded networks are made of."""
    rng = np.random.default_rng(0)

    def weights(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32) / np.sqrt(np.prod(shape[1:])).astype(np.float32)

    given = ops.parameter([1, 8, 16, 16], np.float32)
    border = np.array([0, 0, 1, 1], np.int64)
    padded = ops.pad(given, border, border, "constant", np.float32(0))
    wide = ops.clamp(ops.convolution(padded, weights(16, 8, 3, 3), [1, 1], [0, 0], [0, 0], [1, 1]), 0, 6)
    by_channel = ops.group_convolution(wide, weights(16, 1, 1, 3, 3), [1, 1], [1, 1], [1, 1], [1, 1])
    both = ops.add(wide, by_channel)
    pooled = ops.reduce_mean(both, np.array([2, 3]), keep_dims=False)
    return openvino.Model([ops.matmul(pooled, weights(10, 16), False, True)], [given], "small")


def test_layers_compute_in_8_bits_and_give_nearly_the_same() -> None:
    plain, small = small_network(), small_network()
    quantise(small, [(-1.0, 1.0), (-2.0, 6.0)])
    settings = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    reference, ours = (openvino.Core().compile_model(each, "CPU", settings) for each in (plain, small))
    frames = np.random.default_rng(1).uniform(-1, 1, (1, 8, 16, 16)).astype(np.float32)
    wanted, found = reference([frames])[0], ours([frames])[0]
    assert 0 < np.abs(found - wanted).max() < 0.05 * np.abs(wanted).max()
    kinds = [node.get_rt_info()["runtimePrecision"].astype(str) for node in ours.get_runtime_model().get_ordered_ops()]
    assert {"u8", "i8"} & set(kinds)


def test_a_layer_without_a_range_stays_as_it_is() -> None:
    plain, small = small_network(), small_network()
    quantise(small, [None, None])
    assert len(small.get_ops()) == len(plain.get_ops())
    with pytest.raises(ValueError, match="it has 2 layers, and ranges are known of 1"):
        quantise(small, [(0.0, 1.0)])


def test_both_embedded_networks_have_ranges(tagger: Tagger) -> None:
    checkpoint, exports = tagger.checkpoint, Exports()
    for use, batch in ((checkpoint.preview, PREVIEW_BATCH), (checkpoint.recogniser, RECOGNISER_BATCH)):
        ranges = ranges_of(use)
        graph = openvino.Core().read_model(exports.classifier(use, batch).folder / "graph.xml")
        assert ranges is not None and len(ranges) == len(layers(graph)) and ranges.count(None) == 3
        assert ranges_of(NetworkUse(use.network, use.size_px // 2)) is None  # measured at one size
        assert ranges_of(replace(use, network=replace(use.network, mean=(0.0, 0.0, 0.0)))) is None


def test_photos_get_the_names_that_they_get_in_f32(
    int8: CpuEngine, tagger: Tagger, photos: dict[str, np.ndarray]
) -> None:
    pixels = np.stack([np.asarray(Image.fromarray(photo).resize((256, 256))) for photo in photos.values()])
    (features, logits), (wanted, answers) = int8.preview(pixels), tagger.engine.preview(pixels)
    assert np.corrcoef(features.ravel(), wanted.ravel())[0, 1] > 0.95
    assert not np.array_equal(features, wanted)
    assert np.array_equal(logits.argmax(1), answers.argmax(1))
    for ours, reference in zip(int8.recognise(pixels), tagger.engine.recognise(pixels), strict=True):
        assert np.array_equal(ours, reference)  # the recogniser stays in f32
    assert int8.precision == "int8" and int8.cost == tagger.engine.cost and int8.widths == tagger.engine.widths


@pytest.mark.usefixtures("int8")  # makes the exports
def test_the_same_graph_is_made_each_time_without_torch(tagger: Tagger, tmp_path: Path) -> None:
    use = tagger.checkpoint.preview
    exports = Exports()
    kept, ranges = exports.classifier(use, PREVIEW_BATCH, int8=True), ranges_of(use)
    assert ranges is not None
    export_int8(exports.classifier(use, PREVIEW_BATCH).folder, tmp_path / "again", ranges)
    again, first = (intact.read_meta(folder) for folder in (tmp_path / "again", kept.folder))
    assert again is not None and first is not None
    hashes = [meta.pop("files")["graph.bin"] for meta in (again, first)]  # graph.xml numbers its nodes by process
    assert hashes[0] == hashes[1] and again == first
    code = (
        "from nsnet_cli.nets.cpu_engine import CpuEngine; from nsnet_cli.weights.checkpoint import resolve_checkpoint\n"
        "CpuEngine(resolve_checkpoint('imagenet-lite'), 'int8')"
    )
    assert not loads_any(code, "torch", "nncf")


@pytest.mark.usefixtures("tagger")  # makes the exports in f32
def test_ranges_of_another_network_are_refused(tagger: Tagger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use = tagger.checkpoint.preview
    plain = Exports().classifier(use, PREVIEW_BATCH).folder
    shutil.copytree(plain, tmp_path / "engine" / plain.name)
    monkeypatch.setenv("NSNET_CACHE", str(tmp_path))
    (tmp_path / "ranges.json").write_text(json.dumps({quantised.key_of(use): {"inputs": [[0, 1]]}}))
    monkeypatch.setattr(quantised, "RANGES_FILE", tmp_path / "ranges.json")
    quantised._known.cache_clear()
    try:
        with pytest.raises(
            WeightsError, match=r"efficientnet-lite0 in 8 bits for --fast: it has 34 layers, and ranges are known of 1"
        ) as error:
            Exports().classifier(use, PREVIEW_BATCH, int8=True)
        assert error.value.hint is not None and error.value.hint.startswith("leave out --fast")
    finally:
        quantised._known.cache_clear()


def test_fast_is_what_the_cpu_can_do(
    tagger: Tagger, monkeypatch: pytest.MonkeyPatch, heard: pytest.LogCaptureFixture
) -> None:
    checkpoint, found = tagger.checkpoint, ["FP32", "INT8"]
    monkeypatch.setattr(openvino.Core, "get_property", lambda self, device, name: found)
    unknown = replace(checkpoint, preview=replace(checkpoint.preview, size_px=112))
    assert (fast_precision(checkpoint), fast_precision(unknown)) == ("int8", "f32")
    heard.set_level(logging.INFO, "nsnet_cli")
    monkeypatch.setattr("nsnet_cli.nets.cpu_engine.ranges_of", lambda use: None)
    assert build_engine(checkpoint, "cpu", fast=True).precision == "f32"
    assert any("and cannot run efficientnet-lite0 in 8 bits" in message for message in heard.messages)
    monkeypatch.undo()
    monkeypatch.setattr(openvino.Core, "get_property", lambda self, device, name: found)
    found.append("BF16")
    assert (fast_precision(checkpoint), fast_precision(unknown)) == ("bf16", "bf16")


def test_bf16_is_what_openvino_is_asked_for(tagger: Tagger, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def compile(self: Exports, export: object, settings: dict[str, str]) -> None:
        asked.append(settings["INFERENCE_PRECISION_HINT"])
        raise WeightsError("not now")

    monkeypatch.setattr(Exports, "compile", compile)
    engine = CpuEngine(tagger.checkpoint, "bf16")
    for graph in (engine._preview, engine._recogniser):
        assert isinstance(graph.exception(), WeightsError)
    assert asked == ["bf16", "bf16"] and engine.precision == "bf16"


def test_fast_is_for_the_cpu(
    tagger: Tagger, inside: Callable[..., subprocess.CompletedProcess[str]], cat_video: Path
) -> None:
    with pytest.raises(DeviceError, match="--fast is for the CPU engine, not for --device cuda"):
        build_engine(tagger.checkpoint, "cuda", fast=True)
    done = inside("tag", cat_video, "--fast", "--device", "torch-cpu")
    assert done.returncode == 5 and "leave out one of them" in done.stderr


@pytest.mark.torch
def test_a_gpu_that_auto_chose_says_that_it_ignores_fast(
    tagger: Tagger, monkeypatch: pytest.MonkeyPatch, heard: pytest.LogCaptureFixture
) -> None:
    heard.set_level(logging.INFO, "nsnet_cli")
    monkeypatch.setattr(build, "_chosen", lambda checkpoint, work: Choice("torch-cpu", "there is work for it"))
    engine = build_engine(tagger.checkpoint, "auto", fast=True)
    assert engine.precision == "f32"
    assert any(message.startswith("--fast changes nothing on a GPU") for message in heard.messages)


@pytest.mark.usefixtures("int8")  # makes the exports
def test_results_of_another_precision_are_not_taken(cat_video: Path, tmp_path: Path) -> None:
    asked = Asked(device="auto", policy="uniform", frames=1)
    request = Request((str(cat_video),), asked, output_dir=tmp_path / "out")

    def left(request: Request, work: bool = True) -> int:
        run = TaggingRun(request)
        try:
            run.find()
            count = len(run.plan())
            if work:
                list(run.results())
            return count
        finally:
            run.close()

    fast = replace(request, asked=replace(asked, fast=True))
    assert left(request) == 1
    assert left(fast) == 1
    assert left(fast, work=False) == 0
    assert left(request, work=False) == 1


@pytest.mark.usefixtures("int8")  # makes the exports
def test_features_of_another_precision_are_kept_apart(
    tagger: Tagger, cat_video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine_folder = Exports().root
    monkeypatch.setenv("NSNET_CACHE", str(tmp_path))
    (tmp_path / "engine").symlink_to(engine_folder)
    labels = LabelSet(tmp_path / "labels.csv", (LabelledVideo(cat_video, ("cat",), "here"),))
    plain, fast = (
        gather(labels, tagger.checkpoint, ReadSettings(4, "cpu", "auto", 1, fast)).videos[0][1]
        for fast in (False, True)
    )
    assert plain.recogniser is not None and fast.recogniser is not None
    assert not np.array_equal(plain.preview.features, fast.preview.features)
