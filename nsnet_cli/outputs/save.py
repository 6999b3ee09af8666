"""Writes files that the user named, completely or not at all. Creates their folder if it is missing.

An existing file is replaced; a folder or a video is not, because no user wants that.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from nsnet_cli.atomic import write_whole
from nsnet_cli.errors import OutputError
from nsnet_cli.outputs.owner import owner
from nsnet_cli.outputs.store import refused
from nsnet_cli.sniffing import SNIFF_BYTES, VIDEO_NAMES, sniff
from nsnet_cli.storage.urls import refuse_url


def check_target(path: Path, video: str | None = None) -> None:
    """Raises OutputError if `path` must not be replaced. `video`: the input."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise OutputError(f"cannot write {path}: it is a folder", "give the name of a file")
        if not stat.S_ISREG(mode):
            raise OutputError(f"cannot write {path}: it is a pipe or a device, not a file", "give the name of a file")
        with path.open("rb") as handle:
            is_video = sniff(handle.read(SNIFF_BYTES)) is not None
        is_input = video is not None and os.path.samefile(path, video)  # noqa: PTH121
    except (OSError, ValueError):
        return  # not there, or not readable
    if is_video or is_input or path.suffix.lower() in VIDEO_NAMES:
        raise OutputError(f"cannot write {path}: it is a video and would be lost", "give another name")


def check_folder(folder: Path, files: Iterable[str], marks: Iterable[str]) -> None:
    """Raises OutputError if writing `files` into `folder` would replace files that nsnet did not write.

    Files there are nsnet's own if one of `marks` exists: a JSON file that it wrote, or a folder that only it makes.
    """
    if os.path.lexists(folder) and not folder.is_dir():
        raise OutputError(f"cannot write to {folder}: it is a file, not a folder", "give another folder")
    if any((folder / mark).is_dir() or owner(folder / mark).ours for mark in marks):
        return
    for name in files:
        if os.path.lexists(folder / name):
            raise OutputError(f"{folder / name} was not written by nsnet and would be lost", "give another folder")


def save(path: Path, data: bytes) -> None:
    """Writes `data` to `path`. Raises OutputError, and UsageError for a URL."""
    refuse_url(path, "only the results of `nsnet tag -o` can be kept at a URL", "give a local file")
    check_target(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)
    except OSError as error:
        raise refused(path, error) from error
