"""`nsnet train`, `tag --checkpoint` and `nsnet evaluate` on real videos, and the files of evaluate."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from checkpoint_files import SUM, with_calibration
from conftest import noise, pan, write_video
from PIL import Image

from nsnet_cli.calibration import Calibration
from nsnet_cli.cli.app import run
from nsnet_cli.evaluation.evaluate import Report, evaluate, to_dict
from nsnet_cli.evaluation.policies import ScoredVideo
from nsnet_cli.evaluation.show import certain_table, csv_text, notes, plot, table
from nsnet_cli.evaluation.timing import MeasuredCosts
from nsnet_cli.hierarchy import Hierarchy, own_table
from nsnet_cli.labelled import gather
from nsnet_cli.nets.cost import FrameCost
from nsnet_cli.presence import Judge
from nsnet_cli.types import TagName
from nsnet_cli.video.pool import DecodePool

COSTS = MeasuredCosts(3, 0.5, {1: 0.1, 2: 0.2}, 0.01, 0.05, 0.02)


def scored(seed: int, count: int = 6) -> ScoredVideo:
    rng = np.random.default_rng(seed)
    salient = np.isin(np.arange(count), [1, 2])
    saliency = salient * 0.8 + rng.random(count) * 0.1
    scores = rng.random((count, 3))
    scores[salient, seed % 3] += 5
    names = ("nsnet", "nsnet-fsm", "nsnet-vgm", "confidence")
    return ScoredVideo(f"v{seed}", (seed % 3,), np.arange(count) * 1.0, dict.fromkeys(names, saliency), scores, salient)


@pytest.fixture(scope="module")
def report() -> Report:
    videos = [scored(seed) for seed in range(9)]
    rows = evaluate(videos, (1, 2), FrameCost(0.1, 0.01, 0.7), COSTS)
    return Report("labels.csv", "mine", "0123", 9, 9, 1.0, rows, COSTS)


OLD_TABLE = """\
policy        K  top-1  top-5    mAP    AUC     AP  preview  recognised  GFLOPs  seconds
nsnet         1  100.0  100.0  100.0  1.000  1.000      6.0         1.0    1.36    0.630
nsnet         2  100.0  100.0  100.0  1.000  1.000      6.0         2.0    2.06    0.650
nsnet-fsm     1  100.0  100.0  100.0  1.000  1.000      6.0         1.0    1.36    0.630
nsnet-fsm     2  100.0  100.0  100.0  1.000  1.000      6.0         2.0    2.06    0.650
nsnet-vgm     1  100.0  100.0  100.0  1.000  1.000      6.0         1.0    1.36    0.630
nsnet-vgm     2  100.0  100.0  100.0  1.000  1.000      6.0         2.0    2.06    0.650
confidence    1  100.0  100.0  100.0  1.000  1.000      6.0         1.0    1.30    0.580
confidence    2  100.0  100.0  100.0  1.000  1.000      6.0         2.0    2.00    0.600
uniform       1  100.0  100.0  100.0                    0.0         1.0    0.70    0.120
uniform       2  100.0  100.0  100.0                    0.0         2.0    1.40    0.240
random        1   46.7  100.0   66.1                    0.0         1.0    0.70    0.520
random        2   71.1  100.0   76.8                    0.0         2.0    1.40    0.540
dense       all  100.0  100.0  100.0                    0.0         6.0    4.20    0.620
oracle        1  100.0  100.0  100.0                    0.0         1.0    0.70    0.520
oracle        2  100.0  100.0  100.0                    0.0         2.0    1.40    0.540"""
"""As version 0.1 printed it."""


def certain_report(*signs: str) -> Report:
    """Videos like those of `report` whose scores add up to one, judged with a calibration of these signs, if any."""
    tags = tuple(TagName(name, name) for name in "abc")
    judge = Judge(
        Hierarchy(tags, own_table([])), Calibration(signs, (1.0,) * len(signs), 0.0) if signs else None, previews=False
    )
    videos = [scored(seed) for seed in range(9)]
    videos = [replace(v, scores=v.scores / v.scores.sum(1, keepdims=True), fsm=np.ones(len(v))) for v in videos]
    rows = evaluate(videos, (1, 2), FrameCost(0.1, 0.01, 0.7), COSTS, judge=judge, precision=0.6)
    return Report("labels.csv", "mine", "0123", 9, 9, 1.0, rows, COSTS, 11)


def test_the_old_table_stays_as_it_was(report: Report) -> None:
    assert table(report) == OLD_TABLE and certain_table(report) is None
    found = to_dict(report)
    assert found["videos_asked"] is None and all(row["certain"] is None for row in found["policies"])
    assert "certain" not in csv_text(report)
    without, with_certain = certain_report(), certain_report("mean")
    assert without.rows == tuple(replace(row, certain=None) for row in with_certain.rows)
    assert table(without) == table(with_certain)


def test_certain_tags_have_a_table_of_their_own() -> None:
    lines = (certain_table(certain_report("mean", "salient")) or "").splitlines()
    assert lines[0] == "certain tags at --precision 0.6"
    assert lines[1].split("  ")[0] == "policy" and lines[1].split()[-2:] == ["ECE", "IoU"]
    assert [line.split()[0] for line in lines[2:]] == [
        "nsnet", "nsnet", "nsnet-fsm", "nsnet-fsm", "nsnet-vgm", "nsnet-vgm",
    ]  # fmt: skip
    assert lines[2].split()[:4] == ["nsnet", "1", "100.0", "100.0"]
    found = json.loads(json.dumps(to_dict(certain_report("mean")), allow_nan=False))
    row = found["policies"][0]["certain"]
    assert found["videos_asked"] == 11 and (row["asked"], row["shown"], row["coverage"]) == (0.6, 1, 1)
    assert row["span_iou"] is None and row["span_videos"] == 0 and row["calibration_error"] > 0
    lines_of_csv = list(csv.DictReader(io.StringIO(csv_text(certain_report("mean", "salient")))))
    of = {line["policy"]: line["certain_precision"] for line in lines_of_csv}
    assert of["nsnet"] == "1.0" and of["dense"] == "", "the calibration cannot judge it"
    assert any("ECE" in note for note in notes(certain_report("mean")))


def test_rows_by_hand(report: Report) -> None:
    rows = {(row.policy, row.k): row for row in report.rows}
    assert [key for key in rows if key[0] == "dense"] == [("dense", None)] and len(rows) == 8 * 2 - 1
    nsnet = rows["nsnet", 2]
    assert nsnet.top1 == nsnet.map == 1 and nsnet.saliency is not None and nsnet.saliency.roc_auc == 1
    assert nsnet.gflops.total == pytest.approx(6 * 0.11 + 2 * 0.7)
    assert nsnet.seconds is not None and nsnet.seconds.total == pytest.approx(0.5 + 6 * 0.01 + 0.05 + 2 * 0.02)
    assert rows["confidence", 2].gflops.sampler == 0 and rows["uniform", 1].gflops.total == pytest.approx(0.7)
    decode_s = {policy: rows[policy, 2].seconds.decode for policy in ("uniform", "random")}  # type: ignore[union-attr]
    assert decode_s == {"uniform": 0.2, "random": 0.5}
    assert rows["dense", None].gflops.total == pytest.approx(6 * 0.7) and rows["oracle", 2].top1 == 1


def test_what_is_written(report: Report, tmp_path: Path) -> None:
    found = json.loads(json.dumps(to_dict(report), allow_nan=False))
    assert found["coverage"] == 1 and found["policies"][0]["seconds"]["total"] > 0
    lines = list(csv.DictReader(io.StringIO(csv_text(report))))
    assert len(lines) == len(report.rows) and lines[0]["policy"] == "nsnet" and float(lines[0]["gflops_total"]) > 0
    text = table(report)
    assert text.splitlines()[0].split() == [
        "policy", "K", "top-1", "top-5", "mAP", "AUC", "AP", "preview", "recognised", "GFLOPs", "seconds",
    ]  # fmt: skip
    assert "oracle" in text and any("measured in this run on 3" in note for note in notes(report))
    plot(report, tmp_path / "deep" / "plot.png")
    with Image.open(tmp_path / "deep" / "plot.png") as image:
        assert image.width > 1000 and np.asarray(image.convert("L")).std() > 5


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory, photos: dict[str, np.ndarray]) -> Path:
    """Two tags, three short videos each: a cat or a rocket somewhere in noise."""
    folder = tmp_path_factory.mktemp("videos")
    lines = ["path,label,split,segments"]
    for index in range(6):
        name = ("cat", "rocket")[index % 2]
        before = 10 + 4 * (index // 2)
        frames = [*noise(before, seed=index), *pan(photos[name], 20), *noise(40 - before, seed=index + 50)]
        write_video(folder / f"{index}.mp4", frames)
        split = "test" if index >= 4 else ""
        lines.append(f"{index}.mp4,{name},{split},{before / 10}-{before / 10 + 1.9}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.timeout(600)
@pytest.mark.torch
def test_train_tag_and_evaluate(videos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    mine = str(tmp_path / "mine")
    labels = str(videos / "labels.csv")
    assert (
        run(["train", labels, "-o", mine, "--epochs", "4", "--preview", "12", "--val-split", "0", "--device", "cpu"])
        == 0
    )
    assert capfd.readouterr().out.strip() == mine
    assert run(["tag", "--json", "--checkpoint", mine, "--device", "cpu", str(videos / "4.mp4")]) == 0
    tags = json.loads(capfd.readouterr().out)["tags"]
    assert [tag["name"] for tag in tags] == ["cat", "rocket"]
    args = ["evaluate", labels, "--checkpoint", mine, "--device", "cpu", "-K", "1,2", "--plot", str(tmp_path / "p.png")]
    assert run([*args, "--json"]) == 0
    out, err = capfd.readouterr()
    found = json.loads(out)
    rows = {(row["policy"], row["frames"]): row for row in found["policies"]}
    assert found["videos"] == 2 and found["coverage"] == 1 and "marked test" in err
    assert rows["dense", None]["recognised_frames"] == 12 and rows["oracle", 1]["top1"] == 1
    assert rows["nsnet", 2]["seconds"]["recognise"] > 0 and rows["nsnet", 2]["saliency_roc_auc"] is not None
    assert (tmp_path / "p.png").stat().st_size > 10_000


def test_certain_tags_of_a_calibrated_checkpoint(
    videos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Every cat is a tabby to these labels. One of the videos that they name is not there."""
    labels = tmp_path / "labels.csv"
    rows = [f"{videos / f'{n}.mp4'},tabby,{1 + 0.4 * (n // 2)}-{2.9 + 0.4 * (n // 2)}" for n in (0, 2, 4)]
    labels.write_text("\n".join(["path,label,segments", *rows, f"{tmp_path / 'gone.mp4'},tabby,"]) + "\n")
    ours, bare = (str(with_calibration(tmp_path / name, c)) for name, c in (("ours", SUM), ("bare", None)))
    args = ["evaluate", str(labels), "--device", "cpu", "-K", "2", "--preview", "12", "--precision", "0.7"]
    assert run([*args, "--checkpoint", ours, "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert (found["videos"], found["videos_asked"]) == (3, 4)
    rows_of = {row["policy"]: row["certain"] for row in found["policies"]}
    assert rows_of["uniform"] is None and rows_of["nsnet"]["asked"] == 0.7
    assert rows_of["nsnet"]["precision"] == rows_of["nsnet"]["coverage"] == 1  # 'cat' stands over 'tabby'
    assert rows_of["nsnet"]["span_videos"] == 3 and rows_of["nsnet"]["span_iou"] > 0.5
    assert run([*args, "--checkpoint", ours]) == 0
    out, err = capfd.readouterr()
    assert "\n\ncertain tags at --precision 0.7\n" in out and "ECE" in err and "measured on 3 of 4 videos" in err
    assert run([*args, "--checkpoint", bare]) == 0
    plain, err = capfd.readouterr()
    assert "certain" not in plain and "nothing was calibrated" in err
    columns = [line.rsplit(None, 1)[0] for line in plain.splitlines()]  # less the seconds
    assert columns == [line.rsplit(None, 1)[0] for line in out.split("\n\n")[0].splitlines()]


def test_complaints(videos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text(f"path,label\n{videos / '0.mp4'},unicorn\n")
    assert run(["evaluate", str(labels)]) == 2
    assert "line 2: label 'unicorn' is not in the checkpoint's vocabulary" in capfd.readouterr().err
    assert run(["evaluate", str(labels), "--frames", "0,4"]) == 2
    assert "--frames '0,4'" in capfd.readouterr().err
    assert run(["evaluate", str(tmp_path / "none.csv")]) == 4
    assert run(["evaluate", str(labels), "--json", "--csv"]) == 2
    assert run(["evaluate", str(labels), "--split", "val"]) == 2
    assert "no row with split 'val'" in capfd.readouterr().err


@pytest.mark.parametrize("command", ["evaluate", pytest.param("train", marks=pytest.mark.torch)])
def test_dying_decoders_end_the_evaluation(
    command: str, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Real crashes. A figure over the surviving videos would be worse than none."""
    monkeypatch.setattr(gather, "default_cache_dir", lambda: tmp_path / "features")
    monkeypatch.setattr(gather, "DecodePool", partial(DecodePool, reader="fault_readers:segfault"))
    labels = tmp_path / "labels.csv"
    labels.write_text(f"path,label\n{videos / '0.mp4'},tabby\n{videos / '1.mp4'},missile\n")
    output = ["-o", str(tmp_path / "mine")] if command == "train" else []
    assert run([command, str(labels), *output, "--device", "cpu"]) == 3
    out, err = capfd.readouterr()
    assert out == "" and "2 of 2 videos were lost, not because of the files (2 crashed)" in err
