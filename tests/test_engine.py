"""The networks are right, and the CPU engine agrees with torch."""

import logging
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from conftest import loads_any
from PIL import Image

from nsnet_cli.errors import DeviceError
from nsnet_cli.nets import auto, build
from nsnet_cli.nets.auto import Workload, choose
from nsnet_cli.nets.build import build_engine
from nsnet_cli.nets.cost import FrameCost
from nsnet_cli.nets.cpu_engine import PREVIEW_BATCH, RECOGNISER_BATCH, shrink
from nsnet_cli.nets.exports import Exports, engine_cache
from nsnet_cli.nets.telemetry import REPORTS, no_telemetry
from nsnet_cli.tagger import Tagger
from nsnet_cli.types import TagOptions
from nsnet_cli.weights.checkpoint import resolve_checkpoint
from nsnet_cli.weights.registry import load_registry
from nsnet_cli.weights.rows import NetworkUse
from nsnet_cli.weights.vocabulary import load_vocabulary


def square(image: Image.Image, side: int, crop: float = 0.875) -> np.ndarray:
    """The centred square of crop * shorter side, bicubic. (side, side, 3) uint8."""
    keep = min(image.size) * crop
    left, top = (image.width - keep) / 2, (image.height - keep) / 2
    box = (left, top, left + keep, top + keep)
    return np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.BICUBIC, box=box))


@pytest.mark.slow
def test_lite2_at_260_px_names_the_photos(shared_data: Path) -> None:
    import torch

    from nsnet_cli.nets.networks import load_classifier

    network = load_classifier(NetworkUse(load_registry().networks["efficientnet-lite2"], 260))
    ids = [tag.id for tag in load_vocabulary("imagenet-1k")]
    files = sorted((shared_data / "photos").glob("*.JPEG"))
    right = 0
    for start in range(0, len(files), 32):
        part = files[start : start + 32]
        pixels = np.stack([square(Image.open(file), 260) for file in part])
        with torch.inference_mode():
            found = network(torch.from_numpy(pixels))[1].argmax(1)
        right += sum(ids[int(c)] == file.name.split("_")[0] for c, file in zip(found, part, strict=True))
    assert len(files) >= 600
    assert right / len(files) >= 0.87


def test_photos_of_scikit_image_get_their_names(tagger: Tagger, photos: dict[str, np.ndarray]) -> None:
    engine = tagger.engine
    names = [tag.name for tag in load_vocabulary("imagenet-1k")]
    pixels = np.stack([square(Image.fromarray(photo), 256) for photo in photos.values()])
    scores = tagger.checkpoint.head.scores(*engine.recognise(pixels))
    best = {photo: [names[i] for i in np.argsort(-row)[:3]] for photo, row in zip(photos, scores, strict=True)}
    assert best["espresso"][0] == "espresso"
    assert best["cat"][0] in ("tabby", "tiger cat", "Egyptian cat")
    assert {"missile", "projectile"} & set(best["rocket"])  # the top tag of a rocket on its pad is "drilling platform"
    np.testing.assert_allclose(scores.sum(1), 1, rtol=1e-4)


@pytest.mark.torch
def test_cpu_engine_agrees_with_torch(tagger: Tagger, photos: dict[str, np.ndarray]) -> None:
    cpu, torch_engine = tagger.engine, build_engine(tagger.checkpoint, "torch-cpu")
    pixels = np.stack([square(Image.fromarray(photo), 256) for photo in photos.values()])
    for ours, reference in zip(cpu.recognise(pixels), torch_engine.recognise(pixels), strict=True):
        np.testing.assert_allclose(ours, reference, atol=2e-3)
    for ours, reference in zip(cpu.preview(pixels), torch_engine.preview(pixels), strict=True):
        np.testing.assert_allclose(ours, reference, atol=2e-3)
    features, logits = cpu.preview(np.concatenate([pixels] * 3))
    for times in (np.linspace(0, 1, 9), np.linspace(0, 1, 9) ** 3):
        ours, reference = cpu.saliency(features, logits, times), torch_engine.saliency(features, logits, times)
        for name in ("fsm", "vgm", "combined"):
            np.testing.assert_allclose(getattr(ours, name), getattr(reference, name), atol=2e-3)
    assert cpu.cost == torch_engine.cost
    assert cpu.cost.sampler < 0.05 * cpu.cost.preview


@pytest.mark.parametrize("side", [128, 112, 256])
@pytest.mark.torch
def test_shrink_is_the_area_mean(side: int) -> None:
    import torch

    pixels = np.random.default_rng(0).integers(0, 256, (2, 256, 256, 3), dtype=np.uint8)
    planes = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
    mean = torch.nn.functional.interpolate(planes, size=side, mode="area").permute(0, 2, 3, 1).numpy()
    found = shrink(pixels, side)
    assert found.shape == (2, side, side, 3) and found.dtype == np.uint8
    # at a fractional ratio torch's cells overlap by whole pixels and Pillow's by parts of pixels
    assert np.abs(found - mean).mean() < (0.51 if 256 % side == 0 else 25)


@pytest.mark.usefixtures("tagger")  # makes the exports
def test_cpu_engine_imports_no_torch_once_exported() -> None:
    code = (
        "import numpy; from nsnet_cli.nets.build import build_engine\n"
        "from nsnet_cli.weights.checkpoint import resolve_checkpoint\n"
        "engine = build_engine(resolve_checkpoint('imagenet-lite'), 'cpu')\n"
        "engine.saliency(numpy.ones((3, 1280)), numpy.ones((3, 1000)), numpy.linspace(0, 1, 3))"
    )
    assert not loads_any(code, "torch", "timm")


def test_frames_get_the_same_answers_alone_and_together(photos: dict[str, np.ndarray]) -> None:
    engine = build_engine(resolve_checkpoint("imagenet-lite"), "cpu")
    pixels = np.stack([square(Image.fromarray(photo), 256) for photo in photos.values()] * 4)
    for run in (engine.preview, engine.recognise):
        alone = [run(frame[None]) for frame in pixels[:3]]
        for count in (1, 7, 8, 9, 12):
            for output, each in zip(run(pixels[:count]), zip(*alone, strict=True), strict=True):
                np.testing.assert_allclose(output, np.concatenate([*each] * 4)[:count], atol=1e-3)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere threads are never bound to cores")
@pytest.mark.usefixtures("tagger")  # exports are there
def test_no_thread_of_the_engine_is_bound_to_a_core() -> None:
    """One that is bound waits behind a decode process on its core while another core is free."""
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("there is one core")
    code = """
import os, numpy as np
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from nsnet_cli.nets.build import build_engine
from nsnet_cli.weights.checkpoint import resolve_checkpoint
engine = build_engine(resolve_checkpoint("imagenet-lite"), "cpu")
cores, bound = os.sched_getaffinity(0), False
with ThreadPoolExecutor(engine.lanes) as lanes:
    engine.recognise(np.zeros((1, 256, 256, 3), np.uint8))  # while graphs are compiled, threads are bound for a moment
    for run in (engine.preview, engine.recognise):
        working = [lanes.submit(run, np.zeros((4, 256, 256, 3), np.uint8)) for _ in range(8)]
        while not all(work.done() for work in working):
            for thread in os.listdir("/proc/self/task"):
                with suppress(ProcessLookupError):
                    bound |= os.sched_getaffinity(int(thread)) != cores
os._exit(bound or any(work.exception() for work in working))
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.usefixtures("tagger")  # exports are there
def test_first_use_from_several_threads_does_not_deadlock() -> None:
    """The first OpenVINO array takes a lock and then needs Python's, which another first array may hold."""
    code = """
import os, sys, threading, numpy as np
from nsnet_cli.nets.build import build_engine
from nsnet_cli.weights.checkpoint import resolve_checkpoint
engine = build_engine(resolve_checkpoint("imagenet-lite"), "cpu")
sys.setswitchinterval(1e-6)
together, pixels = threading.Barrier(4), np.zeros((1, 256, 256, 3), np.uint8)
threads = [threading.Thread(target=lambda: (together.wait(), engine.preview(pixels)), daemon=True) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(60)
os._exit(any(thread.is_alive() for thread in threads))
"""
    for _ in range(3):
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.usefixtures("tagger")  # exports are there
def test_loading_reports_to_nobody_and_writes_nothing_at_home(tmp_path: Path) -> None:
    """Importing OpenVINO would report to Google Analytics, from a fork of this process."""
    code = """
import os, sys, numpy as np
forks, before = [], dict(os.environ)
os.register_at_fork(before=lambda: forks.append(1))
import nsnet_cli
assert None not in sys.modules.values()
from nsnet_cli.nets.build import build_engine
from nsnet_cli.weights.checkpoint import resolve_checkpoint
engine = build_engine(resolve_checkpoint("imagenet-lite"), "cpu")
engine.recognise(np.zeros((1, 256, 256, 3), np.uint8))  # it is loaded last
assert not forks and "openvino_telemetry.main" not in sys.modules
assert "openvino_telemetry" not in sys.modules and dict(os.environ) == before
from openvino.tools.ovc import telemetry_utils
assert telemetry_utils.tm.__name__.endswith("stub")
"""
    env = {**os.environ, "HOME": str(tmp_path), "NSNET_CACHE": str(engine_cache().parent)}
    assert subprocess.run([sys.executable, "-c", code], check=False, env=env).returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_the_telemetry_of_the_host_program_is_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = ModuleType(REPORTS)
    monkeypatch.setitem(sys.modules, REPORTS, theirs)
    inside, leave = threading.Event(), threading.Event()

    def first() -> None:
        with no_telemetry():
            inside.set()
            leave.wait(60)

    thread = threading.Thread(target=first)
    thread.start()
    inside.wait(60)
    with no_telemetry(), pytest.raises(ImportError):
        import openvino_telemetry  # noqa: F401
    assert sys.modules[REPORTS] is None, "the other thread is still importing"
    leave.set()
    thread.join()
    assert sys.modules[REPORTS] is theirs
    monkeypatch.delitem(sys.modules, REPORTS)
    with pytest.raises(RuntimeError), no_telemetry():
        raise RuntimeError
    assert REPORTS not in sys.modules


def test_views_of_one_frame_are_frames(tagger: Tagger, photos: dict[str, np.ndarray]) -> None:
    engine = tagger.engine
    assert engine.input == tagger.checkpoint.recogniser.input and engine.widths == (1280, 1280)
    pixels = np.stack([square(Image.fromarray(photo), engine.input.size_px) for photo in photos.values()])
    for views, frames in zip(engine.recognise(pixels[:, None]), engine.recognise(pixels), strict=True):
        assert np.array_equal(views, frames)
    with pytest.raises(ValueError, match=r"\(K, 1, S, S, 3\) or .*, got \(1, 3, 256, 256, 3\)"):
        engine.recognise(pixels[None])


@pytest.mark.parametrize("name", ["efficientnet-lite0", pytest.param("efficientnet-lite2", marks=pytest.mark.slow)])
@pytest.mark.torch
def test_missing_and_damaged_exports_are_made(
    name: str,
    tagger: Tagger,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    photos: dict[str, np.ndarray],
    heard: pytest.LogCaptureFixture,
) -> None:
    checkpoint, ours = tagger.checkpoint, Exports()
    for use, batch in ((checkpoint.preview, PREVIEW_BATCH), (checkpoint.recogniser, RECOGNISER_BATCH)):
        folder = ours.classifier(use, batch).folder
        if use.network.name != name:  # the other one is there
            shutil.copytree(folder, tmp_path / "engine" / folder.name)
    monkeypatch.setenv("NSNET_CACHE", str(tmp_path))
    heard.clear()
    build_engine(checkpoint, "cpu")
    assert len(heard.messages) == 1 and f"exporting {name}" in heard.messages[0]
    graph = next((tmp_path / "engine").glob(f"{name}-*/graph.xml"))
    graph.write_text("<net")
    for compiled in graph.parent.glob("compiled/*"):
        compiled.unlink()
    heard.clear()
    engine = build_engine(checkpoint, "cpu")
    pixels = np.stack([square(Image.fromarray(photo), 256) for photo in photos.values()])
    np.testing.assert_allclose(engine.preview(pixels)[1], tagger.engine.preview(pixels)[1], atol=1e-4)
    np.testing.assert_allclose(engine.recognise(pixels)[1], tagger.engine.recognise(pixels)[1], atol=1e-4)
    assert len(heard.messages) == 1 and f"exporting {name}" in heard.messages[0]


@pytest.mark.parametrize(
    ("gflops", "videos", "cores", "device"),
    [
        (6, 1, 16, "cpu"),  # a light checkpoint
        (20, 1, 16, "cpu"),  # ... and a long video
        (6, 400, 16, "cpu"),
        (6, 4000, 16, "cpu"),  # neither is faster than this process makes answers
        (6, 4000, 2, "cuda"),
        (250, 1, 16, "cpu"),  # four views of 62 GFLOPs: the CPU is done before the GPU has started
        (250, 400, 16, "cuda"),
        (250, None, 16, "cuda"),  # a program that only makes a tagger
        (6, None, 16, "cpu"),
        (250, 10, 2, "cuda"),
    ],
)
def test_auto_takes_what_is_faster(gflops: float, videos: int | None, cores: int, device: str) -> None:
    choice = choose(gflops, videos, cores)
    assert choice.device == device
    assert f"of {gflops} GFLOPs each" in choice.why and f"on {cores} cores" in choice.why


def test_auto_is_never_much_slower_by_its_own_figures() -> None:
    """Its two estimates are in its reason, and it takes the smaller one."""
    for videos in (1, 10, 100, 1000, 10_000):
        for gflops in (1, 10, 100, 1000):
            choice = choose(gflops, videos, 16)
            cpu_s, gpu_s = map(float, re.findall(r"about ([\d.]+) s", choice.why))
            assert choice.device == ("cpu" if cpu_s <= gpu_s else "cuda") or abs(cpu_s - gpu_s) < 0.2


def test_what_a_run_computes_follows_from_its_options() -> None:
    cost = FrameCost(preview=0.1, sampler=0.01, recogniser=10.0)
    few = Workload.of(TagOptions(frames=4, preview=24), 1)
    assert few.gflops(cost) == pytest.approx(24 * 0.1 + 4 * 10)
    assert Workload.of(TagOptions(frames=4, preview=24, policy="dense"), 1).gflops(cost) == pytest.approx(24 * 10.1)
    assert Workload.of(TagOptions(frames=4, preview=24), 1, embed_all=True).gflops(cost) == pytest.approx(24 * 10.1)


@pytest.mark.usefixtures("tagger")  # exports are there
def test_auto_says_which_device_and_why(monkeypatch: pytest.MonkeyPatch, heard: pytest.LogCaptureFixture) -> None:
    heard.set_level(logging.DEBUG, "nsnet_cli")
    checkpoint = resolve_checkpoint("imagenet-lite")
    monkeypatch.setattr(build, "driver_is_installed", lambda: True)
    monkeypatch.setattr(build, "no_cuda", lambda: pytest.fail("the driver takes longer to start than the clip"))
    assert 0.3 < build.view_gflops(checkpoint, checkpoint.recogniser) < 2  # from its export
    engine = build_engine(checkpoint, "auto", Workload(1))
    assert (engine.name, engine.precision) == ("cpu", "f32")
    (said,) = (message for message in heard.messages if message.startswith("device: "))
    assert re.fullmatch(r"device: cpu: 1 video of [\d.]+ GFLOPs each takes about .* \(14 s to start\)", said)
    monkeypatch.setattr(build, "no_cuda", lambda: "this torch was built without CUDA")
    heard.clear()
    assert build_engine(checkpoint, "auto", Workload(10_000)).name == "cpu"
    assert heard.messages[0] == "device: cpu: this torch was built without CUDA"


def test_torch_built_without_cuda_is_known_without_importing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise ImportError('it must not be imported')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    for line, found in (("cuda: Optional[str] = None", None), ("cuda = '13.0'", "13.0"), ("", None)):
        (tmp_path / "torch" / "version.py").write_text(f"debug = False\n{line}\nhip = None\n")
        assert auto.torch_cuda() == found
    monkeypatch.setattr(auto, "driver_sees_gpu", lambda: True)
    assert auto.no_cuda() == "this torch was built without CUDA"


@pytest.mark.torch
def test_the_cost_of_a_network_that_is_not_exported_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is downloaded or computed. ResNet-50 at 224 px takes 4.1 GFLOPs per frame."""
    monkeypatch.setenv("NSNET_CACHE", str(tmp_path))
    checkpoint = resolve_checkpoint("imagenet-resnet50")
    assert build.view_gflops(checkpoint, checkpoint.recogniser) == pytest.approx(4.1, abs=0.05)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.torch
def test_unknown_and_absent_devices_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = resolve_checkpoint("imagenet-lite")
    with pytest.raises(DeviceError, match="tpu"):
        build_engine(checkpoint, "tpu")
    monkeypatch.setattr(auto, "driver_sees_gpu", lambda: False)
    with pytest.raises(DeviceError, match="--device cuda: there is no NVIDIA GPU here, or no driver for it"):
        build_engine(checkpoint, "cuda")
    import torch

    if not torch.cuda.is_available():  # a driver that torch does not get along with
        monkeypatch.setattr(build, "no_cuda", lambda: None)
        with pytest.raises(DeviceError, match="torch sees no cuda device here"):
            build_engine(checkpoint, "cuda").load()
