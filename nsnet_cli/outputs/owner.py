"""Whose a file is: all that nsnet writes carries its mark, and what lies where it would write without one is not ours.

A JSON object has its schema, XMP its toolkit, WebVTT a note, a page its generator, a picture a comment. The comment has
the key of the video too (nsnet_cli/outputs/names.py): a picture of one video is not replaced by another's.
"""

from __future__ import annotations

import json
import logging
import re
import stat
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

log = logging.getLogger(__name__)

NOTE = "written by nsnet"
HEAD_BYTES = 1 << 16
"""A mark stands in a file's beginning; the style sheet of an old page before it."""
MARK = re.compile(rb"written by nsnet\b(?: for ([0-9a-f]{12}))?")
"""Of a picture, and of every format without a mark of its own below."""
MARKS = {
    ".xmp": re.compile(rb"<x:xmpmeta\b[^>]*\sx:xmptk=[\"']nsnet\b"),
    ".vtt": re.compile(rb"\AWEBVTT\n\nNOTE written by nsnet\b"),
    ".html": re.compile(rb'<meta name="generator" content="nsnet|<p class="brand">nsnet '),
}


class Owner(NamedTuple):
    """Of what lies at a path. `ours` is None where nothing does."""

    ours: bool | None
    key: str | None = None


def owner(path: Path) -> Owner:
    """Never raises: what cannot be read is not known to be ours, what cannot be there is not there."""
    try:
        status = path.lstat()
    except (OSError, ValueError):
        return Owner(None)
    if not stat.S_ISREG(status.st_mode):
        return Owner(False)
    try:
        with path.open("rb") as handle:
            if path.suffix == ".json":
                return Owner(is_schema(json.loads(handle.read())))
            head = handle.read(HEAD_BYTES)
    except (OSError, ValueError):
        return Owner(False)
    found = MARKS.get(path.suffix, MARK).search(head)
    if found is None:
        return Owner(False)
    return Owner(True, found[1].decode() if found.re is MARK and found[1] else None)


def is_schema(value: object) -> bool:
    """Whether a JSON value is one of nsnet's objects, of whatever version."""
    return isinstance(value, dict) and isinstance(value.get("schema_version"), int)


def leave_alone(path: Path) -> None:
    """Say that a file stays as it is."""
    log.warning("%s: left alone, it was not written by nsnet (move it away to have it written)", path)


def marked(picture: bytes, key: str) -> bytes:
    """A JPEG or PNG with the mark in it, as a comment that viewers ignore. Anything else comes back as it is."""
    note = f"{NOTE} for {key}".encode()
    if picture.startswith(b"\xff\xd8\xff\xe0"):  # after the JFIF header, which has to be first
        at = 4 + int.from_bytes(picture[4:6], "big")
        return picture[:at] + b"\xff\xfe" + struct.pack(">H", len(note) + 2) + note + picture[at:]
    if picture.startswith(b"\xff\xd8"):
        return picture[:2] + b"\xff\xfe" + struct.pack(">H", len(note) + 2) + note + picture[2:]
    if picture.startswith(b"\x89PNG\r\n\x1a\n"):
        at, chunk = 33, b"tEXtComment\0" + note  # after IHDR
        packed = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        return picture[:at] + packed + picture[at:]
    return picture
