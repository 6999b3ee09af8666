"""Tells which pictures a decoder may leave out: those to which no picture refers that is decoded.

Codecs say of each picture whether others refer to it. In HEVC this is said of its own temporal layer alone: pictures of
a higher one may still refer to it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Literal, Self

import av

from nsnet_cli.records import dataclass
from nsnet_cli.video.bitstream import I_SLICE, P_SLICE, h264_slice_type, nal_length_bytes, nal_units
from nsnet_cli.video.pyramids import Pyramids

UNREFERENCED = ("h264", "mpeg1video", "mpeg2video", "mpeg4")
"""Codecs in which a picture without references in the stream has none at all."""
HEVC_SLICES = range(32)
AHEAD_PACKETS, AHEAD_BYTES = 64, 4 << 20
"""How far to look ahead to see if P pictures refer to B pictures: they do so at once, or hardly ever."""
SkipFrame = Literal["DEFAULT", "NONREF", "BIDIR"]
"""Which pictures FFmpeg's decoder skips: none, unreferenced ones, or all B pictures."""


@dataclass(frozen=True, slots=True)
class Layers:
    """Says which pictures of an HEVC stream no other may refer to, in any temporal layer."""

    length_bytes: int
    top: int
    """The highest temporal layer, from 1."""

    @classmethod
    def of(cls, extradata: bytes | None) -> Self | None:
        """`extradata` as MP4 and Matroska have it. None if it does not tell the number of layers."""
        length = nal_length_bytes("hevc", extradata)
        top = extradata[21] >> 3 & 7 if extradata and length else 0
        return cls(length, top) if top else None

    def on_top(self, packet: memoryview) -> bool:
        """Whether a picture belongs to the highest layer."""
        headers = (unit[:2] for unit in nal_units(packet, self.length_bytes) if unit[0] >> 1 & 63 in HEVC_SLICES)
        return any(header[-1] & 7 >= self.top for header in itertools.islice(headers, 1))


class LeavingOut:
    """What the decoder of one stream may leave out without changing any other picture."""

    def __init__(self, codec: str, extradata: bytes | None) -> None:
        self.length_bytes = nal_length_bytes(codec, extradata)
        self.layers = Layers.of(extradata) if codec == "hevc" else None
        self.pyramids = Pyramids.of(extradata) if codec == "h264" else None
        """None unless it is an H.264 stream of whole frames. Else a packet may have one of two fields."""
        self.possible = codec in UNREFERENCED or self.layers is not None
        self.no_b = False
        """Whether all B pictures are left out in this stretch."""
        self._fitting = 0
        """Packets to come of which it is known already that they refer to no B picture."""

    def begin(
        self, packets: Iterator[av.Packet], sparse: bool, is_last: Callable[[av.Packet], bool]
    ) -> Iterator[av.Packet]:
        """Begins a stretch at its key frame and returns all its packets, of which some have been looked at ahead.

        `sparse`: no B picture is the one for a planned frame. `is_last`: whether no packet after this one is needed.
        """
        self.no_b, self._fitting = sparse and self.pyramids is not None, 0
        if not self.no_b or self.pyramids is None:
            return packets
        self.pyramids.restart()
        ahead, size = list[av.Packet](), 0
        for packet in packets:
            ahead.append(packet)
            size += packet.size
            self.no_b = self.pyramids.fits(memoryview(packet))
            if not self.no_b or len(ahead) == AHEAD_PACKETS or size > AHEAD_BYTES or is_last(packet):
                break
        self._fitting = len(ahead)
        return itertools.chain(ahead, packets)

    def begins_anew(self, packet: memoryview) -> bool:
        """Whether this picture and all stored after it are shown after those before it: it is no B picture."""
        return self.pyramids is not None and h264_slice_type(packet, self.length_bytes) in (P_SLICE, I_SLICE)

    def least(self, packet: memoryview, wanted: bool) -> SkipFrame | None:
        """Returns the `skip_frame` with which the decoder gets the next picture. None: it needs one that was left out.

        `wanted`: the picture may be the one for a planned frame.
        """
        if self.no_b and self.pyramids:
            self._fitting -= 1
            return "BIDIR" if self._fitting >= 0 or self.pyramids.fits(packet) else None
        if wanted or (self.layers and not self.layers.on_top(packet)):
            return "DEFAULT"
        return "NONREF"
