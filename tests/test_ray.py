"""`nsnet tag --ray` on real clusters of this machine, with nodes, actors and drivers that are killed.

A cluster takes 10 s and more to start, so all tests share one of two nodes; only one test starts another.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import pan, write_video
from ray_nodes import DEADLY, NODE, one_core_nodes

ray = pytest.importorskip("ray", reason="needs ray: pip install 'nsnet[ray]'")
pytestmark = pytest.mark.slow

TESTS = Path(__file__).parent
COUNT = 16
CHEAP = ("--policy", "uniform", "--frames", "1", "--top-k", "1")
Out = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes with one core each. Others can be added."""
    before = dict(os.environ)
    os.environ |= {"PYTHONPATH": str(TESTS), "RAY_USAGE_STATS_ENABLED": "0"}
    try:
        with one_core_nodes(2) as cluster:
            yield cluster
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, photos: dict[str, np.ndarray]) -> Path:
    """Short clips, and a file that is none."""
    folder = tmp_path_factory.mktemp("videos")
    for number in range(COUNT):
        photo = list(photos.values())[number % len(photos)]
        write_video(folder / f"{number:02d}.mp4", pan(photo, 15 + number, (160, 120)))
    (folder / "text.mp4").write_text("no video\n" * 100)
    return folder


def start(*args: str | Path, code: str | None = None) -> subprocess.Popen[str]:
    command = [sys.executable, *(("-c", code) if code else ("-m", "nsnet_cli")), "tag", *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")


def tag(*args: str | Path, code: str | None = None) -> Out:
    process = start(*args, code=code)
    out, err = process.communicate(timeout=280)
    return subprocess.CompletedProcess([], process.returncode, out, err)


def rows(out: str) -> dict[str, dict[str, Any]]:
    """The rows by path, without timings. Each video has one."""
    found = [json.loads(line) for line in out.splitlines()]
    assert [path for path, count in Counter(row["path"] for row in found).items() if count > 1] == []
    return {row["path"]: row | {"timings": None} for row in found}


def until(true: Callable[[], object], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.05)


def test_rows_are_those_of_a_local_run(cluster: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)  # a relative path, which means nothing to a worker
    local = tag(folder.name, "--json")
    assert local.returncode == 3 and len(rows(local.stdout)) == COUNT + 1
    for address in (cluster.address, "local"):
        there = tag(folder.name, "--json", "--ray", address)
        assert there.returncode == 3, there.stderr
        assert rows(there.stdout) == rows(local.stdout)
        assert f"{COUNT} tagged, 1 failed" in there.stderr and "raylet" not in there.stderr


def test_a_node_that_is_killed_costs_no_row(cluster: Any, folder: Path, tmp_path: Path) -> None:
    import psutil

    node = cluster.add_node(**NODE)
    processes: list[Any] = []
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    clips = [tmp_path / f"{number:03d}.mp4" for number in range(60)]
    for number, clip in enumerate(clips):
        clip.symlink_to(folder / f"{number % COUNT:02d}.mp4")
    copies = [tmp_path / "in" / clip.name for clip in clips]
    copies[0].parent.mkdir()
    for clip, copy in zip(clips, copies, strict=True):
        copy.write_bytes(clip.read_bytes())
    process = start(copies[0].parent, "--json", "--ray", cluster.address)

    def works_there() -> bool:
        processes[:] = raylet.children(recursive=True)
        return any("VideoActor.finish" in " ".join(child.cmdline()) for child in processes)

    until(works_there)
    for victim in (raylet, *processes):
        os.kill(victim.pid, signal.SIGKILL)
    out, err = process.communicate(timeout=280)
    cluster.remove_node(node)
    assert process.returncode == 0, err
    assert len(rows(out)) == len(copies) and "60 tagged" in err


def test_a_video_that_ends_its_actor_twice_is_a_row(cluster: Any, folder: Path, tmp_path: Path) -> None:
    for clip in sorted(folder.glob("0*.mp4")):
        (tmp_path / clip.name).write_bytes(clip.read_bytes())
    (tmp_path / "05-deadly.mp4").write_bytes((folder / "05.mp4").read_bytes())
    out = tag(tmp_path, *CHEAP, "--json", "--ray", cluster.address, code=DEADLY)
    found = rows(out.stdout)
    assert out.returncode == 3 and len(found) == 11, out.stderr
    failed = {Path(path).name: row["error"] for path, row in found.items() if row["error"]}
    assert list(failed) == ["05-deadly.mp4"]
    assert failed["05-deadly.mp4"]["kind"] == "crashed" and "died twice" in failed["05-deadly.mp4"]["message"]


@pytest.mark.parametrize("format", ["jsonl", "parquet"])
def test_a_driver_that_is_killed_is_started_again(
    cluster: Any, folder: Path, tmp_path: Path, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    command = (folder, *CHEAP, "-o", out, "--format", format, "--ray", cluster.address)
    process = start(*command)
    until(lambda: process.poll() is not None or any(out.glob("*.nsnet.json")) or format == "parquet")
    time.sleep(5 if format == "parquet" else 0)  # its rows wait for their part
    process.kill()
    process.communicate()
    again = tag(*command)
    assert again.returncode == 3, again.stderr
    once_more = tag(*command)
    assert f"{COUNT + 1} skipped" in once_more.stderr
    if format == "parquet":
        from pyarrow import parquet

        found = [row["path"] for part in out.glob("*.parquet") for row in parquet.read_table(part).to_pylist()]
    else:
        found = [json.loads(path.read_bytes())["path"] for path in out.glob("*.nsnet.json")]
    assert sorted(found) == sorted(map(str, folder.iterdir()))


def test_no_cluster_and_another_nsnet_are_told(tmp_path: Path, folder: Path) -> None:
    out = tag(folder, "--ray", "127.0.0.1:1")
    assert (out.returncode, out.stdout) == (2, "") and "ray start --head" in out.stderr
