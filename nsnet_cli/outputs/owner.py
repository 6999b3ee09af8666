"""Tells nsnet's own files from others: every file that nsnet writes has its mark, and one without it is not replaced.

The mark is the schema version of a JSON object, the toolkit of XMP, a note in WebVTT, the generator of a page, and a
comment in a picture. The comment also has the key of the video (nsnet_cli/outputs/names.py), so that pictures of one
video do not replace those of another.

XMP sidecars are merged instead (nsnet_cli/outputs/sidecar.py), whoever wrote them.
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
"""The mark is within this many bytes from a file's start; in old pages, the style sheet comes before it."""
MARK = re.compile(rb"written by nsnet\b(?: for ([0-9a-f]{12}))?")
"""The mark of pictures, and of every format that is not in MARKS."""
MARKS = {
    ".xmp": re.compile(rb"<x:xmpmeta\b[^>]*\sx:xmptk=[\"']nsnet\b"),
    ".vtt": re.compile(rb"\AWEBVTT\n\nNOTE written by nsnet\b"),
    ".html": re.compile(rb'<meta name="generator" content="nsnet|<p class="brand">nsnet '),
}


class Owner(NamedTuple):
    """Who wrote the file at a path. `ours` is None if there is no file."""

    ours: bool | None
    key: str | None = None


def owner(path: Path) -> Owner:
    """Who wrote the file at `path`. Never raises: a file that cannot be read counts as not ours."""
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


def is_result(data: bytes) -> bool:
    """Whether the bytes of a JSON file are nsnet's own."""
    try:
        return is_schema(json.loads(data))
    except ValueError:
        return False


def is_schema(value: object) -> bool:
    """Whether a JSON value is an object of nsnet, of any version."""
    return isinstance(value, dict) and isinstance(value.get("schema_version"), int)


def leave_alone(path: Path) -> None:
    """Warns that a file is kept as it is."""
    log.warning("%s: left alone, nsnet did not write it (move it away, and nsnet will)", path)


def marked(picture: bytes, key: str) -> bytes:
    """Adds the mark to a JPEG or PNG, as a comment that viewers ignore. Returns other data unchanged."""
    note = f"{NOTE} for {key}".encode()
    if picture.startswith(b"\xff\xd8\xff\xe0"):  # after the JFIF header, which must be first
        at = 4 + int.from_bytes(picture[4:6], "big")
        return picture[:at] + b"\xff\xfe" + struct.pack(">H", len(note) + 2) + note + picture[at:]
    if picture.startswith(b"\xff\xd8"):
        return picture[:2] + b"\xff\xfe" + struct.pack(">H", len(note) + 2) + note + picture[2:]
    if picture.startswith(b"\x89PNG\r\n\x1a\n"):
        at, chunk = 33, b"tEXtComment\0" + note  # after IHDR
        packed = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        return picture[:at] + packed + picture[at:]
    return picture
