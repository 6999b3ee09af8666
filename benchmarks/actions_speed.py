"""How fast are actions? Compares `nsnet tag` with what a user would write: 10 clips x 3 crops of each video in torch.

    python benchmarks/actions_speed.py --clips ../shared/data --out build/bench           15 min of 720p, 50 mixed clips
    python benchmarks/actions_speed.py --minutes 1 --mixed 4 --checkpoints kinetics-uniformer      a short try

The weights are random: nothing here says how right the tags are. Whole processes are timed in turn, warm, on the CPU:
ours, the other, ours ... The networks are those of the shipped rows, in the same files. Quote the ratios.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inputs import long_video
from speed import HERE, timed

from nsnet_cli.weights.registry import load_registry, registry_path
from nsnet_cli.weights.rows import UrlSource

CLIPS, CROPS = 10, 3


def actions() -> list[str]:
    return [row.name for row in load_registry().checkpoints.values() if row.recogniser.network.frames > 1]


def row_text(checkpoint: str, source: Mapping[str, Any], tokenizer: Mapping[str, Any] | None = None) -> str:
    """The shipped rows of a checkpoint and its recogniser as TOML, as `my-...` and with other sources."""
    rows = tomllib.loads(registry_path().read_text("utf-8"))
    chosen = rows["checkpoints"][checkpoint]
    name = chosen["recogniser"]["network"]
    network = {key: value for key, value in rows["networks"][name].items() if key not in ("sources", "tokenizer")}
    chosen["recogniser"]["network"] = f"my-{name}"
    tables = {f"[networks.my-{name}]": network, f"[[networks.my-{name}.sources]]": source}
    if tokenizer is not None:
        tables[f"[[networks.my-{name}.tokenizer]]"] = tokenizer
    tables[f"[checkpoints.my-{checkpoint}]"] = chosen
    lines = [[head, *(f"{key} = {_toml(value)}" for key, value in table.items())] for head, table in tables.items()]
    return "\n".join(line for table in lines for line in table) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + " }"
    return json.dumps(value)


def prepared(out: Path) -> dict[str, str]:
    """An environment in which all rows for actions have files of random weights. Made on first use."""
    import torch

    from nsnet_cli.nets.clips import ARCHITECTURES
    from nsnet_cli.weights.vocabulary import load_vocabulary

    cache, text = out / "cache", "schema_version = 1\n"
    for checkpoint in actions():
        use = load_registry().checkpoints[checkpoint].recogniser
        row, part = use.network, out / f"{use.network.name}.pth"
        if not part.exists():
            torch.manual_seed(0)
            net = ARCHITECTURES[row.family][row.architecture](use, len(load_vocabulary(row.vocabulary)))
            torch.save(net.state_dict(), part)
        text += row_text(checkpoint, placed(part, cache))
    weights = (out / "actions.toml").resolve()
    weights.write_text(text)
    return {"NSNET_WEIGHTS": str(weights), "NSNET_CACHE": str(cache.resolve())}


def placed(part: Path, cache: Path) -> dict[str, str]:
    """Copies a file of weights to where nsnet keeps what came from an address. Returns its source, for a row."""
    sha256 = hashlib.sha256(part.read_bytes()).hexdigest()
    source = UrlSource(f"https://example.org/{part.name}", sha256)
    target = cache / "weights" / sha256[:16] / source.file  # as weights/files.py has it
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        shutil.copy(part, target)
    return {"kind": "url", "url": source.url, "sha256": sha256}


def dense(checkpoint: str, paths: list[Path]) -> None:
    """The plain script: 10 clips at even times, three crops along the longer side, the mean of all answers."""
    import torch

    from nsnet_cli.nets.families import load_network
    from nsnet_cli.weights.checkpoint import resolve_checkpoint

    found = resolve_checkpoint(checkpoint)
    network = load_network(found.recogniser)
    for path in paths:
        with torch.inference_mode():
            total = sum(network(crops)[1].softmax(1).sum(0) for crops in read_crops(path, found.recogniser.input))
        assert isinstance(total, torch.Tensor)
        print(f"{found.vocabulary[int(total.argmax())].name}\t{path}")


def read_crops(path: Path, spec: Any) -> list[Any]:
    """The crops of each clip of a video, (CROPS, F, S, S, 3) uint8.

    All are read before a network runs: meanwhile decord would decode on, and fill the memory with it.
    """
    import decord
    import numpy as np
    import torch
    from torch.nn import functional as F

    side = round(spec.size_px / spec.crop)
    reader = decord.VideoReader(str(path))
    count, fps = len(reader), reader.get_avg_fps()
    stride = 0.13 if spec.stride_s == "spread" else float(spec.stride_s)
    found = []
    for start in np.linspace(0, max(0, count - round(spec.frames * stride * fps)), CLIPS):
        wanted = (start + np.arange(spec.frames) * stride * fps).round().astype(int).clip(0, count - 1)
        pixels = torch.from_numpy(reader.get_batch(wanted).asnumpy()).permute(0, 3, 1, 2).float()
        height, width = pixels.shape[-2:]
        scale = side / min(height, width)
        size = (max(side, round(height * scale)), max(side, round(width * scale)))
        pixels = F.interpolate(pixels, size, mode="bilinear", antialias=False)
        longer, middle = max(size) - spec.size_px, (min(size) - spec.size_px) // 2
        views = []
        for at in (longer * n // (CROPS - 1) for n in range(CROPS)):
            top, left = (middle, at) if size[1] >= size[0] else (at, middle)
            views.append(pixels[..., top : top + spec.size_px, left : left + spec.size_px])
        found.append(torch.stack(views).round().to(torch.uint8).permute(0, 1, 3, 4, 2))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--mixed", type=int, default=50, help="how many mixed clips, of all kinds")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--checkpoints", nargs="+", default=actions())
    parser.add_argument("--dense", nargs="+", help=argparse.SUPPRESS)  # CHECKPOINT FILE ...: the other side
    args = parser.parse_args()
    if args.dense:
        return dense(args.dense[0], [Path(path) for path in args.dense[1:]])
    args.out.mkdir(parents=True, exist_ok=True)
    os.environ |= prepared(args.out)
    mixed = sorted(p for kind in ("clips", "workout", "fight") for p in (args.clips / kind).rglob("*.*"))[::2]
    inputs = {
        "long": [long_video(args.minutes, args.clips, args.out)],
        "mixed": mixed[:: max(1, len(mixed) // args.mixed)][: args.mixed],
    }
    results = {}
    for checkpoint in args.checkpoints:
        for name, files in inputs.items():
            paths = [str(path) for path in files]
            ours = [sys.executable, "-m", "nsnet_cli", "tag", "--json", "--quiet", "--device", "cpu"]
            ours += ["--checkpoint", f"my-{checkpoint}", *paths]
            other = [sys.executable, str(HERE / "actions_speed.py"), "--dense", f"my-{checkpoint}", *paths]
            timed(ours)  # exports the networks
            pairs = [(timed(ours)[0], timed(other)[0]) for _ in range(args.runs)]
            found = {
                "videos": len(files),
                "ours_s_per_video": statistics.median(a for a, _ in pairs) / len(files),
                "dense_s_per_video": statistics.median(b for _, b in pairs) / len(files),
                "ratio": statistics.median(b / a for a, b in pairs),
            }
            results[f"{checkpoint} {name}"] = found
            print(f"{checkpoint:22s} {name:5s}  {json.dumps({k: round(v, 2) for k, v in found.items()})}", flush=True)
    (args.out / "actions_speed.json").write_text(json.dumps(results, indent=2))
    return None


if __name__ == "__main__":
    main()
