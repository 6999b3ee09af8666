"""`nsnet merge`: each video once, whatever the parts are; a torn part gives what is whole, and is named."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess as Out
from typing import Any

import pytest
from pyarrow import parquet
from sample_results import failure, sample

from nsnet_cli.outputs.csvrows import CsvRows
from nsnet_cli.outputs.jsonlines import to_dict, to_line
from nsnet_cli.outputs.parquet_rows import to_bytes
from nsnet_cli.types import Source, VideoResult

Run = Callable[..., Out[str]]


def results(*names: str) -> list[VideoResult]:
    return [replace(sample(), path=name) for name in names]


def jsonl(path: Path, results: list[VideoResult]) -> Path:
    path.write_text("".join(to_line(result) + "\n" for result in results), encoding="utf-8")
    return path


def merged(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_shards_become_one_file_of_the_same_bytes(inside: Run, tmp_path: Path) -> None:
    a, b = jsonl(tmp_path / "a.jsonl", results("1.mp4")), jsonl(tmp_path / "b.jsonl", results("2\n.mp4", "é.mp4"))
    out = inside("merge", a, b, "-o", tmp_path / "all.jsonl")
    assert (out.returncode, out.stdout) == (0, "") and "3 rows" in out.stderr
    assert (tmp_path / "all.jsonl").read_bytes() == a.read_bytes() + b.read_bytes()


def test_all_kinds_go_into_all_kinds(inside: Run, tmp_path: Path) -> None:
    first = [replace(result, columns={"camera": "n"}) for result in results("1.mp4", "2.mp4")]
    (tmp_path / "a.parquet").write_bytes(to_bytes([to_dict(result) for result in first]))
    b = jsonl(tmp_path / "b.jsonl", [*results("3.mp4"), replace(failure(), path="4.mp4")])
    assert inside("merge", tmp_path / "a.parquet", b, "-o", tmp_path / "all.parquet").returncode == 0
    assert inside("merge", tmp_path / "all.parquet", "-o", tmp_path / "all.jsonl").returncode == 0
    assert inside("merge", tmp_path / "all.jsonl", "-o", tmp_path / "all.csv").returncode == 0
    names = ["1.mp4", "2.mp4", "3.mp4", "4.mp4"]
    assert parquet.read_table(tmp_path / "all.parquet").column("path").to_pylist() == names
    assert [row["path"] for row in merged(tmp_path / "all.jsonl")] == names
    assert merged(tmp_path / "all.jsonl")[0]["columns"] == {"camera": "n"}
    with (tmp_path / "all.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["path"], row["camera"]) for row in rows] == [
        ("1.mp4", "n"),
        ("2.mp4", "n"),
        ("3.mp4", ""),
        ("4.mp4", ""),
    ]


def test_of_two_rows_the_tagged_one_counts_then_the_later_one(inside: Run, tmp_path: Path) -> None:
    old, new = replace(sample(tags=(("old", 0.5),)), path="1.mp4"), replace(sample(tags=(("new", 0.5),)), path="1.mp4")
    a = jsonl(tmp_path / "a.jsonl", [old, replace(failure(), path="2.mp4")])
    b = jsonl(tmp_path / "b.jsonl", [*results("2.mp4"), new, replace(failure(), path="1.mp4")])
    out = inside("merge", a, b, "-o", tmp_path / "all.jsonl")
    assert "2 rows" in out.stderr and "3 of videos" in out.stderr
    found = {row["path"]: row for row in merged(tmp_path / "all.jsonl")}
    assert found["1.mp4"]["tags"][0]["name"] == "new" and found["2.mp4"]["status"] == "ok"


def test_kept_rows_are_told_apart_by_their_source(inside: Run, tmp_path: Path) -> None:
    (result,) = results("clip.mp4")
    rows = [to_dict(result, "f", Source(source)) for source in ("/one/clip.mp4", "/two/clip.mp4", "/one/clip.mp4")]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert inside("merge", tmp_path / "a.jsonl", "-o", tmp_path / "all.jsonl").returncode == 0
    assert [row["source"] for row in merged(tmp_path / "all.jsonl")] == ["/two/clip.mp4", "/one/clip.mp4"]


def test_a_torn_part_gives_its_whole_rows_and_is_named(inside: Run, tmp_path: Path) -> None:
    a = jsonl(tmp_path / "a.jsonl", results("1.mp4", "2.mp4"))
    a.write_bytes(a.read_bytes()[:-40])
    (tmp_path / "b.parquet").write_bytes(to_bytes([to_dict(*results("3.mp4"))])[:-9])
    c = jsonl(tmp_path / "c.jsonl", results("4.mp4"))
    c.write_text('{"some": "object"}\n' + c.read_text())
    out = inside("merge", a, tmp_path / "b.parquet", c, "-o", tmp_path / "all.jsonl")
    assert out.returncode == 3 and [row["path"] for row in merged(tmp_path / "all.jsonl")] == ["1.mp4", "4.mp4"]
    for said in ("a.jsonl: line 2 is torn", "b.parquet: it is torn", "c.jsonl: line 1 is not a result of nsnet"):
        assert said in out.stderr


def test_csv_only_with_csv(inside: Run, tmp_path: Path) -> None:
    for name, columns in (("a", ["camera"]), ("b", [])):
        rows = CsvRows(columns)
        (result,) = results(f"{name}.mp4")
        result = replace(result, columns={"camera": "n"} if columns else None)
        (tmp_path / f"{name}.csv").write_text(rows.head() + rows.row(result))
    torn = (tmp_path / "a.csv").read_text() + "torn"
    (tmp_path / "a.csv").write_text(torn)
    out = inside("merge", tmp_path / "a.csv", tmp_path / "b.csv", "-o", tmp_path / "all.csv")
    assert out.returncode == 3 and "a.csv: its last line is torn" in out.stderr
    with (tmp_path / "all.csv").open() as file:
        assert [(row["path"], row["camera"]) for row in csv.DictReader(file)] == [("a.mp4", "n"), ("b.mp4", "")]
    a = jsonl(tmp_path / "a.jsonl", results("1.mp4"))
    for args in ((tmp_path / "a.csv", "-o", tmp_path / "x.jsonl"), (a, tmp_path / "a.csv", "-o", tmp_path / "x.csv")):
        assert inside("merge", *args).returncode == 2


@pytest.mark.parametrize(
    ("part", "target", "code", "said"),
    [
        ("a.jsonl", "all.txt", 2, "no known ending"),
        ("a.jsonl", "a.jsonl", 2, "is one of the parts"),
        ("a.txt", "all.jsonl", 2, "no known ending"),
        ("none.jsonl", "all.jsonl", 4, "no part"),
        ("empty", "all.jsonl", 4, "no results in"),
    ],
)
def test_what_cannot_be_merged(inside: Run, tmp_path: Path, part: str, target: str, code: int, said: str) -> None:
    jsonl(tmp_path / "a.jsonl", results("1.mp4"))
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    out = inside("merge", tmp_path / part, "-o", tmp_path / target)
    assert out.returncode == code and said in out.stderr
    assert len(merged(tmp_path / "a.jsonl")) == 1


def test_folders_of_results_are_parts(inside: Run, cat_video: Path, tmp_path: Path) -> None:
    cheap = ("--policy", "uniform", "--frames", "1", "--top-k", "1")
    assert inside("tag", cat_video, *cheap, "-o", tmp_path / "files").returncode == 0
    assert inside("tag", cat_video, *cheap, "-o", tmp_path / "parts", "--format", "parquet").returncode == 0
    out = inside("merge", tmp_path / "files", tmp_path / "parts", "-o", tmp_path / "all.jsonl")
    assert out.returncode == 0 and [row["path"] for row in merged(tmp_path / "all.jsonl")] == [str(cat_video)]
