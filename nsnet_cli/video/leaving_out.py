"""Tells which pictures a decoder may leave out: those to which no picture refers that is decoded.

Codecs say of each picture whether others refer to it. In HEVC this is said of its own temporal layer alone: pictures of
a higher one may still refer to it.
"""

from __future__ import annotations

import itertools
from typing import Literal, Self

from nsnet_cli.records import dataclass
from nsnet_cli.video.bitstream import I_SLICE, P_SLICE, h264_slice_type, nal_length_bytes, nal_units
from nsnet_cli.video.pyramids import Pyramids

UNREFERENCED = ("h264", "mpeg1video", "mpeg2video", "mpeg4")
"""Codecs in which a picture without references in the stream has none at all."""
HEVC_SLICES = range(32)
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
        """None: P pictures refer to B pictures, or it is not known."""
        self.possible = codec in UNREFERENCED or self.layers is not None
        self.follows = self.pyramids is not None
        """Whether it is an H.264 stream of whole frames. A packet may have one of two fields."""

    def restart(self) -> None:
        """At a key frame."""
        if self.pyramids:
            self.pyramids.restart()

    def begins_anew(self, packet: memoryview) -> bool:
        """Whether this picture and all stored after it are shown after those before it: it is no B picture."""
        return self.follows and h264_slice_type(packet, self.length_bytes) in (P_SLICE, I_SLICE)

    def least(self, packet: memoryview, wanted: bool, sparse: bool) -> SkipFrame | None:
        """Returns the `skip_frame` with which the decoder gets a picture. None: it needs one that was left out.

        `wanted`: the picture may be the one for a planned frame. `sparse`: no B picture is, in this stretch.
        """
        if sparse and self.pyramids:
            return "BIDIR" if self.pyramids.fits(packet) else None
        if wanted or (self.layers and not self.layers.on_top(packet)):
            return "DEFAULT"
        return "NONREF"
