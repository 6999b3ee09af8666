"""File names of outputs: short enough, different for each video, and spelled as the file system needs.

Pure functions.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

NAME_BYTES = 255
"""The longest name on common file systems."""
REFUSED = re.compile(r'[\x00-\x1f\x7f"*:<>?|\\\udc80-\udcff]|%(?=[0-9A-Fa-f]{2})|[. ]+\Z')
"""What exFAT, NTFS and SMB refuse or drop in a name, and a `%` that looks like the start of an escape."""


def fit_name(stem: str, suffix: str) -> str:
    """`stem + suffix` as a file name. Over 255 bytes, the stem is cut and gets a hash of the whole stem."""
    room = NAME_BYTES - len(os.fsencode(suffix))
    raw = os.fsencode(stem)
    if len(raw) <= room:
        return stem + suffix
    digest = hashlib.sha256(raw).hexdigest()[:16]
    cut = raw[: room - 17]
    while cut and (raw[len(cut)] & 0xC0) == 0x80:  # never inside a UTF-8 character
        cut = cut[:-1]
    return f"{os.fsdecode(cut)}-{digest}{suffix}"


def output_name(relative: str) -> str:
    """The output name (without suffix) for a path relative to the input. It cannot lead out of the target folder."""
    parts = [fit_name("_" if part == ".." else part, "") for part in Path(relative).parts if part not in ("/", ".")]
    return "/".join(parts) or "_"


def source_key(path: str) -> str:
    """12 hex digits for the absolute path of a video. They mark pictures, and end names that would be taken."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]


def apart(name: str, path: str) -> str:
    """The output name of a video whose plain name belongs to another one. Depends only on the video's path."""
    return f"{name}-{source_key(path)}"


def spelled(part: str) -> str:
    """Part of a name, with percent-escapes for what some file systems refuse: 'why?.mp4' -> 'why%3F.mp4'."""
    return REFUSED.sub(lambda m: "".join(f"%{byte:02X}" for byte in m[0].encode("utf-8", "surrogateescape")), part)
