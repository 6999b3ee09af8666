"""The scripts for SLURM and GNU parallel: they parse, and a task of an array does its share and no more."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pyarrow import parquet

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"


@pytest.fixture
def folder(tmp_path: Path, cat_video: Path) -> Path:
    folder = tmp_path / "some videos"
    folder.mkdir()
    for number in range(4):
        shutil.copy(cat_video, folder / f"{number}.mp4")
    (folder / "text.mp4").write_text("no video " * 100)
    return folder


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.sh")))
def test_scripts_parse(name: str) -> None:
    subprocess.run(["bash", "-n", EXAMPLES / name], check=True)


@pytest.mark.slow
def test_the_tasks_of_an_array_do_everything_once(folder: Path, tmp_path: Path) -> None:
    def task(number: int, *args: Path) -> None:
        own = {"SLURM_ARRAY_TASK_ID": str(number), "SLURM_ARRAY_TASK_COUNT": "2", "SLURM_CPUS_PER_TASK": "1"}
        command = ["bash", EXAMPLES / "slurm_array.sh", *args]
        done = subprocess.run(command, env={**os.environ, "PATH": PATH, **own}, capture_output=True, encoding="utf-8")
        assert done.returncode == 0, done.stderr

    manifest = tmp_path / "manifest.csv"
    manifest.write_text("path,n\n" + "".join(f"{path},1\n" for path in sorted(folder.iterdir())))
    for given in (folder, manifest):  # the second time all is done
        for number in (1, 2):
            task(number, given, tmp_path / "out")
    parts = sorted((tmp_path / "out").glob("*.parquet"))
    found = [path for part in parts for path in parquet.read_table(part)["path"].to_pylist()]
    assert sorted(found) == sorted(map(str, folder.iterdir())) and 1 <= len(parts) <= 2
    without = subprocess.run(["bash", EXAMPLES / "slurm_array.sh", folder, tmp_path], capture_output=True)
    assert without.returncode != 0 and b"--array" in without.stderr


@pytest.mark.slow
def test_shards_in_parallel_become_one_file(folder: Path, tmp_path: Path) -> None:
    if shutil.which("parallel") is None:
        pytest.skip("GNU parallel is not installed")
    command = ["sh", EXAMPLES / "parallel.sh", folder, tmp_path / "out", "2"]
    done = subprocess.run(command, env={**os.environ, "PATH": PATH}, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()) == 5
