"""How much memory does training take with the features of 100,000 videos?

    python benchmarks/train_size.py --work build/train-size --json train_size.json

It makes files that stand for videos, a label file, and the features of each as the cache keeps them: of the default
checkpoint's networks, with as many numbers as real ones, four salient frames in each video. Then it runs `nsnet train`
as a process of its own on them, and prints the most memory that was resident in it. Nothing is decoded.

With `--distinct N` only N videos have features of their own, and the files of the others are links to them: the disk
needs 220 KB per distinct video, memory and work are the same.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from nsnet_cli.labelled.features import FeatureCache, content_hash, entry_key
from nsnet_cli.labelled.gather import ReadSettings
from nsnet_cli.training.train import feature_width
from nsnet_cli.weights.checkpoint import resolve_checkpoint

SHOWN = 4
"""Frames of a video that show its class."""
OUTPUTS = 1000


def made_features(rng: np.random.Generator, label: int, frames: int, width: int) -> np.ndarray:
    """Features (T, D): one of eight backgrounds that all classes share, and SHOWN frames of the class."""
    features = rng.normal(0, 0.5, (frames, width)).astype(np.float32)
    features[:, 500 + int(rng.integers(8))] += 6
    start = int(rng.integers(0, frames - SHOWN + 1))
    features[start : start + SHOWN, label] += 6
    return features.astype(np.float16)


def make(work: Path, videos: int, classes: int, frames: int, distinct: int) -> tuple[Path, int]:
    """Writes what is missing of videos, labels and features. Returns the label file and the bytes of all features."""
    base = resolve_checkpoint("imagenet-lite")
    read = ReadSettings(base.preview_frames, "cpu", "auto", 0).options(base)
    roles = {"preview": base.preview, "recogniser": base.recogniser}
    widths = {role: feature_width(use) for role, use in roles.items()}
    cache, rng = FeatureCache(work / "cache" / "features"), np.random.default_rng(0)
    first: dict[tuple[int, str], Path] = {}
    rows, total = ["path,label"], 0
    for index in range(videos):
        label = index % classes
        path = work / "videos" / f"{index // 1000:03d}" / f"{index:06d}.mp4"
        rows.append(f"{path.relative_to(work)},class {label:03d}")
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"stands for video {index}\n")
        content = content_hash(path)
        for role, use in roles.items():
            entry = cache.path(entry_key(content, read, use, role))
            same = first.setdefault((index % distinct, role), entry)
            if not entry.exists():
                entry.parent.mkdir(parents=True, exist_ok=True)
                if same != entry:
                    os.link(same, entry)
                else:
                    arrays = {
                        "pts_s": (np.arange(frames) + 0.5) / 2,
                        "features": made_features(rng, label, frames, widths[role]),
                        "outputs": rng.random((frames, OUTPUTS), np.float32).astype(np.float16),
                    }
                    part = entry.with_suffix(".part")
                    part.write_bytes(save(arrays, metadata={"duration_s": str(frames / 2)}))
                    part.rename(entry)
            total += entry.stat().st_size
    labels = work / "labels.csv"
    labels.write_text("\n".join(rows) + "\n")
    return labels, total


def train(labels: Path, work: Path, epochs: int, device: str) -> tuple[float, float]:
    """Runs `nsnet train`. Returns seconds, and the most resident GB of its process."""
    command = [sys.executable, "-m", "nsnet_cli", "train", str(labels), "-o", str(work / "trained")]
    start = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--epochs", str(epochs), "--device", device], env={**os.environ, "NSNET_CACHE": str(work / "cache")}
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"nsnet train ended with {process.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024
    return time.perf_counter() - start, usage.ru_maxrss * unit / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="where the made files are kept")
    parser.add_argument("--videos", type=int, default=100_000)
    parser.add_argument("--distinct", type=int, help="videos with features of their own; default: all")
    parser.add_argument("--classes", type=int, default=20, help="--distinct must be a multiple of it")
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    args = parser.parse_args()
    distinct = args.distinct or args.videos
    if distinct % args.classes:
        parser.error("--distinct must be a multiple of --classes")
    labels, total = make(args.work, args.videos, args.classes, args.frames, distinct)
    print(f"{args.videos} videos, features of {total / 1e9:.1f} GB", flush=True)
    seconds, resident_gb = train(labels, args.work, args.epochs, args.device)
    config = json.loads((args.work / "trained" / "config.json").read_text())
    found = {
        "videos": args.videos,
        "distinct": distinct,
        "classes": args.classes,
        "features_gb": round(total / 1e9, 2),
        "epochs": args.epochs,
        "device": args.device,
        "seconds": round(seconds),
        "most_resident_gb": round(resident_gb, 2),
        "metrics": config["metrics"],
    }
    print(json.dumps(found, indent=2))
    if args.json:
        args.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
