"""Memory of one run of `nsnet tag` over thousands of clips, decode workers included.

    python benchmarks/many_clips.py                2,000 small clips
    python benchmarks/many_clips.py --clips 500

Prints the memory after 50, 500, 1000, ... clips, and the growth since clip 50 in percent. Memory is the proportional
set size: what processes share is counted once.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from kill_test import make_videos
from processes import family


def memory_mb(pid: int) -> tuple[float, float]:
    """Memory of the program itself and of its decode workers."""
    parts = []
    for member in family(pid):
        try:
            lines = Path(f"/proc/{member}/smaps_rollup").read_text().splitlines()
        except OSError:
            lines = []
        parts.append(sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024)
    return parts[0], sum(parts[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--policy", default="nsnet")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        seeds, clips, out = (Path(name, part) for part in ("seeds", "clips", "out"))
        make_videos(seeds, 40)
        clips.mkdir()
        sources = sorted(seeds.iterdir())
        for i in range(args.clips):
            (clips / f"{i:05d}.mp4").hardlink_to(sources[i % len(sources)])
        command = [sys.executable, "-m", "nsnet_cli", "tag", str(clips), "-o", str(out), "--policy", args.policy, "-q"]
        start = time.perf_counter()
        process = subprocess.Popen(command)
        samples: list[tuple[int, float, float]] = []
        while process.poll() is None:
            done = len(list(out.glob("*.nsnet.json"))) if out.exists() else 0
            samples.append((done, *memory_mb(process.pid)))
            time.sleep(0.5)
        seconds = time.perf_counter() - start
        assert process.returncode == 0 and len(list(out.glob("*.nsnet.json"))) == args.clips
        print(f"{args.clips} clips in {seconds:.0f} s, {args.clips / seconds:.1f} per second")
        base = 0.0
        for mark in [50, *range(100, args.clips, max(100, args.clips // 10)), args.clips - 20]:
            near = sorted(samples, key=lambda sample: abs(sample[0] - mark))[:40]
            program, workers = (median(sample[k] for sample in near) for k in (1, 2))
            base = base or program + workers
            change = ((program + workers) / base - 1) * 100
            print(f"  at {mark:5d} clips: {program:5.0f} MB + workers {workers:4.0f} MB  ({change:+.1f} %)")
        print(f"  peak: {max(program + workers for _, program, workers in samples):.0f} MB")


if __name__ == "__main__":
    main()
