"""Chooses the device for `--device auto`: what is faster, from what is known before anything starts. No torch here."""

from __future__ import annotations

import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from nsnet_cli.nets.cost import FrameCost
from nsnet_cli.policies import POLICIES
from nsnet_cli.records import dataclass
from nsnet_cli.types import TagOptions

if TYPE_CHECKING:
    import ctypes

GPU_START_S = 14.0
"""Importing torch, loading networks and the first batch, beyond what the CPU engine needs: measured on an H100."""
CPU_GFLOPS_S = 30.0
"""What a core computes per second in OpenVINO: the 6 GFLOPs of a short clip take 0.19 s of one."""
GPU_GFLOPS_S = 2000.0
"""What a GPU computes per second in batches. An assumption on the safe side: new ones do several times as much."""
DECODE_CORE_S = 0.1
"""Seconds of a core for decoding a short clip. A longer one takes more, on both devices."""
HOST_S = 0.028
"""Seconds per video of what only one thread of this process does at a time: 30 clips per second were measured."""
USUAL_PREVIEW = 48
"""Preview frames of a usual video: 24 of a clip of some seconds, up to 128 of a long one."""
UNKNOWN_VIDEOS = 100
"""How many videos a program will tag that only makes a tagger. It will tag some."""
NO_GPU = "there is no NVIDIA GPU here, or no driver for it"
HEAVY_GFLOPS = 30.0
"""On a cluster, where actors live long, a recogniser that takes this much per view gets GPUs.

At 224 px, ViT-L/16 takes 61.6 GFLOPs, ViT-B/16 17.6, ResNet-50 4.1.
"""


@dataclass(frozen=True, slots=True)
class Workload:
    """What is known of a run before it starts."""

    videos: int | None = None
    """None: not known."""
    preview_frames: int = USUAL_PREVIEW
    """Most preview frames per video."""
    recognised: int = 4
    """Views that the recogniser sees per video, of USUAL_PREVIEW preview frames."""

    @classmethod
    def of(cls, options: TagOptions, videos: int | None, *, embed_all: bool = False) -> Workload:
        """`embed_all`: the recogniser sees all preview frames, whatever the policy chooses."""
        every = embed_all or POLICIES[options.policy].every_frame
        return cls(videos, options.preview, options.preview if every else options.frames)

    def gflops(self, cost: FrameCost) -> float:
        """Returns GFLOPs per video."""
        return cost.total(min(self.preview_frames, USUAL_PREVIEW), min(self.recognised, USUAL_PREVIEW), sampler=False)


@dataclass(frozen=True, slots=True)
class Choice:
    device: str
    why: str


def choose(gflops: float, videos: int | None, cores: int) -> Choice:
    """Returns the faster device for so many videos of so many GFLOPs, where there is a GPU."""
    count = UNKNOWN_VIDEOS if videos is None else videos
    cpu_s = count * max(HOST_S, (DECODE_CORE_S + gflops / CPU_GFLOPS_S) / cores)
    gpu_s = GPU_START_S + count * max(HOST_S, DECODE_CORE_S / cores, gflops / GPU_GFLOPS_S)
    number = f"{count} videos, as nothing is known of their number," if videos is None else _counted(count)
    seconds = f"about {cpu_s:.1f} s on {cores} cores, about {gpu_s:.1f} s with the GPU ({GPU_START_S:.0f} s to start)"
    takes = "takes" if count == 1 else "take"
    return Choice("cuda" if gpu_s < cpu_s else "cpu", f"{number} of {gflops:.3g} GFLOPs each {takes} {seconds}")


def cluster_device(recogniser_gflops: float) -> str:
    """Returns the device for `--device auto` on a cluster that has GPUs."""
    return "cuda" if recogniser_gflops >= HEAVY_GFLOPS else "cpu"


def no_cuda() -> str | None:
    """Why torch cannot use an NVIDIA GPU here, or None. Asks the driver, and torch's files: importing torch is slow."""
    if not driver_sees_gpu():
        return NO_GPU
    if torch_cuda() is None:
        return "this torch was built without CUDA"
    return None


def driver_sees_gpu() -> bool:
    """Starts the driver, which takes some tenths of a second."""
    import ctypes

    driver, count = _driver(), ctypes.c_int(0)
    try:
        return bool(driver and driver.cuInit(0) == driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value)
    except AttributeError:
        return False


def driver_is_installed() -> bool:
    return _driver() is not None


def _driver() -> ctypes.CDLL | None:
    import ctypes

    # By name: ctypes.util.find_library would run a compiler, if one is installed, for 70 ms.
    try:
        return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return None


def torch_cuda() -> str | None:
    """Returns the version of CUDA that the installed torch was built for, without importing it. None: none."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    try:
        text = Path(spec.origin).with_name("version.py").read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r"^cuda\b[^=]*=\s*['\"]([^'\"]+)", text, re.MULTILINE)
    return found[1] if found else None


def _counted(videos: int) -> str:
    return "1 video" if videos == 1 else f"{videos} videos"
