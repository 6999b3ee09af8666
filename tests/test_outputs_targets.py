"""Output paths (-o, --plot, --png) are checked before any work, so that no file of the user is lost."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from nsnet_cli.errors import OutputError
from nsnet_cli.outputs.figures import figure_target
from nsnet_cli.outputs.save import check_folder, save

Inside = Callable[..., subprocess.CompletedProcess[str]]
MATROSKA = b"\x1aE\xdf\xa3" + bytes(100)


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """A label file of one unreadable video: if work began, it would end in that error."""
    (tmp_path / "clip.mp4").write_bytes(b"?")
    (tmp_path / "labels.csv").write_text("path,label\nclip.mp4,cat\n")
    return tmp_path / "labels.csv"


@pytest.mark.torch
def test_train_spares_files_of_others(labels: Path, inside: Inside) -> None:
    (labels.parent / "README.md").write_text("my holidays")
    refused = inside("train", labels, "-o", labels.parent)
    assert refused.returncode == 2 and f"{labels.parent / 'README.md'} was not written by nsnet" in refused.stderr
    refused = inside("train", labels, "-o", labels.parent / "clip.mp4")
    assert refused.returncode == 2 and "it is a file, not a folder" in refused.stderr
    assert (labels.parent / "README.md").read_text() == "my holidays"


def test_evaluate_refuses_a_plot_over_a_video(labels: Path, inside: Inside) -> None:
    (labels.parent / "plots.png").mkdir()
    for name, why in (("clip.mp4", "it is a video"), ("plots.png", "it is a folder")):
        refused = inside("evaluate", labels, "--plot", labels.parent / name)
        assert refused.returncode == 2 and why in refused.stderr, refused.stderr


def test_a_plot_without_an_ending_is_a_png(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    assert figure_target(tmp_path / "results") == tmp_path / "results.png"
    assert figure_target(tmp_path / "plot.svg") == tmp_path / "plot.svg"
    (tmp_path / "results.png").mkdir()
    with pytest.raises(OutputError, match="it is a folder"):
        figure_target(tmp_path / "results")


def test_a_folder_of_others_is_refused(tmp_path: Path) -> None:
    files, marks = ("config.json", "README.md"), ("config.json", ".work")
    check_folder(tmp_path / "new", files, marks)
    (tmp_path / "photo.jpg").touch()
    check_folder(tmp_path, files, marks)
    for name, text in (("README.md", "my holidays"), ("config.json", '{"architecture": "someone else"}')):
        (tmp_path / name).write_text(text)
        with pytest.raises(OutputError, match=re.escape(f"{tmp_path / name} was not written by nsnet")):
            check_folder(tmp_path, (name,), marks)
    (tmp_path / "config.json").write_text('{"schema_version": 1}')
    check_folder(tmp_path, files, marks)
    (tmp_path / "config.json").unlink()
    (tmp_path / ".work").mkdir()
    check_folder(tmp_path, files, marks)
    with pytest.raises(OutputError, match="it is a file, not a folder"):
        check_folder(tmp_path / "photo.jpg", files, marks)


def test_a_named_file_that_is_a_link_to_a_video_is_refused(tmp_path: Path) -> None:
    (tmp_path / "film").write_bytes(MATROSKA)
    (tmp_path / "plot.png").symlink_to("film")
    with pytest.raises(OutputError, match="it is a video"):
        save(tmp_path / "plot.png", b"new")
