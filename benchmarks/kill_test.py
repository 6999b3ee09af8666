"""Kills a run again and again at random moments, then lets it finish: every video once, the same results.

    python benchmarks/kill_test.py                 200 kills (-9) of runs over 60 small videos
    python benchmarks/kill_test.py --kills 20 --videos 12

If a run ends before its kill, it starts again with an empty folder, so that every kill hits a run at work. Half of the
kills come at any moment, half within 0.3 s after another result is written. After every kill, each result is checked to
be whole. At the end one clean run completes the rest and a second one finds nothing to do. The results are those of an
undisturbed run, and no temporary files or processes are left.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import av
import numpy as np

VARYING = ("timings", "path", "kept")  # what is kept has the timings too


def make_videos(folder: Path, count: int) -> None:
    """Clips of moving noise over a colour of their own, 1 to 3 s."""
    folder.mkdir(parents=True)
    for i in range(count):
        rng = np.random.default_rng(i)
        base = rng.integers(0, 200, 3)
        with av.open(str(folder / f"{i:03d}.mp4"), "w") as container:
            stream = container.add_stream("libx264", rate=10, options={"preset": "ultrafast", "threads": "1"})
            stream.height, stream.width, stream.pix_fmt = 160, 224, "yuv420p"
            for _ in range(10 + i % 20):
                coarse = rng.integers(0, 55, (10, 14, 3)) + base
                frame = np.repeat(np.repeat(coarse, 16, 0), 16, 1).astype(np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
            container.mux(stream.encode())


def command(videos: Path, out: Path) -> list[str]:
    return [sys.executable, "-m", "nsnet_cli", "tag", str(videos), "-o", str(out), "--policy", "uniform", "-K", "2"]


def read_results(out: Path) -> dict[str, dict[str, Any]]:
    """All results, without what differs from run to run. Each must parse."""
    rows = {}
    for path in sorted(out.rglob("*.nsnet.json")):
        row = json.loads(path.read_bytes())
        assert row["status"] == "ok", f"{path}: {row['error']}"
        rows[path.name] = {key: value for key, value in row.items() if key not in VARYING}
    return rows


def finish(videos: Path, out: Path) -> dict[str, Any]:
    done = subprocess.run(command(videos, out), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads((out / "run.json").read_text())  # type: ignore[no-any-return]


def kill_once(videos: Path, out: Path, rng: random.Random, whole_s: float) -> bool:
    """Starts a run and kills it (-9) at a random moment. False if it had already ended."""
    process = subprocess.Popen(command(videos, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + rng.uniform(0.05, whole_s)
    if rng.random() < 0.5:
        more = len(list(out.glob("*.nsnet.json"))) + rng.randint(1, 4)
        while process.poll() is None and len(list(out.glob("*.nsnet.json"))) < more:
            time.sleep(0.002)
        deadline = time.monotonic() + rng.uniform(0, 0.3)
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    if process.poll() is not None:
        return False
    process.send_signal(signal.SIGKILL)
    process.wait()
    return True


def strays() -> list[int]:
    """Decode workers whose parent is gone."""
    found = []
    for status in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"nsnet_cli.video.child" in status.read_bytes():
                parent = int((status.parent / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == 1:
                    found.append(int(status.parent.name))
        except (OSError, ValueError):
            continue
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--videos", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        videos, out, calm = (Path(folder, name) for name in ("videos", "out", "calm"))
        make_videos(videos, args.videos)
        whole_s = float("inf")
        for undisturbed in (calm, calm.with_name("timed")):  # the quicker one counts: the first may export the networks
            start = time.perf_counter()
            finish(videos, undisturbed)
            whole_s = min(whole_s, time.perf_counter() - start)
        print(f"one undisturbed run over {args.videos} videos: {whole_s:.1f} s", flush=True)
        kills, completed, seen = 0, 0, Counter[str]()
        while kills < args.kills:
            if kill_once(videos, out, rng, whole_s):
                kills += 1
                if kills % 20 == 0:
                    print(f"{kills} kills", file=sys.stderr, flush=True)
                seen[f"{10 * (len(read_results(out)) * 10 // args.videos)} %"] += 1
            if (out / "run.json").exists():  # it ended before the kill: start again
                completed += 1
                assert read_results(out) == read_results(calm)
                shutil.rmtree(out)
        left = len(read_results(out))
        summary = finish(videos, out)
        assert (summary["skipped"], summary["done"]) == (left, args.videos - left), summary
        again = finish(videos, out)
        assert (again["skipped"], again["done"]) == (args.videos, 0), again
        assert read_results(out) == read_results(calm), "results differ from an undisturbed run's"
        assert not (out / ".nsnet-tmp").exists(), "temporary files are left"
        time.sleep(0.5)
        assert not strays(), f"processes are left: {strays()}"
        print(
            f"{kills} kills; {completed} runs ended before their kill; the clean run did the last {args.videos - left}"
        )
        print("results written when killed:", dict(sorted(seen.items(), key=lambda item: int(item[0].split()[0]))))
        print("each result whole at every kill, each video once, results identical, no stray file or process")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
