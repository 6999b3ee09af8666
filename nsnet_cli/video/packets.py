"""Packets of a video stream in file order, on one clock, with key frames marked correctly."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import av
import av.error

from nsnet_cli.video.bitstream import key_test
from nsnet_cli.video.container import OpenVideo, check_memory, fraction

LEAPING_FORMATS = ("mpegts", "mpeg")
"""Files of these formats can be joined end to end. In others a long gap is a picture that is shown for long."""
LONGEST_GAP_S = 60.0
"""If the time jumps further ahead than this between two pictures of such a file, another recording begins."""
BACK_S = 0.5
"""The same if it goes back by more than this, apart from reordered pictures."""
REORDERED_FRAMES = 16
"""Most pictures that may be stored before a picture that is shown earlier."""


def packet_ticks(packet: av.Packet) -> int | None:
    """Returns the presentation time of a packet, or else its decode time."""
    return packet.pts if packet.pts is not None else packet.dts


def packets(video: OpenVideo, streams: Sequence[av.stream.Stream] = ()) -> Iterator[av.Packet]:
    """Yields packets of the video stream until the end, or the first damage that the demuxer cannot skip.

    `streams`: take packets of these streams instead. Raises VideoError if the disk failed.
    """
    try:
        yield from video.container.demux(*streams or [video.stream])
    except (av.error.FFmpegError, OSError) as error:
        check_memory(error)
    video.check_disk()


def sized_packets(video: OpenVideo, streams: Sequence[av.stream.Stream] = ()) -> Iterator[av.Packet]:
    """Yields `packets` without the empty last one. Of several streams, leaves out all empty ones."""
    if streams:
        return (packet for packet in packets(video, streams) if packet.size)
    return itertools.takewhile(lambda packet: packet.size, packets(video))


def clocked_packets(
    video: OpenVideo, false_keys: bool = False, streams: Sequence[av.stream.Stream] = ()
) -> Iterator[av.Packet]:
    """Yields all packets in file order, on one clock that never restarts.

    Raw streams carry no times: there `dts` follows from count and frame rate. `false_keys`: the container calls every
    packet a key frame, so the packets' bits decide. `streams`: also give packets of these, on the video's clock.
    """
    context = video.stream.codec_context
    is_key = key_test(context.codec.canonical_name, context.extradata) if false_keys else None
    rate = video.stream.average_rate or video.stream.guessed_rate or 25
    frame_ticks, second_ticks = round(1 / rate / video.time_base), round(1 / video.time_base)
    clock = Joined(frame_ticks, second_ticks, leaps=video.container.format.name in LEAPING_FORMATS)
    count = -1
    for packet in sized_packets(video, streams):
        ticks = packet.dts if packet.dts is not None else packet.pts
        if packet.stream_index != video.stream.index:
            if ticks is not None:
                per_tick = fraction(packet.time_base) / video.time_base
                _move(packet, round(clock.near(float(ticks * per_tick)) / per_tick))
            yield packet
            continue
        count += 1
        if packet.pts is not None and ticks is not None and abs(packet.pts - ticks) > clock.ahead_ticks:
            packet.pts = ticks  # where parts meet, FFmpeg may fill in the next part's time
        if ticks is None:
            packet.dts = round(count / rate / video.time_base)
        else:
            _move(packet, clock.shift(ticks))
        if is_key is not None:
            packet.is_keyframe = is_key(memoryview(packet))
        yield packet


def _move(packet: av.Packet, ticks: int) -> None:
    if ticks:
        packet.pts = packet.pts + ticks if packet.pts is not None else None
        packet.dts = packet.dts + ticks if packet.dts is not None else None


class Joined:
    """One clock for recordings joined end to end: each begins right after the last picture of the one before.

    A single wrong time (damage) does not change others: each time is compared with the two before it.
    """

    def __init__(self, frame_ticks: int, second_ticks: int, leaps: bool) -> None:
        self.frame_ticks = frame_ticks
        self.back_ticks = BACK_S * second_ticks + REORDERED_FRAMES * frame_ticks
        self.ahead_ticks = LONGEST_GAP_S * second_ticks if leaps else math.inf
        self.seen: list[tuple[int, int]] = []
        """The last two times as stored, and what was added to each."""

    def shift(self, ticks: int) -> int:
        """Returns what to add to this time."""
        shift = 0
        if self.seen:
            near, shift = min(reversed(self.seen), key=lambda mark: abs(ticks - mark[0]))
            if not -self.back_ticks <= ticks - near <= self.ahead_ticks:
                last, shift = self.seen[-1]
                shift += last + self.frame_ticks - ticks
        self.seen = [*self.seen[-1:], (ticks, shift)]
        return shift

    def near(self, ticks: float) -> int:
        """Returns what to add to a time of another stream: the same as to the video's time nearest to it."""
        return min(self.seen, key=lambda mark: abs(ticks - mark[0]), default=(0, 0))[1]
