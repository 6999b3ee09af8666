"""Results in parts: whole or not there, one row per video, done or not by its identity."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess as Out
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet
from sample_results import failure, sample

from nsnet_cli.errors import OutputError, UsageError
from nsnet_cli.outputs import parts as parts_module
from nsnet_cli.outputs.files import FileOutputs
from nsnet_cli.outputs.jsonlines import from_dict, to_dict
from nsnet_cli.outputs.parquet_rows import read_rows, to_bytes
from nsnet_cli.types import Source, TagOptions, VideoResult

CHEAP = ("--policy", "uniform", "--frames", "1", "--top-k", "1")


def opened(root: Path, shown: TagOptions | None = None) -> FileOutputs:
    files = FileOutputs(root, sidecar="parquet")
    files.shown = shown or TagOptions()
    files.open()
    return files


def put(files: FileOutputs, name: str, result: VideoResult | None = None, fingerprint: str = "f") -> None:
    result = replace(result or sample(), path=name)
    assert files.write(name, result, fingerprint, Source(f"/in/{name}")).path == name


def state(files: FileOutputs, name: str, fingerprint: str = "f") -> str:
    return files.look(name, lambda: fingerprint, Source(f"/in/{name}"), name).state


def rows(root: Path) -> list[dict[str, Any]]:
    return [row for part in parts_module.parts_in(root) for row in parquet.read_table(part).to_pylist()]


@pytest.mark.parametrize("result", [sample(count=4), failure(), replace(sample(), columns={"camera": "n", "x": [1]})])
def test_a_row_comes_back_as_it_went_in(tmp_path: Path, result: VideoResult) -> None:
    row = to_dict(result, "f", Source("/in/a.mp4", 1, 2), TagOptions().shown())
    (tmp_path / "rows.parquet").write_bytes(to_bytes([row]))
    (back,) = read_rows(tmp_path / "rows.parquet")
    assert {key: value for key, value in row.items() if value is not None} == {
        key: value for key, value in back.items() if value is not None
    }
    assert to_dict(from_dict(back)) == to_dict(result)


def test_a_name_that_is_not_utf8_is_escaped_and_known(tmp_path: Path) -> None:
    name = b"latin-\xe9.mp4".decode("utf-8", "surrogateescape")
    files = opened(tmp_path)
    put(files, name)
    put(files, "é.mp4")
    files.close()
    assert [row["path"] for row in rows(tmp_path)] == ["latin-\\xe9.mp4", "é.mp4"]
    assert [state(opened(tmp_path), each) for each in (name, "é.mp4")] == ["done", "done"]


def test_done_is_known_from_the_parts(tmp_path: Path) -> None:
    files = opened(tmp_path)
    put(files, "good.mp4")
    put(files, "bad.mp4", failure())
    assert state(files, "good.mp4") == "missing"  # not on the disk yet
    files.close()
    files = opened(tmp_path)
    assert [state(files, name) for name in ("good.mp4", "bad.mp4", "new.mp4")] == ["done", "failed", "missing"]
    assert state(files, "good.mp4", "changed") == "stale"
    assert state(opened(tmp_path, TagOptions(top_k=1)), "good.mp4") == "stale"  # no look is kept to render anew


def test_a_video_that_is_tagged_anew_has_one_row(tmp_path: Path) -> None:
    files = opened(tmp_path)
    for name in ("a.mp4", "b.mp4"):
        put(files, name)
    files.close()
    files = opened(tmp_path)
    put(files, "a.mp4", fingerprint="new")
    files.close()
    assert sorted((row["path"], row["fingerprint"]) for row in rows(tmp_path)) == [("a.mp4", "new"), ("b.mp4", "f")]
    files = opened(tmp_path)
    put(files, "b.mp4", fingerprint="new")
    files.close()
    assert len(parts_module.parts_in(tmp_path)) == 2  # the first has no row left


def test_a_kill_before_the_old_row_is_out_is_made_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for fingerprint in ("old", "new"):
        with monkeypatch.context() as patched:
            patched.setattr(parts_module.PartStore, "_take_out", lambda *_: None)
            files = opened(tmp_path)
            put(files, "a.mp4", fingerprint=fingerprint)
            files.close()
    assert len(rows(tmp_path)) == 2
    files = opened(tmp_path)
    assert state(files, "a.mp4", "new") == "done"
    files.close()
    assert [row["fingerprint"] for row in rows(tmp_path)] == ["new"]


def test_parts_are_written_when_they_are_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts_module, "PART_ROWS", 2)
    files = opened(tmp_path)
    for number in range(5):
        put(files, f"{number}.mp4")
    assert len(rows(tmp_path)) == 4
    files.close()
    assert len(rows(tmp_path)) == 5 and len(parts_module.parts_in(tmp_path)) == 3


def test_a_damaged_or_foreign_part_stays(tmp_path: Path, heard: pytest.LogCaptureFixture) -> None:
    (tmp_path / "part-1-x.parquet").write_bytes(b"PAR1")
    parquet.write_table(pa.table({"path": ["a.mp4"]}), tmp_path / "part-2-x.parquet")
    files = opened(tmp_path)
    assert state(files, "a.mp4") == "missing"
    files.close()
    assert "torn" in heard.text and "not written by nsnet" in heard.text and len(list(tmp_path.iterdir())) == 2


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = opened(tmp_path)
    put(files, "a.mp4")
    monkeypatch.setattr(files.results, "write", lambda *_: (_ for _ in ()).throw(OutputError("full")))
    with pytest.raises(OutputError, match="full"):
        files.settle()


def test_what_does_not_go_with_parts(inside: Callable[..., Out[str]], cat_video: Path, tmp_path: Path) -> None:
    out = inside("tag", cat_video, *CHEAP, "--format", "parquet")
    assert (out.returncode, out.stdout) == (2, "") and "--output-dir" in out.stderr
    with pytest.raises(UsageError, match="--report"):
        FileOutputs(tmp_path, sidecar="parquet", report=tmp_path / "page")


def test_a_run_into_parts_and_a_second_one(inside: Callable[..., Out[str]], cat_video: Path, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video " * 100)
    command = ("tag", cat_video, tmp_path / "text.mp4", *CHEAP, "--format", "parquet", "-o", tmp_path / "out")
    first = inside(*command)
    assert (first.returncode, first.stdout) == (3, ""), first.stderr
    assert {row["status"] for row in rows(tmp_path / "out")} == {"ok", "error"}
    assert json.loads((tmp_path / "out" / "run.json").read_text())["done"] == 1
    assert "2 skipped" in inside(*command).stderr and len(rows(tmp_path / "out")) == 2
    planned = inside(*command, "--dry-run")
    assert planned.stdout.count("skip\t") == 2
