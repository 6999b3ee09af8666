"""Does `nsnet evaluate` lose a video on a loaded machine? A slow consumer or decoder is not a fault.

    python benchmarks/under_load.py LABELS [--videos 60] [--loops 8] [--cores 2]

LABELS: a CSV with paths and labels. Only its first --videos rows are used. The feature cache is empty at the start, and
the program and --loops busy loops share --cores cores. Prints a JSON object; exit code 1 if a video was lost.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def first_rows(labels: Path, count: int, target: Path) -> int:
    """Writes the first `count` rows with absolute paths and returns their number."""
    with labels.open(newline="", encoding="utf-8") as handle:
        reader = csv.DictReader(handle)
        rows = [row for row, _ in zip(reader, range(count), strict=False)]
    for row in rows:
        row["path"] = str((labels.parent / row["path"]).resolve())
    with target.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return len(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--videos", type=int, default=60)
    parser.add_argument("--loops", type=int, default=8)
    parser.add_argument("--cores", type=int, default=2)
    args = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.cores])  # the children inherit it
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(args.loops)]
    try:
        with tempfile.TemporaryDirectory() as folder:
            labels = Path(folder) / "labels.csv"
            asked = first_rows(args.labels, args.videos, labels)
            command = [sys.executable, "-m", "nsnet_cli", "evaluate", str(labels), "--json", "--device", "cpu"]
            started = time.monotonic()
            done = subprocess.run(
                command,
                stdout=subprocess.PIPE,
                encoding="utf-8",
                env={**os.environ, "NSNET_CACHE": folder},
            )
            seconds = time.monotonic() - started
    finally:
        for loop in loops:
            loop.kill()
    judged = json.loads(done.stdout)["videos"] if done.returncode == 0 else 0
    found = {"asked": asked, "judged": judged, "lost": asked - judged, "exit_code": done.returncode}
    print(json.dumps({**found, "loops": args.loops, "cores": args.cores, "seconds": round(seconds, 1)}))
    return int(judged != asked)


if __name__ == "__main__":
    sys.exit(main())
