"""Desktop tags in the extended attributes of real files."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest
from sample_results import failure, sample, uncertain

from nsnet_cli.errors import OutputError
from nsnet_cli.outputs.xattrs import OURS, TAGS, merge, undo
from nsnet_cli.types import Tag, VideoResult

LINUX = hasattr(os, "setxattr")


def result(*names: str) -> VideoResult:
    return replace(sample(jpegs=False), tags=tuple(Tag(n, n, 0.9, (), 0.95, True) for n in names))


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"video")
    try:
        os.setxattr(path, "user.test", b"x")
        os.removexattr(path, "user.test")
    except (AttributeError, OSError):
        pytest.skip("needs Linux, and a file system with extended attributes")
    return path


def tags(video: Path, attribute: str = TAGS) -> str | None:
    try:
        return os.getxattr(video, attribute).decode()
    except OSError as error:
        assert error.errno == errno.ENODATA
        return None


@pytest.mark.parametrize("before", [None, "holiday", "Cat, été ,,holiday", " "])
def test_tags_are_merged_changed_and_taken_out(video: Path, before: str | None) -> None:
    if before is not None:
        os.setxattr(video, TAGS, before.encode())
    status = video.stat()
    assert undo(video).did == merge(video, uncertain()).did == merge(video, failure()).did == "unchanged"
    assert merge(video, result("cat", "dog", "a, b")).did == "written"
    assert merge(video, result("cat", "dog", "a, b")).did == "unchanged"
    words = [word.strip() for word in (tags(video) or "").split(",")]
    assert words[-2:] == ["dog", "a b"] and ("cat" in words) == ("Cat" not in words)
    assert merge(video, result("dog", "espresso")).did == "written"
    assert (tags(video) or "").endswith("dog,espresso") and tags(video, OURS) == "dog,espresso"
    assert undo(video).did == "written" and tags(video, OURS) is None
    left = [word for word in (before or "").split(",") if word.strip()]
    assert tags(video) == (",".join(left) or None)
    after = video.stat()
    assert (after.st_mtime_ns, after.st_size) == (status.st_mtime_ns, status.st_size), "the video is not another one"


def test_what_a_person_removed_stays_away(video: Path) -> None:
    merge(video, result("cat", "dog"))
    os.setxattr(video, TAGS, b"dog,mine")
    assert merge(video, result("cat", "dog")).did == "unchanged" and tags(video) == "dog,mine"
    assert undo(video).did == "written" and tags(video) == "mine"


def test_a_kill_between_two_steps_leaves_no_tag_that_undo_misses(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.setxattr(video, TAGS, b"mine")
    merge(video, result("cat"))
    setxattr = os.setxattr
    for steps in range(3):
        done = []

        def killed(path: Path, name: str, value: bytes, done: list[str] = done, steps: int = steps) -> None:
            if len(done) == steps:
                raise KeyboardInterrupt
            done.append(name)
            setxattr(path, name, value)

        with monkeypatch.context() as patch:
            patch.setattr(os, "setxattr", killed)
            with pytest.raises(KeyboardInterrupt):
                merge(video, result("dog", f"espresso {steps}"))
        undo(video)
        assert tags(video) == "mine" and tags(video, OURS) is None, steps
        merge(video, result("cat"))


def test_files_without_attributes_are_left_alone(video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert merge(tmp_path / "gone.mp4", result("cat")).why == "No such file or directory"
    os.setxattr(video, TAGS, b"\xff")
    assert merge(video, result("cat")).why == f"its {TAGS} is not UTF-8" and os.getxattr(video, TAGS) == b"\xff"
    os.removexattr(video, TAGS)
    if Path("/proc/self/status").exists():
        why = merge(Path("/proc/self/status"), result("cat")).why
        assert why == "the file system of /proc/self has no extended attributes" or "not permitted" in why


def test_an_attribute_that_does_not_fit_changes_nothing(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.setxattr(video, TAGS, b"mine")
    merge(video, result("cat"))
    setxattr = os.setxattr

    def full(path: Path, name: str, value: bytes) -> None:
        if name == TAGS:
            raise OSError(errno.ENOSPC, "No space left on device")
        setxattr(path, name, value)

    monkeypatch.setattr(os, "setxattr", full)
    assert merge(video, result("dog")).why == "there is no space for more extended attributes on this file"
    assert tags(video) == "mine,cat" and tags(video, OURS) == "cat"


def test_other_systems_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if LINUX:
        monkeypatch.delattr(os, "setxattr")
    for call in (lambda: merge(tmp_path / "a.mp4", result("cat")), lambda: undo(tmp_path / "a.mp4")):
        with pytest.raises(OutputError, match="Linux only"):
            call()
