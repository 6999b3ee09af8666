"""How fast is nsnet beside the research samplers? Shapes of three published ones, on the same files and cores.

    python benchmarks/samplers.py --clips ../shared/data --out build/bench --minutes 2 15

Built here from torchvision's networks with random weights, so only the seconds mean anything:

    ocsampler    10 previews by MobileNetV2-TSM at 128 px, then ResNet-50 on 6 frames at 224 px
    frameexit    ResNet-50 at 224 px on one frame after another until a gate stops it: 6 of at most 10
    adafocus     16 glances by MobileNetV2 at 224 px, then ResNet-50 on a patch of 128 px of each (AdaFocus V2)

Each runs in torch, as published, and with its networks in OpenVINO, as nsnet's are. Frames come from decord, as in
their code, and are scaled by Pillow. nsnet runs beside them with its default checkpoint and options.

Every shape has a process of its own, with `--threads` threads for its networks. All are warm: start-up and a first run
are not counted. Then they run in turn, one at a time. Figures are medians; quote the ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import torch

SHAPES = ("ocsampler", "frameexit", "adafocus")
FORMS = ("torch", "openvino")
FRAMES = {"ocsampler": 10, "frameexit": 10, "adafocus": 16}
"""Frames that are decoded, evenly spaced."""
RECOGNISED = 6
"""Frames that OCSampler keeps, and after which FrameExit stops."""
SHORT_SIDE_PX, SIDE_PX, PREVIEW_PX, PATCH_PX = 256, 224, 128, 128
CLASSES = 200
"""Those of ActivityNet, on which all three were published."""
SHIFTED = 8
"""A temporal shift moves one channel in this many to the frame before, and as many to the frame after."""

Network = Callable[..., "np.ndarray"]
"""Arrays in, one array out; in torch or in OpenVINO."""
Seconds = tuple[float, float]
"""Of decoding and of the networks."""


# ---- the shapes, in a process of their own --------------------------------------------------------------------------


def decoded(path: Path, count: int) -> np.ndarray:
    """Evenly spaced frames as float32 (count, 3, SIDE_PX, SIDE_PX): decord, short side to 256 px, middle cut out."""
    import decord
    import numpy as np
    from PIL import Image

    reader = decord.VideoReader(str(path))
    at = (np.arange(count) + 0.5) / count * len(reader)
    frames = []
    for pixels in reader.get_batch(at.astype(int)).asnumpy():
        image = Image.fromarray(pixels)
        cut = SIDE_PX / SHORT_SIDE_PX * min(image.size)
        left, top = (image.width - cut) / 2, (image.height - cut) / 2
        small = image.resize((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR, (left, top, left + cut, top + cut))
        frames.append(np.asarray(small))
    mean, std = np.float32([123.675, 116.28, 103.53]), np.float32([58.395, 57.12, 57.375])
    return ((np.stack(frames) - mean) / std).transpose(0, 3, 1, 2)


def temporal_shift(x: torch.Tensor) -> torch.Tensor:
    """Moves some channels of (T, C, H, W) one frame back and some one frame ahead, as TSM does."""
    import torch

    part = x.shape[1] // SHIFTED
    none = torch.zeros_like(x[:1, :part])
    ahead = torch.cat([x[1:, :part], none])
    back = torch.cat([none, x[:-1, part : 2 * part]])
    return torch.cat([ahead, back, x[:, 2 * part :]], 1)


def mobilenet(shifting: bool) -> torch.nn.Module:
    """MobileNetV2 without its classifier: (T, 3, S, S) -> (T, 1280). `shifting`: with TSM in its residual blocks."""
    import torch
    from torchvision.models import mobilenet_v2
    from torchvision.models.mobilenetv2 import InvertedResidual

    class Shifting(torch.nn.Module):
        def __init__(self, inner: torch.nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(temporal_shift(x))

    network = mobilenet_v2(weights=None)
    network.classifier = torch.nn.Identity()
    for block in network.features if shifting else ():
        if isinstance(block, InvertedResidual) and block.use_res_connect:
            block.conv[0] = Shifting(block.conv[0])
    return network.eval()


def shrinking(network: torch.nn.Module) -> torch.nn.Module:
    """The network behind a step that shrinks frames to PREVIEW_PX."""
    import torch

    size = (PREVIEW_PX, PREVIEW_PX)
    return torch.nn.Sequential(torch.nn.Upsample(size, mode="bilinear", align_corners=False), network).eval()


def resnet() -> torch.nn.Module:
    """ResNet-50 without its classifier: (K, 3, S, S) -> (K, 2048)."""
    import torch
    from torchvision.models import resnet50

    network = resnet50(weights=None)
    network.fc = torch.nn.Identity()
    return network.eval()


def head(features: int, classes: int, hidden: int = 0) -> torch.nn.Module:
    import torch

    if not hidden:
        return torch.nn.Linear(features, classes).eval()
    layers = torch.nn.Linear(features, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, classes)
    return torch.nn.Sequential(*layers).eval()


class InTorch:
    """Networks as they are published: torch, float32, no gradients."""

    def __init__(self, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)

    def network(self, module: torch.nn.Module, *shape: int) -> Network:
        import numpy as np
        import torch

        def run(x: np.ndarray) -> np.ndarray:
            with torch.inference_mode():
                return module(torch.from_numpy(np.ascontiguousarray(x))).numpy()

        return run


class InOpenVINO:
    """The same networks as OpenVINO graphs of a fixed shape, as in nsnet's CPU engine."""

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def network(self, module: torch.nn.Module, *shape: int) -> Network:
        import numpy as np
        import openvino
        import torch

        with torch.no_grad():
            graph = openvino.convert_model(module, example_input=torch.zeros(shape), input=list(shape))
        settings = {"INFERENCE_NUM_THREADS": self.threads, "PERFORMANCE_HINT": "LATENCY"}
        compiled = openvino.Core().compile_model(graph, "CPU", settings)
        return lambda x: np.asarray(compiled(np.ascontiguousarray(x))[0])


def ocsampler(form: InTorch | InOpenVINO) -> Callable[[np.ndarray], object]:
    """All previews at once choose the frames; the recogniser sees them in one batch."""
    import numpy as np

    count = FRAMES["ocsampler"]
    preview = form.network(shrinking(mobilenet(shifting=True)), count, 3, SIDE_PX, SIDE_PX)
    policy = form.network(head(1280, 1, hidden=512), count, 1280)
    recognise = form.network(resnet(), RECOGNISED, 3, SIDE_PX, SIDE_PX)
    classify = form.network(head(2048, CLASSES), RECOGNISED, 2048)

    def run(frames: np.ndarray) -> object:
        scores = policy(preview(frames))[:, 0]
        return classify(recognise(frames[np.argsort(-scores)[:RECOGNISED]])).mean(0).argmax()

    return run


def frameexit(form: InTorch | InOpenVINO) -> Callable[[np.ndarray], object]:
    """One frame after another. A gate looks at what was gathered; random gates never stop, so the count does."""
    import numpy as np

    recognise = form.network(resnet(), 1, 3, SIDE_PX, SIDE_PX)
    gate = form.network(head(2 * 2048, 1, hidden=64), 1, 2 * 2048)
    classify = form.network(head(2048, CLASSES), 1, 2048)

    def run(frames: np.ndarray) -> object:
        gathered = before = recognise(frames[:1])
        for i in range(1, RECOGNISED):
            gathered = np.maximum(gathered, recognise(frames[i : i + 1]))
            gate(np.concatenate([gathered, before], 1))
            before = gathered
        return classify(gathered).argmax()

    return run


def adafocus(form: InTorch | InOpenVINO) -> Callable[[np.ndarray], object]:
    """A glance at every frame says where its patch lies; both features are classified."""
    import numpy as np

    count = FRAMES["adafocus"]
    glance = form.network(mobilenet(shifting=False), count, 3, SIDE_PX, SIDE_PX)
    where = form.network(head(1280, 2, hidden=512), count, 1280)
    recognise = form.network(resnet(), count, 3, PATCH_PX, PATCH_PX)
    classify = form.network(head(1280 + 2048, CLASSES), count, 1280 + 2048)

    def run(frames: np.ndarray) -> object:
        seen = glance(frames)
        corners = ((1 / (1 + np.exp(-where(seen)))) * (SIDE_PX - PATCH_PX)).astype(int)
        patches = [f[:, y : y + PATCH_PX, x : x + PATCH_PX] for f, (y, x) in zip(frames, corners, strict=True)]
        return classify(np.concatenate([seen, recognise(np.stack(patches))], 1)).mean(0).argmax()

    return run


def research(shape: str, form: str, threads: int) -> Callable[[Path], Seconds]:
    """Returns what decodes a file and runs a shape's networks on it."""
    import torch

    torch.manual_seed(0)
    make = {"ocsampler": ocsampler, "frameexit": frameexit, "adafocus": adafocus}[shape]
    networks = make({"torch": InTorch, "openvino": InOpenVINO}[form](threads))

    def run(path: Path) -> Seconds:
        start = time.perf_counter()
        frames = decoded(path, FRAMES[shape])
        middle = time.perf_counter()
        networks(frames)
        return middle - start, time.perf_counter() - middle

    return run


def nsnet(threads: int) -> Callable[[Path], Seconds]:
    """Returns what tags a file. Decoding and networks overlap, so all its seconds stand under decoding."""
    from nsnet_cli.reading import read_options
    from nsnet_cli.tagger import Tagger
    from nsnet_cli.types import TagOptions
    from nsnet_cli.video.pool import DecodePool
    from nsnet_cli.weights.checkpoint import resolve_checkpoint

    checkpoint = resolve_checkpoint("imagenet-lite")
    options = TagOptions(frames=checkpoint.frames, preview=checkpoint.preview_frames)
    read = read_options(checkpoint, options, jpegs=False, threads=threads, in_rounds=True)
    tagger = Tagger.from_checkpoint(checkpoint, options, device="cpu", read=read)
    pool = DecodePool(1)
    pool.start()

    def run(path: Path) -> Seconds:
        start = time.perf_counter()
        tagger.tag(path, open=pool.open)
        return time.perf_counter() - start, 0.0

    return run


def serve(shape: str, form: str, threads: int) -> None:
    """Answers each path on stdin with its seconds on stdout."""
    warnings.simplefilter("ignore")  # the tracer behind the conversion is deprecated
    run = nsnet(threads) if shape == "nsnet" else research(shape, form, threads)
    for line in sys.stdin:
        print(json.dumps(run(Path(line.rstrip("\n")))), flush=True)


# ---- the comparison -------------------------------------------------------------------------------------------------


class Served:
    """A process that runs one shape."""

    def __init__(self, shape: str, form: str, threads: int) -> None:
        command = [sys.executable, str(Path(__file__).resolve()), "--serve", shape, form, "--threads", str(threads)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, path: Path) -> Seconds:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{' '.join(self.process.args[2:])} ended with {self.process.wait()}")  # type: ignore[index]
        decode_s, networks_s = json.loads(line)
        return decode_s, networks_s

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def in_turn(shapes: dict[str, Served], path: Path, runs: int) -> dict[str, dict[str, float]]:
    """Medians of the seconds of each shape, and of how many times as long as nsnet it takes, round by round."""
    for served in shapes.values():
        served.run(path)
    rounds = [{name: served.run(path) for name, served in shapes.items()} for _ in range(runs)]
    return {
        name: {
            "decode_s": statistics.median(each[name][0] for each in rounds),
            "networks_s": statistics.median(each[name][1] for each in rounds),
            "all_s": statistics.median(sum(each[name]) for each in rounds),
            "times_nsnet": statistics.median(sum(each[name]) / sum(each["nsnet"]) for each in rounds),
        }
        for name in shapes
    }


def table(found: dict[str, dict[str, float]]) -> str:
    lines = [f"{'':22s} {'decode':>8s} {'networks':>9s} {'all':>8s} {'times nsnet':>12s}"]
    for name, of in found.items():
        parts = ("", "") if name == "nsnet" else (f"{of['decode_s']:.2f}", f"{of['networks_s']:.2f}")
        lines.append(f"{name:22s} {parts[0]:>8s} {parts[1]:>9s} {of['all_s']:8.2f} {of['times_nsnet']:12.2f}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    parser.add_argument("--minutes", type=float, nargs="+", default=[2, 15])
    parser.add_argument("--videos", type=Path, nargs="+", default=[], help="these files instead of made ones")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=SHAPES)
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=FORMS)
    parser.add_argument("--serve", nargs=2, metavar=("SHAPE", "FORM"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        return serve(*args.serve, args.threads)
    videos: list[Path] = args.videos
    if not videos:
        from inputs import long_video

        videos = [long_video(minutes, args.clips, args.out) for minutes in args.minutes]
    kinds = [("nsnet", ""), *((shape, form) for shape in args.shapes for form in args.forms)]
    shapes = {f"{shape} {form}".strip(): Served(shape, form, args.threads) for shape, form in kinds}
    results: dict[str, Any] = {}
    for video in videos:
        results[str(video)] = in_turn(shapes, video, args.runs)
        print(f"{video}\n{table(results[str(video)])}\n", flush=True)
    for served in shapes.values():
        served.close()
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "samplers.json").write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
