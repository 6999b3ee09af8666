"""What does a change cost? Tags the same videos with an older commit and with this checkout, in turn.

    python benchmarks/cost.py COMMIT ../shared/data/workout ../shared/data/fight --pairs 9
    python benchmarks/cost.py COMMIT --minutes 0.67 2 5 --clips ../shared/data --out build/bench

Prints the median ratio (this checkout to COMMIT) of the seconds and of the processor's seconds per pair, with its
standard error. Which of the two goes first changes from pair to pair. Both run with this interpreter, so they share
their dependencies and the exported networks. `--minutes`: files of 720p of these lengths, each measured alone.
"""

from __future__ import annotations

import argparse
import compileall
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from io import BytesIO
from pathlib import Path

from inputs import long_video

HERE = Path(__file__).resolve().parents[1]


def seconds(checkout: Path, videos: list[str]) -> tuple[float, float]:
    """Wall and processor seconds of one run, with those of its decode processes."""
    command = [sys.executable, "-m", "nsnet_cli", "tag", *videos, "--json", "--quiet"]  # imports from its own folder
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=checkout, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) not in (0, 3):  # 3: a video could not be read
        sys.exit(f"the run in {checkout} ended with {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime


def compare(before: Path, videos: list[str], pairs: int) -> None:
    """Tags the videos in turn with both checkouts, and prints the ratios."""
    for checkout in (before, HERE):  # the run exports networks and fills the disk cache
        compileall.compile_dir(checkout / "nsnet_cli", quiet=1)
        seconds(checkout, videos)
    found = []
    for n in range(pairs):
        order = (before, HERE) if n % 2 else (HERE, before)
        took = {checkout: seconds(checkout, videos) for checkout in order}
        found.append([took[HERE][k] / took[before][k] for k in (0, 1)])
        print(f"pair {n + 1}: {took[before][0]:.2f} s and {took[HERE][0]:.2f} s", flush=True)
    for what, ratios in zip(("seconds", "processor seconds"), zip(*found, strict=True), strict=True):
        error = statistics.stdev(ratios) / len(ratios) ** 0.5 if len(ratios) > 1 else float("nan")
        print(f"{what}: this checkout takes {statistics.median(ratios):.3f} ± {error:.3f} times as long")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commit")
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--minutes", nargs="+", type=float, default=[], help="also files of this length")
    parser.add_argument("--clips", type=Path, default=Path("../shared/data"), help="what those files show")
    parser.add_argument("--out", type=Path, default=Path("build/bench"), help="where those files are made")
    parser.add_argument("--pairs", type=int, default=9)
    args = parser.parse_args()
    runs = {"": [str(path.resolve()) for path in args.videos]} if args.videos else {}
    runs |= {f"{m:g} minutes": [str(long_video(m, args.clips, args.out).resolve())] for m in args.minutes}
    with tempfile.TemporaryDirectory() as name:
        archive = subprocess.run(["git", "archive", args.commit], cwd=HERE, stdout=subprocess.PIPE, check=True).stdout
        with tarfile.open(fileobj=BytesIO(archive)) as files:
            files.extractall(name, filter="data")
        for what, videos in runs.items():
            print(what or "videos", flush=True)
            compare(Path(name), videos, args.pairs)


if __name__ == "__main__":
    main()
