"""Finds the fragments of an MP4 file by the list at its end, if it has one.

FFmpeg reads the header of each fragment, one after the other, before the first frame. From a store that would be as
many requests, each of which waits for the one before. The list tells where they all are.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

LEAST_BYTES, FRAGMENT_BYTES, SHARE = 16 << 10, 64 << 10, 0.06
"""A fragment's header, and most key frames behind it: of all of them at most this share of the video."""
MOST_LIST_BYTES = 1 << 20


def fragment_ranges(head: bytes, size_bytes: int, read: Callable[[int, int], bytes]) -> list[tuple[int, int]]:
    """Returns (start, end) of the beginnings of all fragments; empty if it is no such file, or has no list.

    `read(offset, count)` gives bytes of the file, or fewer.
    """
    if head[4:8] != b"ftyp" or b"mvex" not in head or size_bytes < 32:
        return []
    end = read(size_bytes - 16, 16)
    length = int.from_bytes(end[12:16], "big") if end[4:8] == b"mfro" else 0
    if not 32 <= length <= min(size_bytes, MOST_LIST_BYTES):
        return []
    data = b""
    while len(data) < length and (part := read(size_bytes - length + len(data), length - len(data))):
        data += part
    starts = sorted({start for start in _starts(data) if start < size_bytes})
    each = min(FRAGMENT_BYTES, max(LEAST_BYTES, int(SHARE * size_bytes / max(1, len(starts)))))
    return [(start, min(size_bytes, start + each)) for start in starts]


def _starts(data: bytes) -> list[int]:
    """The offsets in all `tfra` boxes of an `mfra` box."""
    found, at = [], 8
    while at + 24 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"tfra":
            version = data[at + 8]
            sizes, count = struct.unpack_from(">II", data, at + 16)
            numbers = sum((sizes >> shift & 3) + 1 for shift in (0, 2, 4))
            step, where = (16 + numbers, ">8xQ") if version == 1 else (8 + numbers, ">4xI")
            last = min(at + length, len(data)) - step
            entries = range(at + 24, min(at + 24 + count * step, last + 1), step)
            found += [struct.unpack_from(where, data, entry)[0] for entry in entries]
        if length < 8:
            break
        at += length
    return found
