"""How long does `nsnet export` take over many kept results, with the videos gone?

    python benchmarks/export_speed.py --results 1000 --to xmp,parquet,vtt
    python benchmarks/export_speed.py --results 1000 --to xmp,parquet,vtt --looked RESULTS --precision 0.9

It makes the results (24 preview frames, 5 tags, 3 of them certain with 2 spans each), or copies those of RESULTS with
their looks. Then it runs the command twice: into a new folder, and again, when every file is right already. It prints
seconds of the whole command, start included.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from nsnet_cli.media import VideoInfo
from nsnet_cli.outputs.kept_files import kept_path
from nsnet_cli.outputs.store import SUFFIX, ResultStore
from nsnet_cli.types import (
    Cost,
    Evidence,
    ModelInfo,
    SalientFrame,
    SamplingInfo,
    Source,
    Span,
    Tag,
    Timings,
    VideoResult,
)

NAMES = ("cat", "dog", "violin", "kayak", "street sign", "goat", "espresso", "bookcase")


def result(path: str, chance: random.Random) -> VideoResult:
    """A made-up result of a video of a minute, as large as a real one."""
    frames = tuple(SalientFrame(t, 0.9) for t in sorted(chance.uniform(0, 60) for _ in range(4)))
    evidence = tuple(Evidence(frame.pts_s, frame.saliency, 0.8) for frame in frames[:3])
    tags = []
    for i, name in enumerate(chance.sample(NAMES, 5)):
        ends = sorted(chance.uniform(0, 60) for _ in range(4))
        spans = (Span(ends[0], ends[1], 0.9), Span(ends[2], ends[3], 0.85)) if i < 3 else ()
        tags.append(Tag(f"n{i:08d}", name, 0.8, evidence, 0.9, i < 3, ("thing", "whole", "object"), spans))
    return VideoResult(
        path=path,
        status="ok",
        duration_s=60.0,
        tags=tuple(tags),
        salient_frames=frames,
        sampling=SamplingInfo("nsnet", "keys", 24, 4, interval_s=2.5),
        model=ModelInfo("imagenet-lite", "0123456789abcdef"),
        cost=Cost(24, 0, 7.4, 26.1),
        timings=Timings(0.2, 0.1, 0.0, 0.0, 0.3),
        info=VideoInfo(path, "mov,mp4", "h264", 1280, 720, 0, 60.0, 29.97, 24),
        precision=0.8,
    )


def made(folder: Path, count: int) -> None:
    """Made results without looks."""
    store, chance = ResultStore(folder), random.Random(0)
    store.check()
    for i in range(count):
        name = f"{i // 100:03d}/{i:06d}.mp4"
        store.save(name, result(name, chance), "0123456789abcdef", Source(f"/gone/{name}", 1, 1))
    store.close()


def copied(folder: Path, looked: Path, count: int) -> None:
    """Copies of real results and their looks, under other names, of videos that are gone."""
    there = sorted(looked.rglob("*" + SUFFIX))
    for i in range(count):
        file = there[i % len(there)]
        name = f"{i // 100:03d}/{i:06d}.mp4"
        row = json.loads(file.read_bytes()) | {"path": f"/gone/{name}", "source": f"/gone/{name}"}
        target = folder / (name + SUFFIX)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(row))
        shutil.copyfile(kept_path(file), kept_path(target))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=int, default=1000)
    parser.add_argument("--to", default="xmp,parquet,vtt")
    parser.add_argument("--looked", type=Path, help="results of `nsnet tag -o`, whose looks are copied")
    parser.add_argument("--precision", help="another than that of the results: all are rendered anew from their looks")
    parser.add_argument("--folder", type=Path, help="where to make the results (default: the system's)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nsnet-export-", dir=args.folder) as folder:
        if args.looked:
            copied(Path(folder), args.looked, args.results)
        else:
            made(Path(folder), args.results)
        command = [sys.executable, "-m", "nsnet_cli", "export", folder, "--to", args.to]
        command += ["--precision", args.precision] if args.precision else []
        for what in ("into a new folder", "again"):
            start_s = time.perf_counter()
            done = subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            print(f"{args.results} results to {args.to}, {what}: {time.perf_counter() - start_s:.1f} s")
        print(done.stderr)


if __name__ == "__main__":
    main()
