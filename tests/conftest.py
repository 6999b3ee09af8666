"""Fixtures that several test files share."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from browsers import chromium
from hypothesis import settings
from PIL import Image

from nsnet_cli.cores import usable_cores
from nsnet_cli.progress import Progress, show_with
from nsnet_cli.tagger import Tagger
from nsnet_cli.types import TagOptions

SHARED = Path(__file__).resolve().parents[2] / "shared"

TORCH = find_spec("torch") is not None
"""False in the light environments of .ci/run, which test the other dependencies on more Python versions."""
NEED_TORCH = [
    "test_adapt.py",
    "test_calibrate_command.py",
    "test_clip_networks.py",
    "test_clips.py",
    "test_clips_end_to_end.py",
    "test_clips_full_size.py",
    "test_converted.py",
    "test_parity.py",
    "test_sampler_fit.py",
    "test_sampler_losses.py",
    "test_sampler_network.py",
    "test_splice.py",
    "test_torch_engine.py",
    "test_train_hard.py",
    "test_train_run.py",
    "test_train_size.py",
]
"""Test files that import torch. Single tests that need it have the mark `torch`."""
ALIKE = ["test_architecture.py", "test_browser_pages.py", "test_browser_report.py", "test_docs.py"]
"""Test files that no other Python or dependency can make fail: the light environments leave them out too."""
collect_ignore = [] if TORCH else [*NEED_TORCH, *ALIKE]

MOST_WORKERS = 4
"""More would not pay for their memory: each has torch and networks of its own."""
if "PYTEST_XDIST_WORKER" in os.environ:  # the others use the other cores: torch's threads would wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Shares the tests of whole folders among the cores, if pytest-xdist is there and no -n says otherwise.

    Tests of named files run in this process, which is quicker for few.
    """
    option, workers = config.option, min(usable_cores(), MOST_WORKERS)
    asked = getattr(option, "numprocesses", 0) is not None or option.usepdb or hasattr(config, "workerinput")
    if workers > 1 and not asked and all(Path(path).is_dir() for path in config.args):
        option.numprocesses, option.dist = workers, "worksteal"


def pytest_report_header() -> str | None:
    return None if TORCH else f"no torch here: without {', '.join(collect_ignore)} and tests marked 'torch'"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if not TORCH and item.get_closest_marker("torch"):
            item.add_marker(pytest.mark.skip(reason="needs torch"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """../shared/data: real photos and footage, outside the repository."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip(f"needs real photos and footage in {folder}, which is not there")
    return folder


@pytest.fixture(scope="session")
def photos() -> dict[str, np.ndarray]:
    """scikit-image's photos of things that are ImageNet classes, (H, W, 3) uint8."""
    spec = find_spec("skimage")
    assert spec and spec.submodule_search_locations, "the test group has scikit-image"
    folder = Path(spec.submodule_search_locations[0]) / "data"
    files = {"cat": "chelsea.png", "espresso": "coffee.png", "rocket": "rocket.jpg"}
    return {name: np.asarray(Image.open(folder / file).convert("RGB")) for name, file in files.items()}


def loads_any(code: str, *modules: str) -> bool:
    """Whether a Python of its own that runs this code then has one of these modules. The code must not fail."""
    code += f"\nimport sys; sys.exit(9 if sys.modules.keys() & {set(modules)} else 0)"
    status = subprocess.run([sys.executable, "-c", code], check=False).returncode
    assert status in (0, 9), status
    return status == 9


@pytest.fixture(scope="session")
def tagger() -> Tagger:
    """The default checkpoint on the CPU, with default options. Its networks are loaded once for all tests."""
    return Tagger.from_checkpoint("imagenet-lite", TagOptions(), device="cpu")


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Selenium's driver of a headless Chromium, for the tests that have the mark `NEED_CHROMIUM`."""
    yield from chromium(tmp_path_factory.mktemp("chromium"))


@pytest.fixture
def heard(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    """The messages of the library, even after a Console has taken over its logger."""
    monkeypatch.setattr(logging.getLogger("nsnet_cli"), "propagate", True)
    caplog.set_level(logging.INFO, "nsnet_cli")
    return caplog


@pytest.fixture
def show_progress() -> Iterator[Callable[[Progress], None]]:
    """Makes one Progress the one that all work of the test reports to."""
    yield lambda bar: show_with(lambda label, total, unit: bar)
    show_with(None)


@pytest.fixture
def inside(capfd: pytest.CaptureFixture[str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `nsnet ARGS` in this process, without the cost of a start: exit code, stdout and stderr."""
    from nsnet_cli.cli import app

    def call(*args: str | Path) -> subprocess.CompletedProcess[str]:
        capfd.readouterr()
        code = app.run([*map(str, args)])
        stdout, stderr = capfd.readouterr()
        return subprocess.CompletedProcess([], code, stdout, stderr)

    return call


def write_video(
    path: Path,
    frames: Sequence[np.ndarray],
    *,
    fps: int = 10,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
) -> Path:
    """Encodes (H, W, 3) uint8 frames of one even size."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps, options=options or {})
        stream.height, stream.width, stream.pix_fmt = frames[0].shape[0], frames[0].shape[1], "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def pan(photo: np.ndarray, count: int, size: tuple[int, int] = (320, 240)) -> list[np.ndarray]:
    """A slow zoom into a photo: `count` frames of `size` (width, height)."""
    image = Image.fromarray(photo)
    width, height = size
    shape = min(image.width / width, image.height / height)
    frames = []
    for i in range(count):
        keep = 1 - 0.15 * i / max(1, count - 1)
        w, h = width * shape * keep, height * shape * keep
        left, top = (image.width - w) / 2, (image.height - h) / 2
        frames.append(np.asarray(image.resize(size, Image.Resampling.BILINEAR, box=(left, top, left + w, top + h))))
    return frames


def noise(count: int, size: tuple[int, int] = (320, 240), seed: int = 0) -> list[np.ndarray]:
    """Blurred moving noise: footage of nothing."""
    rng = np.random.default_rng(seed)
    width, height = size
    frames = []
    for _ in range(count):
        coarse = Image.fromarray(rng.integers(60, 120, (height // 40, width // 40, 3), dtype=np.uint8))
        frames.append(np.asarray(coarse.resize(size, Image.Resampling.BICUBIC)))
    return frames


@pytest.fixture(scope="session")
def cat_video(tmp_path_factory: pytest.TempPathFactory, photos: dict[str, np.ndarray]) -> Path:
    """20 s at 10 frames per second: a cat from 8 s to 12 s, noise around it."""
    frames = [*noise(80), *pan(photos["cat"], 40), *noise(80, seed=1)]
    return write_video(tmp_path_factory.mktemp("videos") / "cat.mp4", frames)


# a busy machine is no fault of the code: a test has pytest's own limit of time
settings.register_profile("nsnet", deadline=None)
settings.load_profile("nsnet")
