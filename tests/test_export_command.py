"""`nsnet export`: what it writes where, what it leaves alone, and what it says."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from kept_results import keep
from sample_results import failure, sample, uncalibrated, uncertain
from xmp_files import darktable

from nsnet_cli.outputs.exports.entries import Choice, Entry, select
from nsnet_cli.outputs.exports.folder import LIST
from nsnet_cli.outputs.exports.table import EXPORTS
from nsnet_cli.types import Source, Tag, VideoResult

Inside = Callable[..., subprocess.CompletedProcess[str]]
NEED_NOTHING = "csv,csv-spans,jsonl,label-studio,fiftyone,chapters,losslesscut,vtt"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Five videos, all gone: two with a certain tag, one with none, one never calibrated, one that failed."""
    kept = {
        "a.mp4": sample("a.mp4", jpegs=False),
        "sub/b.mp4": sample("sub/b.mp4", jpegs=False),
        "u.mp4": uncertain("u.mp4", jpegs=False),
        "v.mp4": uncalibrated("v.mp4", jpegs=False),
        "f.mp4": failure("f.mp4"),
    }
    return keep(tmp_path / "results", kept)


def tree(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_several_formats_at_once_and_again_the_same(results: Path, inside: Inside) -> None:
    kept = tree(results)
    done = inside("export", results, "--to", NEED_NOTHING)
    assert done.returncode == 0 and done.stdout == f"{results / 'export'}\n"
    assert "5 videos; files: chapters 2, losslesscut 2, vtt 2, csv 1" in done.stderr
    assert "2 with nothing certain, 1 that could not be tagged" in done.stderr
    assert "1 result without probabilities" in done.stderr
    written = tree(results / "export")
    assert set(written) == {
        LIST,
        *(f"{name}{end}" for name in ("a.mp4", "sub/b.mp4") for end in (".ffmeta", ".llc", ".tags.vtt")),
        *("videos.csv", "spans.csv", "results.jsonl", "label-studio.json", "label-studio.xml"),
        *("fiftyone/data.json", "fiftyone/labels.json"),
    }
    before = {path: path.stat().st_mtime_ns for path in (results / "export").rglob("*") if path.name != LIST}
    assert inside("export", results, "--to", NEED_NOTHING).returncode == 0
    assert tree(results / "export") == written
    assert {path: path.stat().st_mtime_ns for path in before if path.is_file()} == {
        path: time for path, time in before.items() if path.is_file()
    }, "what is right already is not written again"
    assert {name: data for name, data in tree(results).items() if not name.startswith("export/")} == kept


def test_the_rest_of_the_formats(results: Path, inside: Inside) -> None:
    rest = [row for row in EXPORTS.values() if row.packages]
    for row in rest:
        for module in row.packages:
            pytest.importorskip(module, reason=f"needs {module}")
    out = results.parent / "elsewhere"
    done = inside("export", results, "--to", ",".join(row.name for row in rest), "-o", out)
    assert done.returncode == 0 and done.stdout == f"{out}\n"
    assert set(tree(out)) - {LIST} == {
        "spans.parquet",
        *(f"{name}{row.ending}" for name in ("a.mp4", "sub/b.mp4") for row in rest if row.ending),
    }
    assert not (results / "export").exists()


# ---- files of others -------------------------------------------------------------------------------------------------


def test_files_of_others_and_changed_files_stay(results: Path, tmp_path: Path, inside: Inside) -> None:
    out = results / "export"
    out.mkdir()
    (out / "videos.csv").write_text("mine")
    (tmp_path / "target").write_text("mine too")
    (out / "a.mp4.llc").symlink_to(tmp_path / "target")
    first = inside("export", results, "--to", "csv,losslesscut,chapters", "--overwrite")
    assert first.returncode == 3 and first.stderr.count("left alone, nsnet did not write it") == 2
    assert (out / "videos.csv").read_text() == "mine" and (tmp_path / "target").read_text() == "mine too"
    assert (out / "a.mp4.llc").is_symlink() and (out / "sub" / "b.mp4.llc").is_file()
    (out / "a.mp4.ffmeta").write_text("my own chapters")
    for _ in range(2):  # the list keeps knowing that it was nsnet's
        second = inside("export", results, "--to", "chapters")
        assert second.returncode == 3 and "a.mp4.ffmeta: left alone, it was changed" in second.stderr
        assert (out / "a.mp4.ffmeta").read_text() == "my own chapters"
    assert inside("export", results, "--to", "chapters", "--overwrite").returncode == 0
    assert (out / "a.mp4.ffmeta").read_text().startswith(";FFMETADATA1")


def test_new_results_replace_and_remove_what_was_exported(results: Path, inside: Inside) -> None:
    out = results / "export"
    assert inside("export", results, "--to", "chapters,vtt").returncode == 0
    (out / "sub" / "b.mp4.tags.vtt").write_text("my own cues")
    keep(
        results,
        {"a.mp4": sample("a.mp4", peak_s=20.0, jpegs=False), "sub/b.mp4": uncertain("sub/b.mp4", jpegs=False)},
    )
    before = (out / "a.mp4.ffmeta").read_bytes()
    assert inside("export", results, "--to", "chapters,vtt").returncode == 0
    assert (out / "a.mp4.ffmeta").read_bytes() != before
    assert not (out / "sub" / "b.mp4.ffmeta").exists(), "its chapters are no longer true"
    assert (out / "sub" / "b.mp4.tags.vtt").read_text() == "my own cues"


def test_a_list_that_a_kill_cut_short_is_read_and_goes_on(results: Path, inside: Inside) -> None:
    out = results / "export"
    assert inside("export", results, "--to", "chapters").returncode == 0
    whole = (out / LIST).read_bytes()
    (out / LIST).write_bytes(whole + b'{"name": "a.mp4.tags.v')
    keep(results, {"a.mp4": sample("a.mp4", peak_s=20.0, jpegs=False)})
    assert inside("export", results, "--to", "chapters,vtt").returncode == 0
    keep(results, {"a.mp4": sample("a.mp4", peak_s=5.0, jpegs=False)})
    assert inside("export", results, "--to", "chapters,vtt").returncode == 0
    (out / LIST).write_text("groceries")
    refused = inside("export", results, "--to", "chapters")
    assert refused.returncode == 2 and "was not written by nsnet" in refused.stderr


KILLED = """
import os, sys
from nsnet_cli.outputs.exports import folder
def die(*args, **options): os._exit(9)
folder.ResultStore.write = die
from nsnet_cli.cli.app import run
run(sys.argv[1:])
"""


def test_a_kill_between_the_list_and_the_file_harms_nothing(results: Path, inside: Inside) -> None:
    assert inside("export", results, "--to", "chapters").returncode == 0
    before = (results / "export" / "a.mp4.ffmeta").read_bytes()
    keep(results, {"a.mp4": sample("a.mp4", peak_s=20.0, jpegs=False)})
    killed = subprocess.run([sys.executable, "-c", KILLED, "export", results, "--to", "chapters"], check=False)
    assert killed.returncode == 9 and (results / "export" / "a.mp4.ffmeta").read_bytes() == before
    assert inside("export", results, "--to", "chapters").returncode == 0
    assert (results / "export" / "a.mp4.ffmeta").read_bytes() != before


def test_a_folder_that_cannot_be_made_is_an_error_and_the_rest_stays_ours(results: Path, inside: Inside) -> None:
    out = results / "export"
    out.mkdir()
    (out / "sub").write_text("a file of somebody")
    failed = inside("export", results, "--to", "chapters")
    assert failed.returncode == 2 and "sub" in failed.stderr and "choose another folder" in failed.stderr
    assert (out / "a.mp4.ffmeta").is_file() and (out / "sub").read_text() == "a file of somebody"
    (out / "sub").unlink()
    keep(results, {"a.mp4": sample("a.mp4", peak_s=20.0, jpegs=False)})
    assert inside("export", results, "--to", "chapters").returncode == 0


# ---- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--to", "parquet,avi"], 2, "--to 'avi' is not a format\n  known: parquet, csv, csv-spans, jsonl"),
        (["--to", ","], 2, "--to names no format"),
        ([], 2, "give either --to or --undo"),
        (["--to", "csv", "--undo", "csv"], 2, "give either --to or --undo"),
        (["--undo", "csv"], 2, "--undo 'csv' is not a format to undo"),
        (["--to", "csv", "--top-k", "0"], 2, "top-k"),
    ],
)
def test_wrong_usage_names_what_is_known(
    results: Path, inside: Inside, arguments: list[str], code: int, words: str
) -> None:
    done = inside("export", results, *arguments)
    assert done.returncode == code and words in done.stderr and done.stdout == ""
    assert not (results / "export").exists()


def test_a_folder_without_results(tmp_path: Path, inside: Inside) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    for name, words in (("empty", "has no results"), ("none", "does not exist"), ("file", "is a file")):
        done = inside("export", tmp_path / name, "--to", "csv")
        assert done.returncode == 4 and words in done.stderr and "nsnet tag" in done.stderr
    assert list(tmp_path.rglob("export")) == []


def test_torn_and_foreign_results_are_left_out_and_named(results: Path, inside: Inside) -> None:
    (results / "torn.mp4.nsnet.json").write_text('{"schema_version": 2, "path": "to')
    (results / "foreign.mp4.nsnet.json").write_text('{"speed": "5 min/km"}')
    (results / "newer.mp4.nsnet.json").write_text('{"schema_version": 99}')
    (results / "deep.mp4.nsnet.json").write_text("[" * 100_000)
    whole = (results / "a.mp4.nsnet.json").read_text()
    (results / "edited.mp4.nsnet.json").write_text(whole.replace('"start_s": 8.0', '"start_s": "eight"'))
    (results / "nan.mp4.nsnet.json").write_text(whole.replace('"duration_s": 30.0', '"duration_s": NaN'))
    done = inside("export", results, "--to", "csv")
    assert done.returncode == 3 and done.stderr.count("left out, not a result that can be read") == 6
    names = ("torn", "foreign", "newer", "deep", "edited", "nan")
    assert all(f"{name}.mp4.nsnet.json" in done.stderr for name in names)
    assert len((results / "export" / "videos.csv").read_text().splitlines()) == 1 + 5


def test_results_of_version_0_1_are_in_tables(tmp_path: Path, inside: Inside) -> None:
    row: dict[str, Any] = {
        "schema_version": 1,
        "path": "old.mp4",
        "status": "ok",
        "duration_s": 4.0,
        "tags": [{"id": "n02123045", "name": "tabby", "score": 0.8, "evidence": []}],
        "salient_frames": [],
    }
    (tmp_path / "old.mp4.nsnet.json").write_text(json.dumps(row))
    done = inside("export", tmp_path, "--to", "csv,vtt,label-studio")
    assert done.returncode == 0 and "1 result without probabilities (from version 0.1" in done.stderr
    assert "old.mp4" in (tmp_path / "export" / "videos.csv").read_text()
    assert not (tmp_path / "export" / "old.mp4.tags.vtt").exists()


def test_a_missing_package_is_named_with_how_to_install_it(results: Path) -> None:
    code = (
        "import sys, importlib.util; real = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda n, *a: None if n in ('pyarrow', 'otio_cmx3600_adapter') else real(n, *a)\n"
        "from nsnet_cli.cli.app import run; sys.exit(run(sys.argv[1:]))"
    )
    for name, module in (("parquet", "pyarrow"), ("edl", "otio-cmx3600-adapter")):
        command = [sys.executable, "-c", code, "export", str(results), "--to", f"csv,{name}"]
        done = subprocess.run(command, capture_output=True, encoding="utf-8")
        assert done.returncode == 2 and f"--to {name} needs" in done.stderr and module in done.stderr
        assert "pip install 'nsnet[export]'" in done.stderr
    assert not (results / "export").exists()


# ---- which tags ------------------------------------------------------------------------------------------------------


def entry(result: VideoResult) -> Entry:
    return Entry(Path("a.nsnet.json"), "a", result, Source("/a"))


def certain_tags(*probabilities: float) -> VideoResult:
    tags = [Tag(f"t{p}", f"t{p}", 1 - p, (), p, True) for p in probabilities]
    guess = Tag("g", "g", 0.99, (), 0.1)
    return replace(sample(jpegs=False), tags=(*tags, guess), precision=0.8, perhaps=guess)


def test_a_choice_takes_away_and_never_adds() -> None:
    result = certain_tags(0.95, 0.9, 0.85)

    def left(**choice: Any) -> list[float | None]:
        chosen = select(entry(result), Choice(**choice))
        assert chosen.perhaps is None
        return [tag.probability for tag in chosen.tags]

    assert left() == [0.95, 0.9, 0.85]
    assert left(top_k=2) == [0.95, 0.9] and left(top_k=9) == [0.95, 0.9, 0.85]
    assert left(precision=0.9) == [0.95, 0.9] and left(precision=0.8) == [0.95, 0.9, 0.85]
    assert left(threshold=0.09) == [0.9, 0.85] and left(threshold=1.0) == []
    assert select(entry(result), Choice(precision=0.9)).precision == 0.9
    assert select(entry(failure()), Choice(precision=0.1)) == failure()
    assert select(entry(uncalibrated()), Choice(precision=0.1)).tags == ()


def test_less_precision_than_was_kept_needs_another_run(results: Path, inside: Inside) -> None:
    done = inside("export", results, "--to", "csv,vtt", "--precision", "0.5")
    assert done.returncode == 2 and "a.mp4 was tagged with 0.8" in done.stderr
    assert "nsnet tag ... -o DIR --precision 0.5" in done.stderr
    assert not [name for name in tree(results / "export") if name != LIST]
    assert inside("export", results, "--to", "csv,vtt", "--precision", "0.96").returncode == 0
    assert not (results / "export" / "a.mp4.tags.vtt").exists()


# ---- beside the videos -----------------------------------------------------------------------------------------------


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """Results of a video that is there and one that has gone. Returns their folder."""
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").touch()
    kept = {"a.mp4": sample("a.mp4", jpegs=False), "gone.mp4": sample("gone.mp4", jpegs=False)}
    return keep(tmp_path / "results", kept, str(tmp_path / "videos"))


def subjects(sidecar: Path) -> list[str]:
    found = ElementTree.parse(sidecar).findall(".//{http://purl.org/dc/elements/1.1/}subject//{*}li")
    return [str(item.text) for item in found]


def test_sidecars_are_merged_beside_the_videos_and_undone(tmp_path: Path, beside: Path, inside: Inside) -> None:
    videos, theirs = tmp_path / "videos", darktable(random.Random(1))
    (videos / "a.mp4.xmp").write_bytes(theirs)
    done = inside("export", beside, "--to", "xmp")
    assert done.returncode == 0 and "xmp 2" in done.stderr
    assert (
        "1 video no longer there: nothing was written beside them; the sidecars of 1 are in the folder" in done.stderr
    )
    assert "tabby" in subjects(videos / "a.mp4.xmp") and not (videos / "gone.mp4.xmp").exists()
    assert subjects(beside / "export" / "gone.mp4.xmp") == ["tabby"]
    again = inside("export", beside, "--to", "xmp")
    assert again.returncode == 0
    undone = inside("export", beside, "--undo", "xmp")
    assert undone.returncode == 0 and (videos / "a.mp4.xmp").read_bytes() == theirs


def test_a_sidecar_of_a_video_that_has_gone_is_still_merged_and_undone(
    tmp_path: Path, beside: Path, inside: Inside
) -> None:
    theirs = darktable(random.Random(1))
    (tmp_path / "videos" / "gone.mp4.xmp").write_bytes(theirs)
    assert inside("export", beside, "--to", "xmp").returncode == 0
    assert "tabby" in subjects(tmp_path / "videos" / "gone.mp4.xmp") and not (beside / "export").exists()
    assert inside("export", beside, "--undo", "xmp").returncode == 0
    assert [path.name for path in (tmp_path / "videos").glob("*.xmp")] == ["gone.mp4.xmp"]
    assert (tmp_path / "videos" / "gone.mp4.xmp").read_bytes() == theirs


def test_a_sidecar_that_cannot_be_read_is_named_and_left_alone(tmp_path: Path, beside: Path, inside: Inside) -> None:
    (tmp_path / "videos" / "a.mp4.xmp").write_text("<x:xmpmeta")
    done = inside("export", beside, "--to", "xmp")
    assert done.returncode == 3 and "a.mp4.xmp: left alone: " in done.stderr
    assert (tmp_path / "videos" / "a.mp4.xmp").read_text() == "<x:xmpmeta"


def test_a_video_with_nothing_certain_any_more_loses_nsnet_s_keywords(
    tmp_path: Path, beside: Path, inside: Inside
) -> None:
    assert inside("export", beside, "--to", "xmp").returncode == 0
    assert (tmp_path / "videos" / "a.mp4.xmp").exists() and (beside / "export" / "gone.mp4.xmp").exists()
    done = inside("export", beside, "--to", "xmp", "--precision", "1", "--threshold", "0.999")
    assert done.returncode == 0 and not (tmp_path / "videos" / "a.mp4.xmp").exists()
    assert subjects(beside / "export" / "gone.mp4.xmp") == []


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="desktop tags are Linux's")
def test_desktop_tags_are_merged_and_undone(tmp_path: Path, beside: Path, inside: Inside) -> None:
    video = tmp_path / "videos" / "a.mp4"
    try:
        os.setxattr(video, "user.xdg.tags", b"holiday")
    except OSError:
        pytest.skip("the file system has no extended attributes")
    done = inside("export", beside, "--to", "xdg-tags")
    assert done.returncode == 0 and done.stdout == "" and "1 video no longer there" in done.stderr
    assert os.getxattr(video, "user.xdg.tags") == b"holiday,tabby" and not (beside / "export").exists()
    assert inside("export", beside, "--undo", "xdg-tags").returncode == 0
    assert os.getxattr(video, "user.xdg.tags") == b"holiday" and os.listxattr(video) == ["user.xdg.tags"]
    wrong = inside("export", beside, "--undo", "csv")
    assert wrong.returncode == 2 and "known: xmp, xdg-tags" in wrong.stderr


def test_the_table_imports_no_writer() -> None:
    code = (
        "import sys, nsnet_cli.cli.export; print(*(m for m in sys.modules"
        " if m.startswith('nsnet_cli.outputs') or m in ('pyarrow', 'opentimelineio', 'numpy')))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True).stdout
    assert set(out.split()) == {
        "nsnet_cli.outputs",
        "nsnet_cli.outputs.exports",
        "nsnet_cli.outputs.exports.table",
    }
