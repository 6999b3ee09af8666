"""The examples do what they say."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples") / "videos"
    subprocess.run([sys.executable, EXAMPLES / "make_examples.py", folder], check=True, stdout=subprocess.DEVNULL)
    return folder


def test_the_example_videos_get_right_tags(videos: Path) -> None:
    out = subprocess.run(
        [sys.executable, EXAMPLES / "library_use.py", *sorted(videos.glob("*.mp4"))],
        capture_output=True,
        encoding="utf-8",
        check=True,
    ).stdout
    best = {Path(line.split(":")[0]).stem: line for line in out.splitlines() if not line.startswith(" ")}
    assert set(best) == {"bikes", "camera", "carphone", "cat", "espresso-among-bikes", "grass"}
    assert ": cat (" in best["cat"] and ": tripod (" in best["camera"]
    assert ": espresso (" in best["espresso-among-bikes"] and "seen from 6.1 to 8.0 s" in best["espresso-among-bikes"]
    assert ": nothing certain" in best["grass"]


def test_the_shell_pipeline_sorts_videos_by_tag(videos: Path, tmp_path: Path) -> None:
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    folder = tmp_path / "some videos"
    shutil.copytree(videos, folder)
    (folder / "broken.mp4").write_text("no video")
    (folder / "cat.mp4").rename(folder / "a cat's\nlife.mp4")
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    out = subprocess.run(
        [EXAMPLES / "tag_folder.sh", folder, tmp_path / "sorted", "0.9"], capture_output=True, encoding="utf-8", env=env
    )
    assert out.returncode == 3, out.stderr
    assert "not tagged" in out.stderr and "broken.mp4: not_a_video" in out.stderr
    links = {(p.parent.name, p.name) for p in (tmp_path / "sorted").rglob("*.mp4")}
    assert {("espresso", "espresso-among-bikes.mp4"), ("cat", "a cat's\nlife.mp4")} < links
    assert "grass.mp4" not in {name for _, name in links}, "nothing is certain there"
    assert all(p.resolve().is_file() for p in (tmp_path / "sorted").rglob("*.mp4"))
