"""Folders of extracted frames: which folders they are, their files in order, and a hash of them. Decodes nothing."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from nsnet_cli.errors import VideoError
from nsnet_cli.sniffing import VIDEO_NAMES

FRAME_NAME = re.compile(r"(?P<series>.*?)(?P<number>\d+)\.(?P<kind>jpe?g|png)", re.IGNORECASE)
USUAL_SERIES = ("image_", "img_")
"""Names of colour frames. Beside them there may be optical flow: `flow_x_00001.jpg`, `x_00001.jpg`."""
LOOKED_AT = 64
"""Entries of a folder that are looked at to see whether it holds frames: a data set has 100,000 such folders."""
HASHED_FRAMES = 8


def is_frames_folder(path: Path) -> bool:
    """Whether a folder holds extracted frames: numbered pictures, and neither videos nor folders."""
    try:
        with os.scandir(path) as entries:
            return holds_frames(list(islice(entries, LOOKED_AT)))
    except OSError:
        return False


def holds_frames(entries: Sequence[os.DirEntry[str]]) -> bool:
    """The same from the first entries of a folder."""
    if any(Path(entry.name).suffix.lower() in VIDEO_NAMES or entry.is_dir() for entry in entries):
        return False
    return any(FRAME_NAME.fullmatch(entry.name) for entry in entries)


def frame_files(folder: Path) -> list[tuple[int, Path]]:
    """Returns (number, file) of a folder's frames, by number. Raises VideoError if it holds several series."""
    series: dict[str, list[tuple[int, Path]]] = {}
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208  names alone, no Path for each
    except OSError as error:
        raise VideoError(f"{folder}: cannot be read: {error.strerror or error}", kind="unreadable") from error
    for name in names:
        if match := FRAME_NAME.fullmatch(name):
            series.setdefault(match["series"].lower(), []).append((int(match["number"]), folder / name))
    known = [name for name in USUAL_SERIES if name in series] or list(series)
    if not known:
        raise VideoError(f"{folder}: holds no frames", "expected files such as image_00001.jpg", "no_frames")
    if len(known) > 1:
        shown = ", ".join(f"{name}*" for name in known[:4])
        raise VideoError(f"{folder}: holds several series of frames: {shown}", "keep one of them", "unreadable")
    return sorted(series[known[0]])


def frames_hash(folder: Path) -> str:
    """Returns a hash of a folder's frames: of all numbers and sizes, and of the bytes of HASHED_FRAMES of them.

    Raises OSError or VideoError.
    """
    files = frame_files(folder)
    digest = hashlib.sha256()
    for number, path in files:
        digest.update(f"{number - files[0][0]} {path.stat().st_size}\n".encode())
    for i in range(HASHED_FRAMES):
        digest.update(files[i * (len(files) - 1) // (HASHED_FRAMES - 1)][1].read_bytes())
    return digest.hexdigest()
