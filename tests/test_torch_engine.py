"""The torch engine: it starts from what is kept, and many videos share it. Here it runs on the CPU."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nsnet_cli.errors import WeightsError
from nsnet_cli.nets import intact
from nsnet_cli.nets.build import build_engine
from nsnet_cli.nets.exports import Exports
from nsnet_cli.nets.torch_networks import OnDevice, opened, opened_sampler
from nsnet_cli.run.opening import Asked
from nsnet_cli.run.tagging import Request, TaggingRun
from nsnet_cli.tagger import Tagger
from nsnet_cli.types import TagOptions


@pytest.fixture(scope="module")
def torch_tagger() -> Tagger:
    return Tagger.from_checkpoint("imagenet-lite", TagOptions(preview=24), device="torch-cpu")


def frames(count: int, side: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


@pytest.mark.usefixtures("torch_tagger")  # the networks are kept
def test_kept_networks_need_no_library_of_networks() -> None:
    """Importing timm and torchvision takes about as long as importing torch."""
    code = """
import sys, numpy as np
from nsnet_cli.nets.build import build_engine
from nsnet_cli.weights.checkpoint import resolve_checkpoint
engine = build_engine(resolve_checkpoint("imagenet-lite"), "torch-cpu")
features, logits = engine.preview(np.zeros((2, 256, 256, 3), np.uint8))
engine.recognise(np.zeros((1, 256, 256, 3), np.uint8))
engine.saliency(features, logits, np.zeros(2))
found = [name for name in ("timm", "torchvision", "openvino", "torch.utils.flop_counter") if name in sys.modules]
sys.exit(" ".join(found) or 0)
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_kept_networks_give_the_same_for_any_number_of_frames(torch_tagger: Tagger) -> None:
    checkpoint = torch_tagger.checkpoint
    exports = Exports()
    export = exports.torch_network(checkpoint.preview, "cpu")
    assert exports.meta(export)["traced"]
    kept, new = (opened(checkpoint.preview, folder, "cpu") for folder in (export.folder, None))
    for count, side in ((1, 128), (5, 256), (2, 192)):
        for ours, reference in zip(
            kept.start([frames(count, side)])(), new.start([frames(count, side)])(), strict=True
        ):
            np.testing.assert_allclose(ours, reference, atol=1e-3)


def test_the_sampler_is_right_for_any_number_of_frames(torch_tagger: Tagger, tagger: Tagger) -> None:
    saliency = opened_sampler(torch_tagger.checkpoint, "cpu")
    drawn = np.random.default_rng(0)
    for count in (1, 2, 9, 70):
        inputs = (drawn.random((count, 1280)), 5 * drawn.random((count, 1000)), np.sort(drawn.random(count)))
        given = [value.astype(np.float32) for value in inputs]
        np.testing.assert_allclose(saliency(*given)[2], tagger.engine.saliency(*given).combined, atol=1e-5)


def test_a_damaged_kept_network_is_made_again(
    torch_tagger: Tagger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    checkpoint = torch_tagger.checkpoint
    for use in (checkpoint.preview, checkpoint.recogniser):
        export = Exports().torch_network(use, "cpu")
        shutil.copytree(export.folder, tmp_path / "engine" / export.folder.name)
    (graph,) = (tmp_path / "engine").glob("efficientnet-lite0-torch-*/graph.pt")
    graph.write_bytes(b"half")
    monkeypatch.setenv("NSNET_CACHE", str(tmp_path))
    found = build_engine(checkpoint, "torch-cpu").preview(frames(3, 256))
    np.testing.assert_allclose(found[1], torch_tagger.engine.preview(frames(3, 256))[1], atol=1e-3)
    assert intact.is_whole(graph.parent)


def test_without_a_place_to_keep_them_networks_are_made_each_time(
    torch_tagger: Tagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Exports, *args: object) -> None:
        raise WeightsError("the disk is full", kind="no_space")

    monkeypatch.setattr(Exports, "torch_network", full)
    engine = build_engine(torch_tagger.checkpoint, "torch-cpu")
    assert engine.cost == torch_tagger.engine.cost and engine.widths == torch_tagger.engine.widths
    for ours, kept in zip(engine.preview(frames(2, 256)), torch_tagger.engine.preview(frames(2, 256)), strict=True):
        np.testing.assert_allclose(ours, kept, atol=1e-3)


def test_videos_that_share_batches_get_the_tags_that_they_get_alone(torch_tagger: Tagger, cat_video: Path) -> None:
    alone = torch_tagger.tag(cat_video)
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(torch_tagger.tag, [cat_video] * 6))
    for result in together:
        assert [tag.id for tag in result.tags] == [tag.id for tag in alone.tags]
        np.testing.assert_allclose([t.score for t in result.tags], [t.score for t in alone.tags], atol=1e-4)


def test_a_gpu_meets_few_sizes_of_batches(torch_tagger: Tagger) -> None:
    network = OnDevice(lambda views: (views, views), torch_tagger.checkpoint.preview, "cpu")
    assert [network.padded(count) for count in (1, 3, 40, 64)] == [1, 3, 40, 64]
    network._pinned = True  # as on a GPU
    assert [network.padded(count) for count in (1, 2, 3, 40, 64)] == [1, 2, 4, 64, 64]
    network._pinned = False
    network.padded = lambda count: 8  # type: ignore[method-assign]
    network._network = lambda views: (views.flatten(1)[:, :2].float(), torch.full((len(views), 1), float(len(views))))
    first, sizes = network.start([frames(2, 128), frames(3, 128)])()
    assert first.shape == (5, 2) and (sizes == 8).all()


def test_results_of_the_device_that_auto_chose_before_stay_done(
    cat_video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later run with more videos, or fewer, may choose the other device."""
    name, both = "nsnet_cli.run.fingerprints.other_engines", (("torch-cpu", "f32"), ("cpu", "f32"))
    monkeypatch.setattr(name, lambda device: both)
    asked = Asked(device="torch-cpu", policy="uniform", frames=1)
    request = Request((str(cat_video),), asked, output_dir=tmp_path / "out")

    def left(request: Request) -> int:
        run = TaggingRun(request)
        try:
            run.find()
            count = len(run.plan())
            list(run.results())
            return count
        finally:
            run.close()

    assert left(request) == 1
    assert left(request) == 0
    assert left(replace(request, asked=replace(asked, device="auto"))) == 0
    monkeypatch.setattr(name, lambda device: ())
    assert left(replace(request, asked=replace(asked, device="cpu"))) == 1
