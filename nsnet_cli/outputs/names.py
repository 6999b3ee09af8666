"""File names of outputs: short enough, distinct for each video, spelled as the file system takes them.

Pure functions.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

NAME_BYTES = 255
"""What common file systems allow a name."""
REFUSED = re.compile(r'[\x00-\x1f\x7f"*:<>?|\\\udc80-\udcff]|%(?=[0-9A-Fa-f]{2})|[. ]+\Z')
"""What exFAT, NTFS and SMB refuse or drop in a name; a `%` that would read as the start of an escape."""


def fit_name(stem: str, suffix: str) -> str:
    """`stem + suffix` as a file name; where that is over 255 bytes, the stem is cut and ends in a hash of the whole."""
    room = NAME_BYTES - len(os.fsencode(suffix))
    raw = os.fsencode(stem)
    if len(raw) <= room:
        return stem + suffix
    digest = hashlib.sha256(raw).hexdigest()[:16]
    cut = raw[: room - 17]
    while cut and (raw[len(cut)] & 0xC0) == 0x80:  # never through the middle of a UTF-8 character
        cut = cut[:-1]
    return f"{os.fsdecode(cut)}-{digest}{suffix}"


def output_name(relative: str) -> str:
    """The output name (without suffix) of a video by its path below what was given. No part leads out of the target."""
    parts = [fit_name("_" if part == ".." else part, "") for part in Path(relative).parts if part not in ("/", ".")]
    return "/".join(parts) or "_"


def source_key(path: str) -> str:
    """12 hex digits for the absolute path of a video: the mark of a picture, the end of a name that is not free."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]


def apart(name: str, path: str) -> str:
    """The output name of a video whose plain name belongs to another one. It depends on the video's path alone."""
    return f"{name}-{source_key(path)}"


def spelled(part: str) -> str:
    """One part of a name with percent-escapes for what some file systems refuse: 'why?.mp4' -> 'why%3F.mp4'."""
    return REFUSED.sub(lambda m: "".join(f"%{byte:02X}" for byte in m[0].encode("utf-8", "surrogateescape")), part)
