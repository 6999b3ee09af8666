"""Do all recognisers say the same on a GPU as on the CPU, and how fast are they there?

    python benchmarks/gpu.py --out build/gpu

Needs a GPU that torch sees; nsnet[words] for CLIP. All weights are random and of full size, made on first use, so
nothing is downloaded and nothing here says how right the tags are. For each checkpoint it tags made videos with
`torch-cpu` and with `cuda`, and prints the largest difference of a score, whether the first tags are the same, and
seconds per video, each once warm. Half precision is what `cuda` uses where the network takes it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from actions_speed import actions, placed, prepared, row_text
from safetensors.torch import save_file

PREVIEW = "my-lite0"
TIMM = """
[networks.{name}]
architecture = "{architecture}"
license = "none"
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]
interpolation = "bicubic"
crop = 0.875
vocabulary = "imagenet-1k"
[[networks.{name}.sources]]
kind = "{kind}"
url = "{url}"
sha256 = "{sha256}"
"""
OBJECTS = """
[checkpoints.my-objects]
description = "ResNet-50 of random weights"
license = "none"
preview = {{ network = "{preview}", size_px = 128 }}
recogniser = {{ network = "my-resnet50", size_px = 224 }}
frames = 4
"""
WORDS = ("a birthday cake", "kite surfing", "an empty street", "a dog")


def saved(out: Path, name: str, state: dict[str, torch.Tensor]) -> dict[str, str]:
    """Writes a file of weights once, and puts it where nsnet looks. Returns its source."""
    part = out / name
    if not part.exists():
        save_file({key: value.contiguous() for key, value in state.items()}, part)
    return placed(part, out / "cache")


def prepare(out: Path) -> list[str]:
    """Weights and rows for all checkpoints, in the environment. Returns the names of the checkpoints."""
    import timm

    environment = prepared(out)
    weights = Path(environment["NSNET_WEIGHTS"])
    text = weights.read_text().replace('"efficientnet-lite0"', f'"{PREVIEW}"')
    for name, architecture in ((PREVIEW, "tf_efficientnet_lite0"), ("my-resnet50", "resnet50")):
        torch.manual_seed(0)
        source = saved(out, f"{name}.safetensors", timm.create_model(architecture).state_dict())
        text += TIMM.format(name=name, architecture=architecture, **source)
    text += OBJECTS.format(preview=PREVIEW)
    names = ["my-objects", *(f"my-{name}" for name in actions())]
    try:
        import open_clip
    except ImportError:
        print("open_clip is not here: CLIP is left out", flush=True)
    else:
        torch.manual_seed(0)
        model = open_clip.model.CLIP(**open_clip.get_model_config("ViT-B-32"))
        text += row_text("clip-datacomp", saved(out, "clip.safetensors", model.state_dict())).replace(
            '"efficientnet-lite0"', f'"{PREVIEW}"'
        )
        names.append("my-clip-datacomp")
    weights.write_text(text)
    os.environ |= environment | {"HF_HUB_OFFLINE": "1"}
    return names


def make_videos(folder: Path, count: int, seconds: int = 12) -> list[Path]:
    """Videos of moving stripes and noise: frames that differ."""
    folder.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[0:360, 0:640]
    paths = []
    for n in range(count):
        path = folder / f"{n:02d}.mp4"
        paths.append(path)
        if path.exists():
            continue
        rng = np.random.default_rng(n)
        with av.open(str(path), "w") as out:
            stream = out.add_stream("libx264", rate=25, options={"g": "50", "preset": "ultrafast"})
            stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
            for t in range(25 * seconds):
                if t % 50 == 0:
                    a, b, c = rng.integers(1, 9, 3)
                frame = np.stack([(a * x + t * b) % 256, (b * y + 3 * t) % 256, (x * y // (40 * c) + t) % 256], -1)
                shown = av.VideoFrame.from_ndarray(frame.astype(np.uint8), format="rgb24")
                shown.pts, shown.time_base = t, Fraction(1, 25)
                out.mux(stream.encode(shown))
            out.mux(stream.encode())
    return paths


def looked(checkpoint: str, device: str, videos: list[Path]) -> dict[str, Any]:
    """Scores of all tags by video, and seconds: to start, for the first video, and for the others."""
    from nsnet_cli.tagger import Tagger
    from nsnet_cli.types import TagOptions
    from nsnet_cli.weights.checkpoint import resolve_checkpoint
    from nsnet_cli.weights.wordlist import words_named

    start = time.perf_counter()
    words = words_named(WORDS, "words") if "clip" in checkpoint else None
    found = resolve_checkpoint(checkpoint, words=words)
    options = TagOptions(top_k=1000, frames=4, policy="uniform", precision=0.0)
    tagger = Tagger.from_checkpoint(found, options, device=device)
    ready, scores, seconds = time.perf_counter(), [], []
    for video in videos:
        began = time.perf_counter()
        scores.append({tag.id: tag.score for tag in tagger.tag(video).tags})
        seconds.append(time.perf_counter() - began)
    precision = tagger.engine.precision
    return {"start_s": ready - start, "first_s": seconds[0], "next_s": statistics.median(seconds[1:]),
            "scores": scores, "precision": precision}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/gpu"))
    parser.add_argument("--videos", type=int, default=6)
    parser.add_argument("--devices", nargs=2, default=["torch-cpu", "cuda"])
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    names, videos = prepare(args.out), make_videos(args.out / "videos", args.videos)
    card = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {card}, torch {torch.__version__}")
    for name in names:
        try:
            one, other = (looked(name, device, videos) for device in args.devices)
        except Exception as error:  # the others are still worth knowing
            print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            continue
        pairs = list(zip(one["scores"], other["scores"], strict=True))
        row = {
            "checkpoint": name,
            "precision": other["precision"],
            "first tags the same": f"{sum(max(a, key=a.get) == max(b, key=b.get) for a, b in pairs)} of {len(pairs)}",
            "largest difference": float(f"{max(abs(a[k] - b.get(k, 0)) for a, b in pairs for k in a):.3g}"),
            "largest score": round(max(max(a.values()) for a, _ in pairs), 4),
            **{f"{device} {key}": round(found[key], 2) for device, found in zip(args.devices, (one, other), strict=True)
               for key in ("start_s", "first_s", "next_s")},
        }  # fmt: skip
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
