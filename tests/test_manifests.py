"""Manifests: each kind of table gives the same paths and columns, and the columns reach the rows."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from subprocess import CompletedProcess as Out
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from nsnet_cli.errors import UsageError
from nsnet_cli.manifests import read_manifest
from nsnet_cli.run.finding import columns_of

ROWS = [{"path": "a.mp4", "camera": "north", "take": 3}, {"path": "b é.mp4", "camera": None, "take": 4}]
CHEAP = ("--policy", "uniform", "--frames", "1", "--top-k", "1")


def as_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def as_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def as_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    parquet.write_table(pa.Table.from_pylist(rows), path)


@pytest.mark.parametrize(("ending", "write"), [("csv", as_csv), ("jsonl", as_jsonl), ("parquet", as_parquet)])
@pytest.mark.parametrize("where", ["path", "url"])
def test_every_kind_of_table_says_the_same(tmp_path: Path, ending: str, write: Callable[..., None], where: str) -> None:
    path = tmp_path / f"manifest.{ending}"
    write(path, [{where: row["path"], "camera": row["camera"], "take": row["take"]} for row in ROWS])
    found = read_manifest(str(path))
    assert found is not None and found.paths == ["a.mp4", "b é.mp4"] and found.without == 0
    text = ending == "csv"
    assert found.columns["a.mp4"] == {"camera": "north", "take": "3" if text else 3}
    assert found.columns["b é.mp4"] == {"camera": "" if text else None, "take": "4" if text else 4}


def test_rows_without_a_path_and_paths_that_stand_twice(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    as_jsonl(path, [{"path": "a.mp4", "n": 1}, {"n": 2}, {"path": "", "url": "b.mp4"}, {"path": "a.mp4", "n": 3}])
    found = read_manifest(str(path))
    assert found is not None and found.paths == ["a.mp4", "b.mp4", "a.mp4"] and found.without == 1
    assert found.columns == {"a.mp4": {"n": 1}, "b.mp4": {"path": ""}}


def test_values_that_json_does_not_know(tmp_path: Path) -> None:
    at = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    as_parquet(tmp_path / "m.parquet", [{"path": "a.mp4", "at": at, "raw": b"x", "nan": float("nan"), "list": [1, 2]}])
    found = read_manifest(str(tmp_path / "m.parquet"))
    assert found is not None
    assert found.columns["a.mp4"] == {"at": "2026-01-02T03:04:00+00:00", "raw": "x", "nan": None, "list": [1, 2]}


def test_a_list_that_is_named_like_a_table_is_a_list(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("a.mp4\nb.mp4\n")
    assert read_manifest(str(tmp_path / "list.csv")) is None and read_manifest("list.txt") is None


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("m.csv", b"file,camera\na.mp4,1\n", "no column path or url"),
        ("m.jsonl", b'{"path": "a.mp4"}\n{', "line 2 is not JSON"),
        ("m.jsonl", b"[1]\n", "line 1 is not an object"),
        ("m.parquet", b"PAR1 and no more", "is not Parquet"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UsageError, match=said):
        read_manifest(str(tmp_path / name))
    with pytest.raises(UsageError, match=r"cannot read the manifest .*nowhere"):
        read_manifest(str(tmp_path / f"nowhere{name}"))


def test_columns_belong_to_a_video_or_to_the_folder_above_it() -> None:
    columns = {"in/": {"n": 1}, "in/a.mp4": {"n": 2}}
    assert columns_of("in/a.mp4", columns) == {"n": 2}
    assert columns_of("in/deep/b.mp4", columns) == {"n": 1}
    assert columns_of("out/c.mp4", columns) is None and columns_of("in/a.mp4", {}) is None


def test_columns_reach_rows_and_kept_results(inside: Callable[..., Out[str]], cat_video: Path, tmp_path: Path) -> None:
    missing = tmp_path / "missing.mp4"
    rows = [{"path": str(cat_video), "camera": "=north", "tags": "x"}, {"path": str(missing), "camera": "", "tags": ""}]
    as_csv(tmp_path / "m.csv", rows)
    printed = inside("tag", "--from", tmp_path / "m.csv", *CHEAP, "--json", "-o", tmp_path / "out")
    assert printed.returncode == 3, printed.stderr
    found = {row["path"]: row["columns"] for row in map(json.loads, printed.stdout.splitlines())}
    assert found == {str(cat_video): {"camera": "=north", "tags": "x"}, str(missing): {"camera": "", "tags": ""}}
    kept = json.loads((tmp_path / "out" / f"{cat_video.name}.nsnet.json").read_bytes())
    assert kept["columns"] == found[str(cat_video)]
    table = inside("tag", "--from", tmp_path / "m.csv", *CHEAP, "--format", "csv").stdout.splitlines()
    cells = {row["path"]: row for row in csv.DictReader(table)}
    assert (cells[str(cat_video)]["camera"], cells[str(cat_video)]["columns.tags"]) == ("'=north", "x")
