"""Measures what the sizing model of docs/scale.md takes, and checks the model against runs on Ray.

    python benchmarks/scale.py --clips FOLDER [--checkpoint imagenet-lite] [--long VIDEO] [--actors 1,2]

FOLDER: short clips, all of about the same length. VIDEO: one of minutes. Core seconds are those of all processes of a
local run, without what a start costs: a run over one clip is taken off. Bytes are what decode processes read (rchar of
/proc). With --actors (needs nsnet[ray]), the clips are tagged on a cluster of so many nodes with one core each; `local`
is one actor with all cores. The rate without the first rows, which pay for the start, is compared with the model's and
with that of --jobs. Linux only. Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processes import family

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from ray_nodes import one_core_nodes

CORES = 1000
SKIPPED_ROWS = 6
"""Rows of a run on a cluster that come before the clock starts."""


@dataclass(frozen=True, slots=True)
class Use:
    """What tagging takes: core seconds of all processes, bytes read, and how much video that was."""

    core_s: float
    read_bytes: float
    video_s: float
    videos: int

    def less(self, other: Use) -> Use:
        return Use(
            self.core_s - other.core_s,
            self.read_bytes - other.read_bytes,
            self.video_s - other.video_s,
            self.videos - other.videos,
        )


def tag(videos: list[Path], checkpoint: str) -> tuple[Use, list[dict[str, Any]]]:
    """Tags videos with one decode process, and returns what it took and the rows."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as listed:
        listed.write("".join(f"{video}\n" for video in videos))
        listed.flush()
        command = [
            sys.executable,
            "-m",
            "nsnet_cli",
            "tag",
            "--from",
            listed.name,
            "--json",
            "-q",
            "-j1",
            "-c",
            checkpoint,
        ]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8")
        read = _Reads(process.pid)
        out, _ = process.communicate()
        rows = [json.loads(line) for line in out.splitlines()]
    assert len(rows) == len(videos) and not any(row["error"] for row in rows), "give videos that can be tagged"
    return Use(read.core_s, read.total, sum(row["duration_s"] for row in rows), len(rows)), rows


class _Reads(threading.Thread):
    """Sums core seconds and bytes read of a process and its descendants, until it ends."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid, self._seen, self._cores = pid, dict[int, int](), dict[int, float]()
        self.start()

    def run(self) -> None:
        ticks = os.sysconf("SC_CLK_TCK")
        while Path(f"/proc/{self._pid}/stat").exists():
            for pid in family(self._pid):
                try:
                    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                    self._cores[pid] = (int(fields[11]) + int(fields[12])) / ticks
                    if pid != self._pid:
                        line = Path(f"/proc/{pid}/io").read_text().splitlines()[0]
                        self._seen[pid] = int(line.split()[1])
                except (OSError, IndexError):
                    continue
            if Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
            time.sleep(0.02)

    @property
    def core_s(self) -> float:
        return sum(self._cores.values())

    @property
    def total(self) -> float:
        return float(sum(self._seen.values()))


def on_ray(videos: list[Path], checkpoint: str, actors: int) -> float:
    """Videos per second on a cluster of `actors` nodes with one core each."""
    with one_core_nodes(actors) as cluster:
        return rate(videos, checkpoint, actors, "--ray", cluster.address)


def rate(videos: list[Path], checkpoint: str, actors: int, *more: str) -> float:
    """Videos per second once all is at work: without the first rows, which pay for the start."""
    command = [sys.executable, "-m", "nsnet_cli", "tag", *map(str, videos), "--json", "-q", "-c", checkpoint, *more]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8", bufsize=1)
    assert process.stdout is not None
    ends = [time.monotonic() for _ in process.stdout]
    process.wait()
    skipped = SKIPPED_ROWS * actors
    return (len(ends) - skipped) / (ends[-1] - ends[skipped - 1])


def local(videos: list[Path], checkpoint: str, cores: int) -> float:
    """The same without Ray: `--jobs` on as many cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:cores])  # the child inherits it
    try:
        return rate(videos, checkpoint, cores, "-j", str(cores))
    finally:
        os.sched_setaffinity(0, before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--checkpoint", default="imagenet-lite")
    parser.add_argument("--long", type=Path)
    parser.add_argument("--actors", default="", help="as in 1,2,local")
    options = parser.parse_args()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    clips = sorted(path for path in options.clips.rglob("*") if path.suffix in (".mp4", ".avi", ".mkv"))
    tag(clips[:1], options.checkpoint)  # exports, if there are none
    one, _ = tag(clips[:1], options.checkpoint)
    rest = tag(clips, options.checkpoint)[0].less(one)
    start = Use(one.core_s - rest.core_s / rest.videos, one.read_bytes - rest.read_bytes / rest.videos, 0.0, 0)
    uses = {"clips": rest}
    if options.long:
        uses["long"] = tag([options.long], options.checkpoint)[0].less(start)
    print(f"{options.checkpoint}, {os.cpu_count()} cores; a start takes {start.core_s:.1f} core seconds\n")
    print("| footage | s per video | core s per video | core s per hour | MB per hour | "
          f"hours for 1,000,000 h on {CORES:,} cores |")  # fmt: skip
    print("| --- | --- | --- | --- | --- | --- |")
    for name, use in uses.items():
        hours = use.video_s / 3600
        per_hour = use.core_s / hours
        print(
            f"| {name} | {use.video_s / use.videos:.1f} | {use.core_s / use.videos:.2f} | {per_hour:,.0f} |"
            f" {use.read_bytes / hours / 1e6:,.0f} | {1e6 * per_hour / CORES / 3600:,.1f} |"
        )
    if options.actors:
        per_video = uses["clips"].core_s / uses["clips"].videos
        print("\n| actors with 1 core | model: videos/s | --jobs on as many cores | Ray | Ray : model | Ray : --jobs |")
        print("| --- | --- | --- | --- | --- | --- |")
        for actors in options.actors.split(","):
            cores = len(os.sched_getaffinity(0)) if actors == "local" else int(actors)
            model, alone = cores / per_video, local(clips, options.checkpoint, cores)
            if actors == "local":
                there = rate(clips, options.checkpoint, cores, "--ray", "local")
            else:
                there = on_ray(clips, options.checkpoint, cores)
            cells = (model, alone, there, there / model, there / alone)
            print(f"| {actors} | " + " | ".join(f"{cell:.2f}" for cell in cells) + " |", flush=True)


if __name__ == "__main__":
    main()
