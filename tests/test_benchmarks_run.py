"""The recipes of examples/benchmarks on made data of each layout: train, evaluate, plot. And what evaluate says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import benchmark_files
import pytest
from benchmark_files import CUT, REAL
from PIL import Image

from nsnet_cli.cli.evaluate import _saw
from nsnet_cli.evaluation.evaluate import Report, Row, StageGflops, to_dict
from nsnet_cli.evaluation.show import notes, plot
from nsnet_cli.evaluation.splits import mean_report
from nsnet_cli.evaluation.timing import MeasuredCosts, StageSeconds
from nsnet_cli.labelled.labels import LabelledVideo, LabelSet
from nsnet_cli.labelled.protocol import ACTIVITYNET, UCF101

ROOT = Path(__file__).resolve().parents[1]
RECIPES = ROOT / "examples" / "benchmarks"


def report(top1: float, mean_ap: float, **more: object) -> Report:
    row = Row(
        "nsnet", 5, top1, 0.9, mean_ap, None, 16.0, 5.0, StageGflops(5.0, 0.5, 20.5), StageSeconds(0.1, 0.1, 0.1, 0.2)
    )
    costs = MeasuredCosts(3, top1, {5: 0.1}, 0.01, 0.05, 0.02)
    found = Report("x:/data", "mine", "abc", 50, 0, float("nan"), (row,), costs, 60, classes=200, classes_shown=150)
    return replace(found, **more)  # type: ignore[arg-type]


# ---- what evaluate says ---------------------------------------------------------------------------------------------


def test_map_as_ar_net_counts_it_is_printed() -> None:
    text = "\n".join(notes(report(0.7, 0.8, benchmark=ACTIVITYNET)))
    assert "the 150 of 200 classes that these videos show" in text and "nsnet K=5 is 60.0 (-20.0)" in text
    assert "sigmoid" not in text and "decoding, preview network, sampler and recogniser" in text
    text = "\n".join(notes(report(0.7, 0.8, benchmark=ACTIVITYNET, classes_shown=200, multi_label=True)))
    assert "mean over all 200 classes" in text and "train with --single-label" in text
    assert "AR-Net" not in "\n".join(notes(report(0.7, 0.8))), "of no interest where nothing is compared"


def test_the_mean_over_splits() -> None:
    reports = [
        replace(report(top1, 0.5, benchmark=UCF101), checkpoint_hash=name) for top1, name in ((0.6, "a"), (0.8, "b"))
    ]
    found = mean_report(reports, "ucf-{split}")
    assert found.rows[0].top1 == pytest.approx(0.7) and found.rows[0].k == 5 and found.rows[0].policy == "nsnet"
    assert found.rows[0].gflops.total == pytest.approx(26.0) and found.costs is not None
    assert found.costs.decode_preview_s == pytest.approx(0.7) and found.costs.decode_even_s == {5: 0.1}
    assert (found.videos, found.asked, found.splits, found.checkpoint_hash) == (100, 120, 2, "a,b")
    assert found.checkpoint == "ucf-{split}" and to_dict(found)["splits"] == 2
    assert any("mean over 2 splits" in note for note in notes(found))
    assert mean_report(reports[:1], "x") is reports[0]


def test_a_plot_shows_what_papers_report(tmp_path: Path) -> None:
    plot(report(0.1, 0.9, benchmark=ACTIVITYNET), tmp_path / "map.svg")
    plot(report(0.1, 0.9, benchmark=UCF101), tmp_path / "top1.svg")
    assert "<!-- mAP, % -->" in (tmp_path / "map.svg").read_text()
    assert "<!-- top-1, % -->" in (tmp_path / "top1.svg").read_text()


def test_videos_that_training_saw_are_noticed(tmp_path: Path) -> None:
    source = Path("ucf101:/data/UCF-101")

    def chosen(split: str, **more: object) -> LabelSet:
        video = LabelledVideo(tmp_path, ("a",), "here", split)  # type: ignore[arg-type]
        return LabelSet(source, (video,), **more)  # type: ignore[arg-type]

    assert not _saw("ucf101:/data/UCF-101 split 1", source, "1", chosen("test", benchmark=UCF101))
    assert _saw("ucf101:/data/UCF-101 split 1", source, "2", chosen("test", benchmark=UCF101)), "they overlap"
    assert _saw("activitynet:/x", Path("activitynet:/x"), "", chosen("train", benchmark=ACTIVITYNET))
    assert not _saw("activitynet:/x", Path("activitynet:/x"), "", chosen("val", benchmark=ACTIVITYNET))
    assert _saw("ucf101:/data/UCF-101", source, "", chosen("val")) and not _saw("other", source, "", chosen("val"))


@pytest.mark.torch
def test_splits_that_make_no_sense(inside: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("path,label\nlabels.csv,cat\n")
    done = inside("evaluate", tmp_path / "labels.csv", "--split", "1,2,3")
    assert done.returncode == 2 and "train one for each" in done.stderr
    done = inside("evaluate", tmp_path / "labels.csv", "--split", "2")
    assert done.returncode == 2 and "no benchmark's layout, so it has no split 2" in done.stderr
    done = inside("train", "--features", tmp_path / "f.npz", "--split", "1", "-o", tmp_path / "out")
    assert done.returncode == 2 and "--split is for benchmarks" in done.stderr


# ---- the recipes ----------------------------------------------------------------------------------------------------


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[..., str]:
    """Runs a recipe with small settings and returns all that it says."""
    if shutil.which("bash") is None:
        pytest.skip("needs bash")

    def run(name: str, data: Path) -> str:
        env = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "NSNET_CACHE": os.environ.get("NSNET_CACHE", ""),
            "CHECKPOINT": "imagenet-lite", "EPOCHS": "3", "KS": "1,2",
        }  # fmt: skip
        env = {key: value for key, value in env.items() if value}
        done = subprocess.run(
            [RECIPES / name, data, tmp_path / "out", "--preview", "8", "--device", "cpu"],
            capture_output=True, encoding="utf-8", env=env, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        with Image.open(tmp_path / "out" / name.replace(".sh", ".png")) as image:
            assert image.width > 1000
        assert (tmp_path / "out" / name.replace(".sh", ".txt")).read_text() in done.stdout
        assert json.loads((tmp_path / "out" / name.replace(".sh", ".json")).read_text())["benchmark"]
        return done.stdout + done.stderr

    return run


Make = Callable[..., Path]
SMALL: list[tuple[str, Make, Sequence[object]]] = [
    ("activitynet.sh", benchmark_files.activitynet, ([33, 89], 4, 1)),
    ("activitynet.sh", benchmark_files.activitynet_lists, ([57, 171], 4, 1)),
    ("fcvid.sh", benchmark_files.fcvid, ([0, 17], 4, 1)),
    ("mini-kinetics.sh", benchmark_files.mini_kinetics, ([0, 199], 4, 1)),
    ("mini-kinetics.sh", benchmark_files.mini_kinetics_by_id, ([0, 1], 4, 1)),
    ("ucf101.sh", benchmark_files.ucf101, ([1, 101], 1, (1, 5, 8, 9, 15, 22))),
]


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("name", "make", "how"), SMALL, ids=[make.__name__ for _, make, _ in SMALL])
def test_each_recipe_on_ten_videos(
    name: str, make: Make, how: Sequence[object], recipe: Callable[..., str], tmp_path: Path
) -> None:
    said = recipe(name, make(tmp_path / "data", CUT, *how))
    assert "nsnet" in said and "measured on" in said and "classes" in said


UCF_GROUPS = (1, 2, 8, 10, 15, 18, 20, 23, 25)
FULL: list[tuple[str, Make, Sequence[object], str, str]] = [
    ("activitynet.sh", benchmark_files.activitynet, (range(0, 200, 20), 7, 3), "30 of 4919", "mAP"),
    ("fcvid.sh", benchmark_files.fcvid, (range(0, 239, 24), 7, 3), "30 of 30", "mAP"),
    ("mini-kinetics.sh", benchmark_files.mini_kinetics, (range(0, 200, 20), 7, 3), "30 of 9864", "121k/9.9k"),
    (
        "ucf101.sh",
        benchmark_files.ucf101,
        (range(1, 102, 10), 1, UCF_GROUPS),
        "of 11213",
        "mean",
    ),
]


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.timeout(1500)
@pytest.mark.parametrize(("name", "make", "how", "taken_over", "says"), FULL, ids=[row[0][:-3] for row in FULL])
def test_each_recipe_on_100_videos_of_the_real_lists(
    name: str, make: Make, how: Sequence[object], taken_over: str, says: str, recipe: Callable[..., str], tmp_path: Path
) -> None:
    """Nearly all videos of the lists are missing, as in the wild: that is said, and the figure is over the others."""
    if not REAL.is_dir():
        pytest.skip(f"needs the real list files in {REAL}, which is not there")
    data = make(tmp_path / "data", REAL, *how)
    videos = [path for path in data.rglob("*") if path.suffix in (".mp4", ".avi") or path.name == "image_00001.jpg"]
    assert 90 <= len(videos) <= 120
    said = recipe(name, data)
    assert f"measured on {taken_over}" in said or f"{taken_over} videos" in said
    assert says in said
    if taken_over != "30 of 30":
        assert "videos are missing in total" in said and "no file" in said
    table = (tmp_path / "out" / name.replace(".sh", ".txt")).read_text().splitlines()
    row = next(line.split() for line in table if line.split()[:2] == ["nsnet", "2"])
    assert float(row[2]) > 50, "the colours tell the classes, so chance is 10 %"
