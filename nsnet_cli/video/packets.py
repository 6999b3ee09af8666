"""Packets of a video stream, in file order, on one clock and with key frames that are ones."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import av
import av.error

from nsnet_cli.video.bitstream import key_test
from nsnet_cli.video.container import OpenVideo, check_memory

LEAPING_FORMATS = ("mpegts", "mpeg")
"""Where parts are simply put end to end. Elsewhere a long gap is a picture that is shown for long."""
LONGEST_GAP_S = 60.0
"""A clock that leaps further ahead between two pictures of such a file is another recording's clock."""
BACK_S = 0.5
"""A clock that goes back by more is one too, reordered pictures aside."""
REORDERED_FRAMES = 16
"""Most pictures that may be stored before one that is shown before them."""


def packet_ticks(packet: av.Packet) -> int | None:
    """Presentation time of a packet, or the nearest thing that it has."""
    return packet.pts if packet.pts is not None else packet.dts


def packets(video: OpenVideo) -> Iterator[av.Packet]:
    """Packets of the video stream until the end or the first damage that the demuxer does not get over.

    Raises VideoError where it was the disk that gave up.
    """
    try:
        yield from video.container.demux(video.stream)
    except (av.error.FFmpegError, OSError) as error:
        check_memory(error)
    video.check_disk()


def sized_packets(video: OpenVideo) -> Iterator[av.Packet]:
    """As `packets`, without the empty one that ends them."""
    return itertools.takewhile(lambda packet: packet.size, packets(video))


def clocked_packets(video: OpenVideo, false_keys: bool = False) -> Iterator[av.Packet]:
    """All packets in file order, on one clock that never starts anew.

    In raw streams, which carry no times, `dts` is the time by count and frame rate. `false_keys`: the container calls
    every packet a key frame; which are is read from their bits.
    """
    context = video.stream.codec_context
    is_key = key_test(context.codec.canonical_name, context.extradata) if false_keys else None
    rate = video.stream.average_rate or video.stream.guessed_rate or 25
    frame_ticks, second_ticks = round(1 / rate / video.time_base), round(1 / video.time_base)
    clock = Joined(frame_ticks, second_ticks, leaps=video.container.format.name in LEAPING_FORMATS)
    for count, packet in enumerate(sized_packets(video)):
        ticks = packet.dts if packet.dts is not None else packet.pts
        if packet.pts is not None and ticks is not None and abs(packet.pts - ticks) > clock.ahead_ticks:
            packet.pts = ticks  # where parts meet, FFmpeg may fill in the next part's time
        if ticks is None:
            packet.dts = round(count / rate / video.time_base)
        elif shift := clock.shift(ticks):
            packet.pts = packet.pts + shift if packet.pts is not None else None
            packet.dts = packet.dts + shift if packet.dts is not None else None
        if is_key is not None:
            packet.is_keyframe = is_key(memoryview(packet))
        yield packet


class Joined:
    """One clock for recordings that were put end to end: the next one's first picture follows the last one's last.

    A single time that is off (damage) changes no other: each time is held against the two before it.
    """

    def __init__(self, frame_ticks: int, second_ticks: int, leaps: bool) -> None:
        self.frame_ticks = frame_ticks
        self.back_ticks = BACK_S * second_ticks + REORDERED_FRAMES * frame_ticks
        self.ahead_ticks = LONGEST_GAP_S * second_ticks if leaps else math.inf
        self.seen: list[tuple[int, int]] = []
        """The last two times as stored, and what was added to each."""

    def shift(self, ticks: int) -> int:
        """What must be added to this time."""
        shift = 0
        if self.seen:
            near, shift = min(reversed(self.seen), key=lambda mark: abs(ticks - mark[0]))
            if not -self.back_ticks <= ticks - near <= self.ahead_ticks:
                last, shift = self.seen[-1]
                shift += last + self.frame_ticks - ticks
        self.seen = [*self.seen[-1:], (ticks, shift)]
        return shift
