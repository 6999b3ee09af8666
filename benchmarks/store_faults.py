"""Tags many videos in a bucket while requests fail, and counts rows that are lost, wrong or doubled. Prints Markdown.

    python benchmarks/store_faults.py --videos 300 --share 0.05

moto's S3 server on 127.0.0.1 refuses a share of all requests for objects: 403, 404, 412, 416, 503, a connection that is
cut in the middle of a body, and a slow answer, in turn. `nsnet tag` reads the videos from one prefix and keeps results
below another. Then the same command runs again with `--retry-failed`: once with the same faults, once without any.
Needs nsnet[remote] and moto[server].
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from s3_server import S3Server, s3_server
from video_files import make_video

FAULTS = (403, 404, 412, 416, 503, "cut", "slow")
SLOW_S = 3.0
CONTENTS = 6
"""Different videos; the others are copies under names of their own."""
KINDS = {
    "permission_denied", "not_found", "changed", "range_refused", "store_busy", "connection_cut", "store_timeout",
    "output",
}  # fmt: skip
"""What rows of videos may say that met a fault."""


class Faults:
    """Decides which requests fail. `counts`: how many of each kind so far."""

    def __init__(self, share: float, seed: int) -> None:
        self._random, self._share, self._lock = random.Random(seed), share, threading.Lock()
        self.counts: Counter[str] = Counter()
        self.requests = 0

    def __call__(self, method: str, path: str) -> int | str | None:
        if path.count("/") < 2 or path.endswith("/"):  # a listing, which is one request for all videos
            return None
        with self._lock:
            self.requests += 1
            if self._random.random() >= self._share:
                return None
            fault = FAULTS[self.counts.total() % len(FAULTS)]
            self.counts[str(fault)] += 1
        if fault == "slow":
            time.sleep(SLOW_S)
            return None
        return fault


def fill(files: Any, folder: Path, videos: int) -> None:
    for n in range(CONTENTS):
        make_video(folder / f"content-{n}.mp4", frames=24, first=24 * n)
    for n in range(videos):
        content = (folder / f"content-{n % CONTENTS}.mp4").read_bytes()
        files.pipe_file(f"bucket/videos/{n % 7}/clip-{n:04d}.mp4", content)


def tag(*arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    """Exit code, rows, and what was said last."""
    command = [sys.executable, "-m", "nsnet_cli", "tag", "--json", "--policy", "uniform", "--frames", "1", *arguments]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    said = [line for line in done.stderr.splitlines() if " videos in " in line or line.startswith("nsnet:")]
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], " ".join(said)


def seen(row: dict[str, Any]) -> str:
    """What must be equal in rows of equal videos."""
    return json.dumps([row["tags"], row["duration_s"], row["salient_frames"], row["sampling"]], sort_keys=True)


def judged(rows: list[dict[str, Any]], names: set[str], right: dict[int, str]) -> list[int]:
    """Right rows, rows with an error of the faults, and what must be 0: lost, doubled and wrong rows."""
    count = Counter(row["path"] for row in rows)
    fine = sum(row["error"] is None and seen(row) == right[number(row["path"]) % CONTENTS] for row in rows)
    told = sum(row["error"] is not None and row["error"]["kind"] in KINDS for row in rows)
    return [fine, told, len(names - set(count)), count.total() - len(count), len(rows) - fine - told]


def number(path: str) -> int:
    return int(Path(path).stem.partition("-")[2])


def kept(files: Any) -> list[dict[str, Any]]:
    files.invalidate_cache()
    names = [name for name in files.find("bucket/results") if name.endswith(".nsnet.json")]
    return [json.loads(data) for data in files.cat(names).values()] if names else []


def runs(server: S3Server, files: Any, share: float, right: dict[int, str], names: set[str]) -> None:
    head = ["run", "rows", "requests", "failed", "right rows", "rows with an error", "lost", "doubled", "wrong", "said"]
    print(f"| {' | '.join(head)} |\n| {' | '.join(['---'] * len(head))} |")
    for label, part, more in (
        ("with faults", share, []),
        ("again, with faults", share, ["--retry-failed"]),
        ("again, without", 0.0, ["--retry-failed"]),
    ):
        server.fault = faults = Faults(part, seed=len(label))
        code, shown, said = tag("s3://bucket/videos", "-o", "s3://bucket/results", *more)
        server.fault = lambda method, path: None
        there = kept(files)
        skipped = {row["path"] for row in there} - {row["path"] for row in shown}
        printed = judged(shown, names - skipped, right)
        words = f"exit {code}: {said}"
        for what, cells in (("printed", printed), ("kept", judged(there, names, right))):
            start = [label, what, faults.requests, faults.counts.total()]
            print(f"| {' | '.join(map(str, [*start, *cells, words if what == 'kept' else '']))} |")
        print(f"<!-- {dict(faults.counts)} -->", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=300)
    parser.add_argument("--share", type=float, default=0.05, help="of the requests for objects that fail")
    args = parser.parse_args()
    import s3fs

    with s3_server() as server, tempfile.TemporaryDirectory() as temporary:
        os.environ.update(server.environment)
        files = s3fs.S3FileSystem(use_listings_cache=False)
        files.mkdir("bucket")
        fill(files, Path(temporary), args.videos)
        _, local, _ = tag(temporary)
        right = {number(row["path"]): seen(row) for row in local}
        names = {f"s3://{name}" for name in files.find("bucket/videos")}
        runs(server, files, args.share, right, names)


if __name__ == "__main__":
    main()
