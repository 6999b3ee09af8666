"""XMP sidecars beside videos: nsnet's keywords go into the files of other programs, and come out of them again.

A sidecar is `clip.mp4.xmp` (darktable, digiKam), or `clip.xmp` (Lightroom) where only that is there. One that cannot be
read, is not XMP, is read-only, or changes at the same moment is left alone; `Change` says why.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from nsnet_cli.atomic import write_whole
from nsnet_cli.outputs.keywords import Change, flat, paths
from nsnet_cli.outputs.rdf import MOST_BYTES, XmpError
from nsnet_cli.outputs.refusals import FATAL, refused
from nsnet_cli.outputs.xmp import NEW, is_empty, video_ending, with_keywords
from nsnet_cli.types import VideoResult

ENDING = ".xmp"
NO_SIDECAR_OF_ITS_OWN = frozenset([
    ".ass", ".csv", ".edl", ".fcpxml", ".html", ".idx", ".json", ".llc", ".lrv", ".nfo", ".nsnet", ".otio", ".srt",
    ".ssa", ".sub", ".sup", ".thm", ".txt", ".vtt", ".xmp",
])  # fmt: skip
"""Endings of files beside a video that never have an XMP sidecar."""


class _LeftError(Exception):
    """Says why a file is left alone."""


def merge(video: Path, result: VideoResult) -> Change:
    """Makes the certain tags of a video the keywords in its sidecar, beside those that others gave.

    The video itself is not read and may have gone. Raises OutputError if the next sidecar could not be written either,
    as on a full disk.
    """
    path = sidecar_of(video)
    if result.error is not None:
        return Change(path, "unchanged")
    return _change(path, flat(result), paths(result))


def undo(video: Path) -> Change:
    """Takes nsnet's keywords out of a video's sidecars. Removes one that nsnet made and that says nothing else.

    Raises OutputError.
    """
    there = [path for path in (_own(video), video.with_suffix(ENDING)) if os.path.lexists(path)]
    changes = [_change(path, [], []) for path in dict.fromkeys(there)]
    worst = ("left alone", "written", "removed", "unchanged")
    return min(changes, key=lambda change: worst.index(change.did), default=Change(_own(video), "unchanged"))


def merge_into(path: Path, result: VideoResult, temporary: Path | None = None) -> Change:
    """Like `merge`, for the sidecar at `path`. It is there afterwards, even with nothing in it.

    `temporary`: the folder for the file that is being written, if that is on the same disk.
    """
    if path.is_symlink():
        temporary = None
    return _change(path, flat(result), paths(result), temporary=temporary, keep_empty=True)


def sidecar_of(video: Path) -> Path:
    """The sidecar of a video, present or future. A `clip.xmp` that may be the sidecar of `clip.jpg` is not one."""
    own, shared = _own(video), video.with_suffix(ENDING)
    if os.path.lexists(own) or not os.path.lexists(shared):
        return own
    with suppress(OSError, XmpError, _LeftError):
        ending = video_ending(_read(shared))
        if ending is not None:
            return shared if ending.casefold() == video.suffix[1:].casefold() else own
    return own if _has_siblings(video) else shared


def _own(video: Path) -> Path:
    return video.with_name(video.name + ENDING)


def _has_siblings(video: Path) -> bool:
    """Whether another file of the same name may have a sidecar: `clip.jpg` beside `clip.mp4`."""
    with suppress(OSError):
        for name in os.listdir(video.parent):  # noqa: PTH208
            stem, suffix = os.path.splitext(name)  # noqa: PTH122
            if stem == video.stem and name != video.name and suffix.lower() not in NO_SIDECAR_OF_ITS_OWN:
                return True
    return False


def _change(
    path: Path, names: list[str], ways: list[str], *, temporary: Path | None = None, keep_empty: bool = False
) -> Change:
    """Reads, edits and replaces a sidecar, or makes one, or removes one of nsnet's that is empty now."""
    try:
        if not os.path.lexists(path):
            new = with_keywords(NEW.encode(), names, ways)
            if is_empty(new) and not keep_empty:
                return Change(path, "unchanged")
            write_whole(path, new, temporary=temporary, replace=False)
            return Change(path, "written")
        real = path.resolve(strict=True)
        old = _read(real)
        new = with_keywords(old, names, ways)
        if not keep_empty and not path.is_symlink() and is_empty(new):
            _check(real, old)
            real.unlink()
            return Change(path, "removed")
        if new == old:
            return Change(path, "unchanged")
        write_whole(real, new, temporary=temporary, ready=lambda file: _ready(real, old, file))
        return Change(path, "written")
    except FileExistsError:
        return Change(path, "left alone", "another program has just written it")
    except (_LeftError, XmpError) as error:
        return Change(path, "left alone", str(error))
    except OSError as error:
        if error.errno in FATAL:
            raise refused(path, error) from error
        return Change(path, "left alone", error.strerror or str(error))
    except RuntimeError:  # Python up to 3.12: links that lead to each other
        return Change(path, "left alone", "it is a link to itself")


def _read(path: Path) -> bytes:
    """The bytes of a sidecar. Raises _LeftError if it is not a file of reasonable size, and OSError."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise _LeftError("it is not a file")
    if status.st_size > MOST_BYTES:
        raise _LeftError(f"it is larger than {MOST_BYTES >> 20} MiB")
    with path.open("rb") as handle:
        return handle.read(MOST_BYTES + 1)


def _check(path: Path, old: bytes) -> os.stat_result:
    """Raises _LeftError if a sidecar must not be written, or is no longer what was read."""
    status = path.stat()
    if not status.st_mode & 0o222 or not os.access(path, os.W_OK):
        raise _LeftError("it is read-only")
    if _read(path) != old:
        raise _LeftError("another program has just changed it")
    return status


def _ready(path: Path, old: bytes, file: BinaryIO) -> None:
    """Gives the new file the owner, mode and attributes of the old one, and checks that the old one is unchanged."""
    status = _check(path, old)
    new = os.fstat(file.fileno())
    if (new.st_uid, new.st_gid) != (status.st_uid, status.st_gid):
        try:
            os.fchown(file.fileno(), status.st_uid, status.st_gid)
        except OSError:
            raise _LeftError("it belongs to somebody else") from None
    if hasattr(os, "listxattr"):
        with suppress(OSError):  # some file systems have none
            for name in os.listxattr(path):
                with suppress(OSError):  # some can only be set by root
                    os.setxattr(file.fileno(), name, os.getxattr(path, name))
    os.fchmod(file.fileno(), stat.S_IMODE(status.st_mode))
    _check(path, old)
