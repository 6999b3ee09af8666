"""Reads lists of paths from a file or stdin: one per line, or NUL-separated (`find -print0`), in any encoding.

A list decides what is read, so nothing may become a path by accident: data that is not text is refused.
"""

from __future__ import annotations

import codecs
import os
import re
import sys
from pathlib import Path

from nsnet_cli.errors import UsageError
from nsnet_cli.records import dataclass
from nsnet_cli.sniffing import describe

HEAD_BYTES = 1 << 16
LONGEST_PATH_BYTES = 1 << 15
"""Eight times the limit of Linux: a longer entry is not a path."""
MOST_CONTROL = 0.05
"""Largest share of control characters in a text. Names may hold some."""
CONTROL = re.compile(rb"[\x01-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]")
BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # first, because it begins with UTF-16's mark
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass(frozen=True, slots=True)
class PathList:
    paths: list[str]
    lines: bool
    """One path per line; if False, NUL-separated."""


def read_list(data: bytes, name: str = "the list") -> PathList:
    """Returns the paths of a list; any bytes can be a name. Raises UsageError if the data is not a list."""
    data = data.removeprefix(codecs.BOM_UTF8)
    refuse_binary(data[:HEAD_BYTES], name)
    text = _decoded(data, name)
    if text is not None:
        return PathList([line for line in (line.removesuffix("\r") for line in text.split("\n")) if line], True)
    lines = b"\0" not in data
    parts = [line.removesuffix(b"\r") for line in data.split(b"\n")] if lines else data.split(b"\0")
    parts = [part for part in parts if part]
    longest = max(map(len, parts), default=0)
    if longest > LONGEST_PATH_BYTES:
        raise _no_list(name, f"it has an entry of {longest:,} bytes")
    return PathList([os.fsdecode(part) for part in parts], lines)


def read_list_file(name: str) -> PathList:
    """Returns the paths listed in a file, or on stdin for '-'. Raises UsageError."""
    said = "the list on stdin" if name == "-" else f"the list {name}"
    try:
        if name == "-":
            return read_list(_read(sys.stdin.buffer, said), said)
        with Path(name).open("rb") as handle:
            return read_list(_read(handle, said), said)
    except OSError as error:
        raise UsageError(f"cannot read {said}: {error.strerror}", "give a file, or - for stdin") from error


def refuse_binary(head: bytes, name: str) -> None:
    """Raises UsageError if the first bytes of a list are not text."""
    head = head.removeprefix(codecs.BOM_UTF8)
    if head.startswith(tuple(bom for bom, _ in BOMS)) or _plain_utf16(head):
        return
    looks = describe(head)
    if looks is not None:
        raise _no_list(name, f"it looks like {looks}")
    if b"\0\0" in head:
        raise _no_list(name, "it looks like binary data, with NUL bytes in a row")
    control = len(CONTROL.findall(head))
    if control > MOST_CONTROL * len(head) and control > 1:
        raise _no_list(name, "it looks like binary data, full of control characters")


# ---- parts ----------------------------------------------------------------------------------------------------------


def _read(handle: object, said: str) -> bytes:
    """Reads all of it, after a check that its beginning is text: a film would fill the memory."""
    head: bytes = handle.read(HEAD_BYTES)  # type: ignore[attr-defined]
    refuse_binary(head, said)
    return head + handle.read()  # type: ignore[attr-defined, no-any-return]


def _decoded(data: bytes, name: str) -> str | None:
    """Returns the text of a list that has a byte-order mark or is plainly UTF-16. None: use the bytes as they are."""
    marked = next(((len(bom), encoding) for bom, encoding in BOMS if data.startswith(bom)), None)
    start, encoding = marked or (0, _plain_utf16(data[:HEAD_BYTES]))
    if encoding is None:
        return None
    try:
        text = data[start:].decode(encoding)
    except UnicodeDecodeError as error:
        raise _no_list(name, f"it begins as {encoding.upper()} but is invalid from byte {error.start} on") from error
    if "\0" in text:
        raise _no_list(name, f"it begins as {encoding.upper()} but holds NUL characters")
    return text


def _plain_utf16(head: bytes) -> str | None:
    """Returns the encoding of UTF-16 text without a mark, or None.

    In UTF-16 half of the bytes of most names are NUL, so that mostly one byte stands between two NULs. A NUL-separated
    list has longer entries, and no empty ones.
    """
    head = head[: len(head) // 2 * 2]
    parts = head.split(b"\0")[:-1]
    if len(parts) < 6 or sum(len(part) == 1 for part in parts) < 0.5 * len(parts):
        return None
    encoding = "utf-16-le" if head[1::2].count(0) > head[::2].count(0) else "utf-16-be"
    text = head.decode(encoding, "replace")
    return encoding if "\0" not in text and sum(not c.isprintable() and c not in "\r\n\t" for c in text) == 0 else None


def _no_list(name: str, why: str) -> UsageError:
    return UsageError(f"{name} is not text: {why}", "give a list with one path per line, or the video itself by name")
