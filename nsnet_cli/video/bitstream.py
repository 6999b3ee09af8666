"""Reads coded packets: their NAL units, and which pictures are key frames where a container lies about it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator

import av

PictureTest = Callable[[memoryview], bool]
H264_SLICE, H264_IDR, H264_SEI = 1, 5, 6
P_SLICE, B_SLICE, I_SLICE = 0, 1, 2
"""Slice types of H.264; 5 more: all slices of the picture are such."""
H264_INTRA = (2, 4, 7, 9)
"""Slice types I and SI, alone and for the whole picture."""
HEVC_RANDOM_ACCESS = range(16, 22)
RECOVERY_POINT = 6
FOLLOWING = 8
"""Packets after a key frame that are checked to see whether the container marks key frames wrongly."""


class Bits:
    """Reads numbers from the bits of a NAL unit. Raises ValueError at its end."""

    def __init__(self, unit: memoryview | bytes) -> None:
        data = bytes(unit).replace(b"\0\0\3", b"\0\0")
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def fixed(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise ValueError("no bits left")
        found = self._value >> self._left
        self._value &= (1 << self._left) - 1
        return found

    def number(self) -> int:
        """An Exp-Golomb number."""
        zeros = self._left - self._value.bit_length()
        self.fixed(min(zeros, self._left))
        return self.fixed(zeros + 1) - 1

    def skip_numbers(self, count: int) -> None:
        for _ in range(count):
            self.number()


def key_test(codec: str, extradata: bytes | None) -> PictureTest | None:
    """Returns a test whether a packet can be decoded alone. None for codecs whose bits are not read here."""
    length_bytes = nal_length_bytes(codec, extradata)
    if codec == "h264":
        return lambda data: _h264_key(nal_units(data, length_bytes))
    if codec == "hevc":
        return lambda data: any(unit[0] >> 1 & 63 in HEVC_RANDOM_ACCESS for unit in nal_units(data, length_bytes))
    return _mpeg4_key if codec == "mpeg4" else None


def intra_test(codec: str, extradata: bytes | None) -> PictureTest | None:
    """Returns a test whether a packet refers to no other: a key frame, or a picture of an intra-only stream."""
    if codec != "h264":
        return key_test(codec, extradata)
    length_bytes = nal_length_bytes(codec, extradata)
    return lambda data: all(_slice_type(unit) in H264_INTRA for unit in _slices(nal_units(data, length_bytes)))


def nal_length_bytes(codec: str, extradata: bytes | None) -> int:
    """Returns the size of the length before each unit (MP4, Matroska), or 0 if start codes separate the units."""
    at = {"h264": 4, "hevc": 21}.get(codec)
    if at is None or not extradata or len(extradata) <= at or extradata[:3] in (b"\0\0\0", b"\0\0\1"):
        return 0
    return (extradata[at] & 3) + 1


def nal_units(data: memoryview, length_bytes: int) -> Iterator[memoryview]:
    """Yields the NAL units of a packet."""
    if length_bytes:
        at = 0
        while at + length_bytes < len(data):
            start = at + length_bytes
            at = start + int.from_bytes(data[at:start], "big")
            if at > start:
                yield data[start:at]
        return
    raw = bytes(data)
    at = raw.find(b"\0\0\1")
    while 0 <= at < len(raw) - 3:
        after = raw.find(b"\0\0\1", at + 3)
        if after != at + 3:
            yield data[at + 3 : after if after >= 0 else len(raw)]
        at = after


def _slices(units: Iterator[memoryview]) -> Iterator[memoryview]:
    return (unit for unit in units if unit[0] & 31 in (H264_SLICE, H264_IDR))


def h264_slice_type(data: memoryview, length_bytes: int) -> int:
    """Returns the type of a packet's first slice, 0 to 4 (P, B, I, SP, SI), or -1 if there is none."""
    return next((_slice_type(unit) % 5 for unit in _slices(nal_units(data, length_bytes))), -1)


def _h264_key(units: Iterator[memoryview]) -> bool:
    recovers = False
    for unit in units:
        kind = unit[0] & 31
        if kind == H264_IDR:
            return True
        if kind == H264_SEI:
            recovers = recovers or RECOVERY_POINT in _sei_types(unit)
        elif kind == H264_SLICE:
            return recovers and _slice_type(unit) in H264_INTRA
    return False


def _sei_types(unit: memoryview) -> Iterator[int]:
    at = 1
    while at + 1 < len(unit):
        numbers = []
        for _ in range(2):  # type, then size: each is a run of 255s and a last byte
            start = at
            while at < len(unit) and unit[at] == 255:
                at += 1
            numbers.append(255 * (at - start) + (unit[at] if at < len(unit) else 0))
            at += 1
        yield numbers[0]
        at += numbers[1]


def _slice_type(unit: memoryview) -> int:
    """Returns the second number of a slice, or -1 if that is cut off. The first is where the slice begins."""
    bits = Bits(unit[1:13])
    try:
        bits.number()
        return bits.number()
    except ValueError:
        return -1


def _mpeg4_key(data: memoryview) -> bool:
    raw = bytes(data)
    at = raw.find(b"\0\0\1\xb6")
    return 0 <= at < len(raw) - 4 and raw[at + 4] >> 6 == 0


def keys_are_false(packets: Iterable[av.Packet], codec: str, extradata: bytes | None) -> bool:
    """Whether all packets after a true key frame are called key frames although one refers to another."""
    intra = intra_test(codec, extradata)
    if intra is None:
        return False
    refers = False
    for packet in itertools.islice(packets, FOLLOWING):
        if not packet.is_keyframe:  # one false key frame among others (a VOP that is not coded) does no harm
            return False
        refers = refers or (packet.size > 0 and not intra(memoryview(packet)))
    return refers
