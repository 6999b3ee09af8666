"""Desktop tags: file managers of Linux (Dolphin, Nemo) keep tags in the extended attribute `user.xdg.tags` of a file.

The tags are separated by commas. Those that nsnet added are also in `user.nsnet.tags`.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from nsnet_cli.errors import OutputError
from nsnet_cli.outputs.keywords import Change, flat, step
from nsnet_cli.types import VideoResult

TAGS = "user.xdg.tags"
OURS = "user.nsnet.tags"


def merge(video: Path, result: VideoResult) -> Change:
    """Makes the certain tags of a video desktop tags of its file, beside those that others gave.

    The content and time of the file do not change. Raises OutputError on systems that have no such attributes.
    """
    check()
    if result.error is not None:
        return Change(video, "unchanged")
    return _change(video, list(dict.fromkeys(_tag(name) for name in flat(result))))


def undo(video: Path) -> Change:
    """Takes nsnet's tags out of a file's desktop tags. Raises OutputError as `merge` does."""
    check()
    return _change(video, [])


def check() -> None:
    """Raises OutputError if this system has no desktop tags."""
    if not hasattr(os, "setxattr"):
        raise OutputError(
            f"desktop tags ({TAGS}) exist on Linux only: this system has no such attributes", "write sidecars instead"
        )


def _change(video: Path, wanted: list[str]) -> Change:
    try:
        old, record = _read(video, TAGS), _read(video, OURS)
        pieces = [piece for piece in old.split(",") if piece.strip()]
        todo = step([piece.strip() for piece in pieces], [word for word in record.split(",") if word], wanted)
        for word in todo.remove:
            del pieces[max(i for i, piece in enumerate(pieces) if piece.strip() == word)]
        new = ",".join([*pieces, *todo.add]) if todo.add or todo.remove else old
        recorded = ",".join(todo.recorded)
        if (new, recorded) == (old, record):
            return Change(video, "unchanged")
        # First what is ours before and after: a kill between two steps leaves no tag of ours that is not recorded.
        _write(video, OURS, ",".join(dict.fromkeys(filter(None, [*record.split(","), *todo.recorded]))), record)
        try:
            _write(video, TAGS, new, old)
        except OSError:
            _write(video, OURS, record, None)
            raise
        _write(video, OURS, recorded, None)
        return Change(video, "written")
    except UnicodeDecodeError:
        return Change(video, "left alone", f"its {TAGS} is not UTF-8")
    except OSError as error:
        return Change(video, "left alone", _reason(video, error))


def _read(path: Path, attribute: str) -> str:
    """An attribute's text, empty if there is none. Raises OSError and UnicodeDecodeError."""
    try:
        return os.getxattr(path, attribute).decode("utf-8")
    except OSError as error:
        if error.errno == errno.ENODATA:
            return ""
        raise


def _write(path: Path, attribute: str, text: str, old: str | None) -> None:
    """Sets an attribute, or removes it if there is nothing to say. `old`: what it is now, if that is known."""
    if text == old:
        return
    if text:
        os.setxattr(path, attribute, text.encode("utf-8"))
        return
    try:
        os.removexattr(path, attribute)
    except OSError as error:
        if error.errno != errno.ENODATA:
            raise


def _reason(video: Path, error: OSError) -> str:
    if error.errno == errno.ENOTSUP:
        return f"the file system of {video.parent} has no extended attributes"
    if error.errno in (errno.ENOSPC, errno.E2BIG, errno.ERANGE):
        return "there is no space for more extended attributes on this file"
    return error.strerror or str(error)


def _tag(name: str) -> str:
    """A tag as a desktop tag: a comma would make two of it."""
    return " ".join(name.replace(",", " ").split())
