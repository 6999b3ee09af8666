"""The table of output formats: every format does what its row says, and a new row works everywhere."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from sample_results import failure, sample

from nsnet_cli.outputs.files import FileOutputs
from nsnet_cli.outputs.formats import DEFAULT, FORMATS, Format, Stdout
from nsnet_cli.outputs.owner import NOTE, owner
from nsnet_cli.types import Source, VideoResult


def to_shout(result: VideoResult) -> str:
    return f"# {NOTE}\n" + "".join(f"{tag.name.upper()}!\n" for tag in result.tags)


IN_FILES = [name for name, row in FORMATS.items() if not row.in_parts]
"""tests/test_outputs_parts.py has the others."""
SHOUT = Format("shout", "tags in capitals", document=to_shout, ending=".shout.txt")


def folder_of_one(root: Path, format: str, result: VideoResult) -> FileOutputs:
    """The result folder of a run over one video."""
    files = FileOutputs(root, sidecar=format)
    files.open()
    assert files.write("clip.mp4", result, "f", Source("/in/clip.mp4")).error is None
    files.close()
    return files


def test_a_format_is_rows_or_one_document() -> None:
    for name, row in FORMATS.items():
        assert row.name == name and row.help
        assert (row.open_rows is None) != (row.document is None) or row.in_parts
        assert (row.document is None) == (row.ending is None)
    endings = [row.ending for row in FORMATS.values() if row.ending is not None]
    assert len(set(endings)) == len(endings) and not FORMATS[DEFAULT].one_document


@pytest.mark.parametrize("name", IN_FILES)
def test_files_beside_a_result_are_recognised_and_required_for_done(name: str, tmp_path: Path) -> None:
    format, result = FORMATS[name], sample(count=4)
    files = folder_of_one(tmp_path / "out", name, result)
    written = {path.name.removeprefix("clip.mp4"): path for path in (tmp_path / "out").iterdir()}
    del written[".nsnet.json"]
    assert all(owner(path).ours for path in written.values())
    assert (format.ending in written) if format.ending is not None else not written
    assert files.need_jpegs == format.needs_jpegs
    if format.ending is not None:
        written[format.ending].unlink()
        assert files.look("clip.mp4", lambda: "f", Source("/in/clip.mp4")).state == "stale"


@pytest.mark.parametrize("name", IN_FILES)
def test_every_row_format_takes_any_result(name: str) -> None:
    results = [sample(count=4), replace(sample(jpegs=False), frames=()), failure()]
    rows = FORMATS[name].rows(Stdout([result.path for result in results]))
    text = rows.head() + "".join(rows.row(result) for result in results) + rows.tail()
    assert "tabby" in text and text.endswith("\n")


def test_a_new_format_is_written_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FORMATS, "shout", SHOUT)
    rows = SHOUT.rows(Stdout())
    assert rows.head() + rows.row(sample()) + rows.tail() == f"# {NOTE}\nTABBY!\nTIGER CAT!\n"
    assert rows.row(failure()) == "" and SHOUT.one_document
    source, out = Source("/in/clip.mp4"), tmp_path / "out"
    for tag in ("cat", "dog"):  # a run replaces what the one before wrote
        files = folder_of_one(out, "shout", sample(tags=((tag, 0.9),), count=4))
        assert (out / "clip.mp4.shout.txt").read_text() == f"# {NOTE}\n{tag.upper()}!\n"
    assert files.look("clip.mp4", lambda: "f", source).state == "done"
    (out / "clip.mp4.shout.txt").unlink()
    assert files.look("clip.mp4", lambda: "f", source).state == "stale"
    (out / "clip.mp4.shout.txt").write_text("notes of a person")
    files = folder_of_one(out, "shout", sample(count=4))
    assert (out / "clip.mp4.shout.txt").read_text() == "notes of a person"
    assert files.look("clip.mp4", lambda: "f", source).state == "done"


RUN = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from nsnet_cli.outputs.formats import FORMATS
from test_outputs_formats import SHOUT
FORMATS["shout"] = SHOUT
from nsnet_cli.cli.app import run
sys.exit(run(sys.argv[1:]))
"""


def nsnet(*args: str | Path) -> subprocess.CompletedProcess[str]:
    """The command line of a program whose table has one more row."""
    return subprocess.run([sys.executable, "-c", RUN, *map(str, args)], capture_output=True, encoding="utf-8")


def test_a_new_format_is_on_the_command_line(cat_video: Path, tmp_path: Path) -> None:
    cheap = ("--policy", "uniform", "--frames", "1", "--top-k", "1")
    helped = " ".join(nsnet("tag", "--help").stdout.split())
    assert "|xmp|shout>" in helped and "shout: tags in capitals" in helped
    shown = nsnet("tag", cat_video, "--format", "shout", *cheap)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith(f"# {NOTE}\n") and shown.stdout.endswith("!\n")
    both = nsnet("tag", cat_video, "other.mp4", "--format", "shout", *cheap)
    assert both.returncode == 2 and "one document" in both.stderr
    kept = nsnet("tag", cat_video, "--format", "shout", "-o", tmp_path / "out", *cheap)
    assert kept.returncode == 0 and kept.stdout == ""
    assert (tmp_path / "out" / f"{cat_video.name}.shout.txt").read_text() == shown.stdout


def test_the_table_imports_no_writer() -> None:
    code = (
        "import sys, nsnet_cli.outputs.formats; print(*(m for m in sys.modules if m.startswith('nsnet_cli.outputs')))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True).stdout
    assert out.split() == ["nsnet_cli.outputs", "nsnet_cli.outputs.formats"]
