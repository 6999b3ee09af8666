"""Tells whether B pictures of an H.264 stream can be left out although others refer to them.

Encoders build pyramids: the middle one of several B pictures is referred to, but often by its neighbours alone.
Whether P pictures refer to it, too, the headers of their slices tell (ITU-T H.264, 7.3.3).
"""

from __future__ import annotations

from typing import Self

from nsnet_cli.records import dataclass
from nsnet_cli.video.bitstream import (
    B_SLICE,
    H264_IDR,
    H264_SLICE,
    I_SLICE,
    P_SLICE,
    Bits,
    nal_length_bytes,
    nal_units,
)

H264_SPS, H264_PPS = 7, 8
CHROMA_PROFILES = (44, 83, 86, 100, 110, 118, 122, 128, 134, 138, 139, 244)
"""H.264 profiles whose parameters say how colours are stored."""
HARMLESS = (6, 9, 10, 11, 12)
"""Units that change nothing: messages, delimiters, ends and filling."""
HEADER_BYTES = 64
"""The part of a slice that is read is shorter than this."""


@dataclass(frozen=True, slots=True)
class SequenceParameters:
    """What the slices of an H.264 stream need from its sequence parameters."""

    frame_num_bits: int
    order_bits: int
    """Of the picture order count; 0: slices have none."""

    @classmethod
    def read(cls, unit: memoryview) -> Self:
        """Raises ValueError for interlaced video, and for what is rare and not read here."""
        bits = Bits(unit[1:])
        profile = bits.fixed(8)
        bits.fixed(16)
        bits.number()
        if profile in CHROMA_PROFILES:
            if bits.number() == 3:
                raise ValueError("planes coded apart")
            bits.skip_numbers(2)
            if bits.fixed(2) & 1:
                raise ValueError("scaling lists")
        frame_num_bits = bits.number() + 4
        order = bits.number()
        if order == 1:
            raise ValueError("pictures in a cycle")
        order_bits = bits.number() + 4 if order == 0 else 0
        bits.number()
        bits.fixed(1)
        bits.skip_numbers(2)
        if not bits.fixed(1):
            raise ValueError("interlaced")
        return cls(frame_num_bits, order_bits)


@dataclass(frozen=True, slots=True)
class PictureParameters:
    """What the slices of an H.264 stream need from its picture parameters."""

    name: int
    bottom_order: bool
    references: int
    redundant: bool

    @classmethod
    def read(cls, unit: memoryview) -> Self:
        """Raises ValueError for what is rare and not read here."""
        bits = Bits(unit[1:])
        name = bits.number()
        bits.number()
        bits.fixed(1)
        bottom_order = bits.fixed(1)
        if bits.number():
            raise ValueError("slice groups")
        references = bits.number() + 1
        bits.number()
        bits.fixed(3)
        bits.skip_numbers(3)
        return cls(name, bool(bottom_order), references, bool(bits.fixed(3) & 1))


@dataclass(slots=True)
class Pyramids:
    """Follows an H.264 stream whose B pictures are all left out, and says when a picture refers to one of them."""

    length_bytes: int
    sequence: SequenceParameters
    pictures: dict[int, PictureParameters]
    sets: frozenset[bytes]
    """The parameter sets, which some files repeat at key frames."""
    kept: int = -1
    """The frame number of the last picture that was decoded and may be referred to."""
    left_out: bool = False
    """Whether a B picture that may be referred to was left out since the last key frame."""
    last_left_out: bool = False
    """Whether that was the last picture that may be referred to."""

    @classmethod
    def of(cls, extradata: bytes | None) -> Self | None:
        """`extradata` as MP4 and Matroska have it. None if the stream cannot be followed."""
        length = nal_length_bytes("h264", extradata)
        if not extradata or not length:
            return None
        try:
            sets = _parameter_sets(extradata)
            (sequence,) = (SequenceParameters.read(unit) for unit in sets if unit[0] & 31 == H264_SPS)
            pictures = [PictureParameters.read(unit) for unit in sets if unit[0] & 31 == H264_PPS]
        except (ValueError, IndexError):
            return None
        return cls(length, sequence, {each.name: each for each in pictures}, frozenset(map(bytes, sets)))

    def restart(self) -> None:
        """At a key frame."""
        self.left_out = self.last_left_out = False

    def fits(self, packet: memoryview) -> bool:
        """Whether this picture needs none of those left out, or is a B picture and is left out itself."""
        try:
            slices = [self._slice(unit) for unit in nal_units(packet, self.length_bytes) if not self._harmless(unit)]
        except (ValueError, KeyError):
            return False
        if not slices:
            return True
        if len({slice_type == B_SLICE for _, slice_type, _ in slices}) > 1:
            return False  # a picture of several kinds of slices would lose some of them
        frame_num, slice_type, referred = slices[-1]
        if referred and slice_type == B_SLICE:
            self.left_out = self.last_left_out = True
        elif referred:
            self.kept, self.last_left_out = frame_num, False
        return True

    def _harmless(self, unit: memoryview) -> bool:
        kind = unit[0] & 31
        return kind in HARMLESS or (kind in (H264_SPS, H264_PPS) and bytes(unit) in self.sets)

    def _slice(self, unit: memoryview) -> tuple[int, int, int]:
        """Returns its frame number, its type and whether it is referred to. Raises ValueError if it does not fit."""
        kind = unit[0] & 31
        bits = Bits(unit[1:HEADER_BYTES])
        bits.number()
        slice_type = bits.number() % 5
        picture = self.pictures[bits.number()]
        frame_num = bits.fixed(self.sequence.frame_num_bits)
        if kind == H264_IDR:
            self.restart()
        elif kind != H264_SLICE or slice_type not in (P_SLICE, B_SLICE, I_SLICE):
            raise ValueError("rare, and not read here")
        if slice_type == P_SLICE and self.left_out and not self._only_the_last(bits, frame_num, picture):
            raise ValueError("refers to what may be left out")
        return frame_num, slice_type, unit[0] >> 5 & 3

    def _only_the_last(self, bits: Bits, frame_num: int, picture: PictureParameters) -> bool:
        """Whether a P slice refers to no other picture than the last one that was decoded. Reads on in its header."""
        if self.sequence.order_bits:
            bits.fixed(self.sequence.order_bits)
            if picture.bottom_order:
                bits.number()
        if picture.redundant:
            bits.number()
        references = bits.number() + 1 if bits.fixed(1) else picture.references
        if not bits.fixed(1):  # in order: the last picture comes first
            return references == 1 and not self.last_left_out
        named, last, wrap = list[int](), frame_num, 1 << self.sequence.frame_num_bits
        while (how := bits.number()) < 2:
            step = bits.number() + 1
            last = (last + (step if how else -step)) % wrap
            named.append(last)
        return how == 3 and len(named) >= references and set(named[:references]) == {self.kept}


def _parameter_sets(extradata: bytes) -> list[memoryview]:
    """Returns the sequence and picture parameter sets of an avcC record."""
    found, at = list[memoryview](), 5
    for mask in (31, 255):
        count, at = extradata[at] & mask, at + 1
        for _ in range(count):
            start = at + 2
            at = start + int.from_bytes(extradata[at:start], "big")
            found.append(memoryview(extradata)[start:at])
    return found
