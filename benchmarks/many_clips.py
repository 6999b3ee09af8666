"""Memory over thousands of clips: one run of `nsnet tag`, its memory (decode workers included) against the clips done.

    python benchmarks/many_clips.py                2,000 small clips
    python benchmarks/many_clips.py --clips 500

Prints the memory when 50, 500, 1000, ... clips were done, and the growth from file 50 on in percent. Memory is the
proportional set size: what processes share is counted once.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kill_test import make_videos


def family(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*"):
            try:
                found += [int(child) for child in (task / "children").read_text().split()]
            except OSError:
                continue
    return found


def memory_mb(pid: int) -> float:
    total_kb = 0
    for member in family(pid):
        try:
            lines = Path(f"/proc/{member}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total_kb += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total_kb / 1024


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
        samples: list[tuple[int, float]] = []
        while process.poll() is None:
            done = len(list(out.glob("*.nsnet.json"))) if out.exists() else 0
            samples.append((done, memory_mb(process.pid)))
            time.sleep(0.5)
        seconds = time.perf_counter() - start
        assert process.returncode == 0 and len(list(out.glob("*.nsnet.json"))) == args.clips
        print(f"{args.clips} clips in {seconds:.0f} s, {args.clips / seconds:.1f} a second")
        marks = [50, *range(500, args.clips, 500), args.clips - 20]
        base = 0.0
        for mark in marks:
            near = [mb for done, mb in samples if abs(done - mark) <= 20] or [
                min(samples, key=lambda sample: abs(sample[0] - mark))[1]
            ]
            level = sum(near) / len(near)
            base = base or level
            print(f"  at {mark:5d} clips: {level:6.0f} MB  ({(level / base - 1) * 100:+.1f} %)")
        print(f"  peak: {max(mb for _, mb in samples):.0f} MB")


if __name__ == "__main__":
    main()
