"""Is any video lost or doubled when nodes, actors and drivers of a Ray cluster are killed?

    python benchmarks/ray_faults.py [--videos 200] [--times 5]

Needs nsnet[ray]. Starts a cluster of two nodes with one core each, and for each kind of fault, --times times: a third
node that is killed with all its processes in mid-run; a driver that is killed and started again; a video that kills its
actor whenever it is read. The rows must be those of a local run without timings, each video once; the deadly video's is
an error (`crashed`). Prints a Markdown table; exit code 1 if a row is missing, doubled or different.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kill_test import make_videos

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from ray_nodes import DEADLY, NODE, one_core_nodes

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests"


def start(*args: str | Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", DEADLY, "tag", "--quiet", *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8")


def plain(row: dict[str, Any]) -> str:
    """What of a row must be equal in all runs."""
    left_out = ("timings", "kept")
    return json.dumps({key: value for key, value in row.items() if key not in left_out}, sort_keys=True)


def compare(found: list[dict[str, Any]], expected: dict[str, str], deadly: str) -> tuple[int, int, int]:
    """How many videos have no row, more than one, or another one than in a local run."""
    counts = Counter(row["path"] for row in found)
    missing = len((set(expected) | {deadly}) - set(counts))
    doubled = sum(count > 1 for count in counts.values())
    kinds = [(row["error"] or {}).get("kind") for row in found if row["path"] == deadly]
    others = [row for row in found if row["path"] != deadly]
    different = sum(plain(row) != expected.get(row["path"]) for row in others) + (kinds not in ([], ["crashed"]))
    return missing, doubled, different


def printed(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in process.communicate()[0].splitlines()]


def node_killed(cluster: Any, folder: Path, out: Path) -> list[dict[str, Any]]:
    import psutil  # Ray brings it

    node = cluster.add_node(**NODE)
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    process = start(folder, "--json", "--ray", cluster.address)

    def workers() -> list[Any]:
        return [child for child in raylet.children(recursive=True) if "VideoActor" in " ".join(child.cmdline())]

    while process.poll() is None and not workers():
        time.sleep(0.1)
    time.sleep(random.uniform(0, 5))
    for victim in [raylet, *raylet.children(recursive=True)]:
        os.kill(victim.pid, signal.SIGKILL)
    found = printed(process)
    cluster.remove_node(node)
    return found


def driver_killed(cluster: Any, folder: Path, out: Path) -> list[dict[str, Any]]:
    command = (folder, "-o", out, "--ray", cluster.address)
    process = start(*command)
    while process.poll() is None and not any(out.rglob("*.nsnet.json")):
        time.sleep(0.1)
    time.sleep(random.uniform(0, 5))
    process.kill()
    process.communicate()
    start(*command).communicate()
    rows = [json.loads(path.read_bytes()) for path in out.rglob("*.nsnet.json")]
    kept_only = ("source", "source_size_bytes", "source_mtime_ns", "fingerprint", "shown")
    return [{key: value for key, value in row.items() if key not in kept_only} for row in rows]


def actor_killed(cluster: Any, folder: Path, out: Path) -> list[dict[str, Any]]:
    return printed(start(folder, "--json", "--ray", cluster.address))


FAULTS: dict[str, Callable[[Any, Path, Path], list[dict[str, Any]]]] = {
    "a node is killed": node_killed,
    "the driver is killed, and started again": driver_killed,
    "only the deadly video": actor_killed,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=200)
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": f"{TESTS}{os.pathsep}{ROOT}"}
    wrong = 0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "videos"
        make_videos(folder, options.videos)
        first = min(folder.rglob("*.mp4"))
        deadly = first.with_name("deadly.mp4")
        expected = {row["path"]: plain(row) for row in printed(start(folder, "--json"))}
        deadly.write_bytes(first.read_bytes())
        with one_core_nodes(2) as cluster:
            print("| fault | run | rows | missing | doubled | different | s |")
            print("| --- | --- | --- | --- | --- | --- | --- |")
            for name, fault in FAULTS.items():
                for number in range(1, options.times + 1):
                    began = time.monotonic()
                    found = fault(cluster, folder, Path(place) / f"out-{number}")
                    faults = compare(found, expected, str(deadly))
                    wrong += sum(faults)
                    cells = [name, number, len(found), *faults, round(time.monotonic() - began)]
                    print("| " + " | ".join(map(str, cells)) + " |", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
