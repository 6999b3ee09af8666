"""Cuts a span out of a video as a file of its own, by stream copy: nothing is recoded, and nothing overwritten.

    with DecodePool() as pool:
        clip = cut(Path("clip.mp4"), 12.5, 18.0, Path("clips"), pool=pool)
    clip.path, clip.start_s        clips/clip-0m12.5s-0m18.0s.mp4, 11.2

A stranger's file is read in a decode process: a hang or a crash there costs one clip.
"""

from __future__ import annotations

import filecmp
import itertools
import math
from collections.abc import Iterator
from pathlib import Path

from nsnet_cli.atomic import give_name, sweep, temporary_file
from nsnet_cli.errors import UsageError
from nsnet_cli.media import Copied, ReadOptions
from nsnet_cli.moments.names import clip_name
from nsnet_cli.outputs.store import refused
from nsnet_cli.records import dataclass
from nsnet_cli.video.pool import DecodePool

OPTIONS = ReadOptions(size_px=1)
"""Only the limits on the file matter: no picture is scaled."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A clip. Times are those of the video that it was cut from."""

    path: Path
    start_s: float
    """Where it really begins: the key frame at or before the requested start, or the video's first one."""
    end_s: float
    """Where it really ends: up to a few pictures after the requested end."""
    written: bool
    """False: the same clip was there already."""
    left_out: tuple[str, ...] = ()
    """What it lacks, for people: 'data stream 2 (tmcd)'."""


def cut(video: Path, start_s: float, end_s: float, folder: Path, *, pool: DecodePool | None = None) -> Cut:
    """Cuts a span of `video` into a new file in `folder`, which is made if it is missing.

    Another file of the clip's name stays as it is, and the clip gets a number. `pool`: one for many clips.
    Raises VideoError if the video is at fault, OutputError if the clip cannot be written, and UsageError for no span.
    """
    if not (math.isfinite(start_s) and math.isfinite(end_s) and start_s < end_s):
        raise UsageError(f"{start_s:g} s to {end_s:g} s is not a span", "give an end after the start")
    if pool is None:
        with DecodePool() as own:
            return cut(video, start_s, end_s, folder, pool=own)
    target = folder / clip_name(video, start_s, end_s, "")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        with temporary_file(folder.absolute()) as temporary:
            copied = pool.copy(video, temporary, max(0.0, start_s), end_s, OPTIONS)
            names = (clip_name(video, start_s, end_s, copied.ending, number) for number in itertools.count(1))
            return _named(temporary, folder, names, copied)
    except OSError as error:
        raise refused(target, error) from error


def _named(temporary: Path, folder: Path, names: Iterator[str], copied: Copied) -> Cut:
    """Gives the clip the first name that is free, unless one before it is the same clip."""
    for name in names:
        path = folder / name
        try:
            give_name(temporary, path)
            written = True
        except FileExistsError:
            if not _same(temporary, path):
                continue
            written = False
        return Cut(path, copied.start_s, copied.end_s, written, copied.left_out)
    raise AssertionError("names do not end")


def _same(one: Path, other: Path) -> bool:
    try:
        return not other.is_symlink() and filecmp.cmp(one, other, shallow=False)
    except OSError:  # a folder, or not readable
        return False
