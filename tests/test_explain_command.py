"""`nsnet explain` and `nsnet frames` as commands, with the real networks on small videos."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from checkpoint_files import SUM, with_calibration
from PIL import Image

from nsnet_cli.calibration import Calibration
from nsnet_cli.types import SCHEMA_VERSION

FAST = ["--preview", "24"]


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def nsnet(inside: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `nsnet ARGS` in a fresh folder, with 80 columns."""
    monkeypatch.chdir(tmp_path)
    for name, value in {"NO_COLOR": "", "COLUMNS": "80", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    return inside


def test_json_png_and_html_in_one_go(nsnet: Run, cat_video: Path, tmp_path: Path) -> None:
    done = nsnet("explain", cat_video, *FAST, "--json", "--png", "out/plot.png", "--html", "out/page.html")
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)
    assert row["status"] == "ok" and row["schema_version"] == SCHEMA_VERSION and len(row["tags"]) == 5
    assert list(row["frames"][0]) == ["pts_s", "fsm", "vgm", "saliency", "confidence", "chosen", "tag"]
    chosen = [f["pts_s"] for f in row["frames"] if f["chosen"]]
    assert chosen == [f["pts_s"] for f in row["salient_frames"]] and len(chosen) == 4
    assert sum(8 <= t <= 12 for t in chosen) >= 3, "the cat is on from 8 s to 12 s"
    assert Image.open(tmp_path / "out" / "plot.png").format == "PNG"
    page = (tmp_path / "out" / "page.html").read_text("utf-8")
    assert page.count("data:image/jpeg;base64,") == len(row["frames"])
    assert f'src="{os.path.relpath(cat_video, tmp_path / "out")}"' in page
    assert "wrote out/page.html" in done.stderr


def test_why_a_tag_is_or_is_not_certain(nsnet: Run, cat_video: Path, tmp_path: Path) -> None:
    """As text, and as numbers that add up to the probability."""
    ours, bare = (str(with_calibration(tmp_path / name, c)) for name, c in (("ours", SUM), ("bare", None)))
    done = nsnet("explain", cat_video, *FAST, "--checkpoint", ours)
    assert done.returncode == 0, done.stderr
    text = " ".join(done.stdout.split())
    assert re.search(
        r" cat \d\d %: seen in 4 of 4 recognised frames \(0\.\d\d at most\); the preview network sees", text
    )
    assert "; often right in the calibration" in text and re.search(r"\d %, 80 % needed: seen in ", text)
    assert "calibrat" not in done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    row = json.loads(nsnet("explain", cat_video, *FAST, "--checkpoint", ours, "--json").stdout)
    cat = row["tags"][0]
    assert cat["certain"] and cat["why"]["words"].startswith("cat ") and cat["why"]["trust"] == 2
    for tag in row["tags"]:
        why = tag["why"]
        odds = why["bias"] + why["trust"] + sum(sign["adds"] for sign in why["signs"].values())
        assert why["log_odds"] == pytest.approx(odds, abs=1e-4) and list(why["signs"]) == ["mean", "preview"]
        assert why["raised_by"] or tag["probability"] == pytest.approx(why["faint"] / (1 + math.exp(-odds)), abs=1e-4)
    plain = nsnet("explain", cat_video, *FAST, "--checkpoint", bare)
    assert " needed: " not in plain.stdout and "seen in " not in plain.stdout
    assert "nothing was calibrated" in plain.stderr
    assert [
        tag["why"] for tag in json.loads(nsnet("explain", cat_video, *FAST, "-c", bare, "--json").stdout)["tags"]
    ] == [None] * 5


def test_only_a_run_that_shows_tags_says_that_nothing_was_calibrated(
    nsnet: Run, cat_video: Path, tmp_path: Path
) -> None:
    bare = str(with_calibration(tmp_path / "bare", None))
    told = nsnet("tag", cat_video, cat_video.parent, *FAST, "-c", bare).stderr
    assert told.count(f"nsnet calibrate LABELS --checkpoint {bare}\n") == 1
    for args in (["tag", cat_video, "--precision", "0"], ["frames", cat_video, "--times"]):
        done = nsnet(*args, *FAST, "-c", bare)
        assert done.returncode == 0 and "calibrate" not in done.stderr


def test_what_is_perhaps_there_is_explained_too(nsnet: Run, cat_video: Path, tmp_path: Path) -> None:
    ours = str(with_calibration(tmp_path / "ours", Calibration(("mean",), (1.0,), 0.0, {"n02124075": -2.0})))
    args = ["explain", cat_video, *FAST, "--checkpoint", ours, "--precision", "0.995"]
    text = " ".join(nsnet(*args).stdout.split())
    assert re.search(r" perhaps cat \d\d(\.\d)? %, 99.5 % needed: seen in 4 of 4 ", text)
    row = json.loads(nsnet(*args, "--json").stdout)
    assert row["perhaps"]["why"]["words"].startswith("cat ")


def test_timeline_without_unicode_and_csv(nsnet: Run, cat_video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    plain = nsnet("explain", cat_video, *FAST, "--quiet")
    assert plain.returncode == 0, plain.stderr
    assert plain.stdout.isascii() and "\x1b" not in plain.stdout and plain.stderr == ""
    assert "saliency 1|" in plain.stdout and "times less than dense" in plain.stdout
    rows = list(csv.DictReader(io.StringIO(nsnet("explain", cat_video, *FAST, "--csv").stdout)))
    assert len(rows) >= 20 and {row["chosen"] for row in rows} == {"true", "false"}
    assert [float(row["pts_s"]) for row in rows] == sorted(float(row["pts_s"]) for row in rows)


def test_a_bad_video_is_an_error_with_a_name(nsnet: Run, tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_text("not a video")
    done = nsnet("explain", "notes.mp4", "--json")
    assert done.returncode == 3 and json.loads(done.stdout)["status"] == "error"
    assert "notes.mp4" in done.stderr and "Traceback" not in done.stderr
    both = nsnet("explain", "notes.mp4", "--json", "--csv")
    assert both.returncode == 2 and both.stdout == ""


def test_frames_for_xargs(nsnet: Run, cat_video: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_text("not a video")
    done = nsnet("frames", str(cat_video), "notes.mp4", *FAST, "--out", "f", "--format", "png", "--print0")
    assert done.returncode == 3 and "notes.mp4" in done.stderr and "at most 320 px" in done.stderr
    names = done.stdout.split("\0")[:-1]
    assert len(names) == 4 and names == sorted(names)
    assert all(Image.open(tmp_path / name).format == "PNG" for name in names)
    assert {Image.open(tmp_path / name).size for name in names} == {(320, 240)}


def test_frame_times_write_nothing(nsnet: Run, cat_video: Path, tmp_path: Path) -> None:
    done = nsnet("frames", cat_video, *FAST, "-K", "2", "--times")
    assert done.returncode == 0 and not list(tmp_path.iterdir())
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert len(rows) == 2 and all(0 <= float(saliency) <= 1 for _, saliency, _ in rows)
    assert all(path == str(cat_video) for _, _, path in rows)


def test_no_video_at_all(nsnet: Run, tmp_path: Path) -> None:
    done = nsnet("frames", str(tmp_path))
    assert done.returncode == 4 and "no video in" in done.stderr


@pytest.mark.slow
def test_the_curve_rises_at_the_composites_stretch(nsnet: Run, shared_data: Path, tmp_path: Path) -> None:
    """A composite with known stretches: saliency and chosen frames gather inside them."""
    tool = shared_data.parent / "tools" / "make_composites.py"
    data = ["--photos", str(shared_data / "photos"), "--backgrounds", str(shared_data / "backgrounds")]
    choice = ["--folds", "5", "--only", "4", "--count", "3", "--seed", "2", "--out", str(tmp_path / "c")]
    subprocess.run([sys.executable, str(tool), *data, *choice], check=True, timeout=250)
    inside, outside, hits, chosen = [], [], 0, 0
    labels = list(csv.DictReader((tmp_path / "c" / "labels.csv").open()))
    for label in labels:
        row = json.loads(nsnet("explain", f"c/{label['path']}", "--json").stdout)
        stretches = [tuple(map(float, part.split("-"))) for part in label["segments"].split(";")]
        for frame in row["frames"]:
            within = any(start <= frame["pts_s"] <= end for start, end in stretches)
            (inside if within else outside).append(frame["saliency"])
            hits += within and frame["chosen"]
            chosen += frame["chosen"]
    assert sum(inside) / len(inside) > 2 * sum(outside) / len(outside)
    share = len(inside) / (len(inside) + len(outside))
    assert hits / chosen > 2 * share, f"{hits} of {chosen} chosen frames where {share:.0%} of the frames are"
