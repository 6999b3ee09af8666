"""Copies a span of a video to another file without recoding: from a key frame on, with sound and subtitles.

The copy begins at the key frame at or before the span: no later picture decodes without it. It ends where the span
ends, or up to a few pictures later, since a picture that is stored early is kept with all that are shown before it.
Its times begin at 0, and all its streams move by the same amount, so they stay in sync.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import av.error

from nsnet_cli.errors import VideoError
from nsnet_cli.media import Copied, ReadOptions
from nsnet_cli.video.bitstream import key_test
from nsnet_cli.video.container import OpenVideo, check_memory, fraction, open_video
from nsnet_cli.video.local import told_as_video_errors
from nsnet_cli.video.muxing import Muxed, WriteError, open_muxed
from nsnet_cli.video.packets import (
    LEAPING_FORMATS,
    REORDERED_FRAMES,
    clocked_packets,
    packet_ticks,
    sized_packets,
)
from nsnet_cli.video.probe import Probe, probe_video

APART_S = 1.0
"""How far before its picture a sound may be stored. Reading begins at a key frame this much earlier."""
LATE_S = 10.0
"""How far after the last picture to read for sound that belongs to it."""
NEAR_S = 1e-6
MOST_TIMES = 2
SPARE_BYTES = 16 << 20
"""A copy has fewer bytes than its video. MOST_TIMES as many, and these, come only from an index that lies."""


def copy_span(path: Path, target: Path, start_s: float, end_s: float, options: ReadOptions) -> Copied:
    """Copies a span to the file `target`, in this process.

    Raises VideoError if the video is at fault, and OSError if `target` cannot be written.
    """
    try:
        with told_as_video_errors(path):
            probe = probe_video(path, options)
            copied = _copy(probe, path, target, start_s, end_s, options)
            if probe.file_changed():
                raise VideoError(f"{path}: changed while it was read", "cut it again when it is complete", "changed")
            return copied
    except WriteError as failed:
        raise failed.error from None


def _copy(probe: Probe, path: Path, target: Path, start_s: float, end_s: float, options: ReadOptions) -> Copied:
    key_s = _key_at_or_before(probe, path, start_s, options)
    video = open_video(path, options)
    try:
        with open_muxed(video, target) as muxed:
            streams = muxed.streams
            for stream in streams:
                stream.discard = av.stream.Discard.default
            span = _Span(video, probe, muxed, key_s, end_s)
            before_s = _listed(probe, key_s - APART_S)
            span.copy(_packets_from(video, probe, before_s, streams))
        if span.end_s is None:
            raise VideoError(f"{path}: no picture of it can be copied", "it is damaged or cut short", "no_frames")
        if start_s >= span.end_s:
            raise VideoError(f"{path}: ends at {span.end_s:.1f} s, before {start_s:.1f} s", kind="no_frames")
        return Copied(key_s, span.end_s, muxed.ending, (*muxed.left_out, *span.left_out))
    finally:
        video.close()


def _listed(probe: Probe, at_s: float) -> float | None:
    """Returns the last known key frame at or before a time. None: there is none, so read from the beginning."""
    found = bisect_right(probe.key_times_s, at_s + NEAR_S)
    return probe.key_times_s[found - 1] if found else None


def _packets_from(
    video: OpenVideo, probe: Probe, key_s: float | None, streams: Sequence[av.stream.Stream] = ()
) -> Iterator[av.Packet]:
    """Yields packets from a key frame on, or from earlier. `video` must be freshly open."""
    if not probe.indexed:
        return clocked_packets(video, probe.false_keys, streams)
    if key_s is not None and key_s > probe.key_times_s[0]:
        try:
            video.container.seek(video.ticks(key_s), stream=video.stream)
        except av.error.FFmpegError as error:
            check_memory(error)
            video.check_disk()
            raise VideoError(f"{video.path}: cannot be sought: {error.strerror or error}", kind="unreadable") from None
    return sized_packets(video, streams)


def _key_at_or_before(probe: Probe, path: Path, start_s: float, options: ReadOptions) -> float:
    """Returns the time of the last key frame at or before `start_s`, or of the first one if that is later."""
    listed = _listed(probe, start_s)
    if not probe.indexed:
        return listed if listed is not None else min(probe.key_times_s, default=0.0)
    for begin_s in dict.fromkeys((listed, None)):  # an index may list few, know decode times only, or lie
        video = open_video(path, options)
        try:
            found = _last_key(video, _packets_from(video, probe, begin_s), start_s)
        finally:
            video.close()
        if found is not None and (found <= start_s + NEAR_S or begin_s is None):
            return found
    raise VideoError(f"{path}: no key frame in it can be read", "it is damaged or cut short", "no_frames")


def _last_key(video: OpenVideo, packets: Iterator[av.Packet], start_s: float) -> float | None:
    context = video.stream.codec_context
    codec = context.codec.canonical_name
    # DivX says "as before" by a packet of one byte, which AVI calls a key frame.
    is_key = key_test(codec, context.extradata) if codec == "mpeg4" else None
    found = None
    for packet in packets:
        ticks = packet_ticks(packet)
        if ticks is None:
            continue
        key = packet.is_keyframe and (is_key is None or is_key(memoryview(packet)))
        if key and (found is None or video.seconds(ticks) <= start_s + NEAR_S):
            found = video.seconds(ticks)
        if found is not None and packet.dts is not None and video.seconds(packet.dts) > start_s:
            break
    return found


class _Span:
    """Chooses and moves the packets of one span."""

    def __init__(self, video: OpenVideo, probe: Probe, muxed: Muxed, key_s: float, end_s: float) -> None:
        self.video, self.muxed = video, muxed
        self.key_s, self.wanted_end_s = key_s, end_s
        self.frame_s = 1 / (probe.info.fps or 25.0)
        self.keyless = not probe.info.key_frames
        self.key: av.Packet | None = None
        """The first picture, until the next one is here."""
        self.zero: Fraction | None = None
        """The time in the video, as its packets have it, that is 0 in the copy."""
        self.top_s = key_s
        """The latest picture so far."""
        self.last_s = key_s
        """Where the pictures so far end."""
        self.end_s: float | None = None
        """Where the copy ends, once its pictures are complete."""
        self.early: list[tuple[av.Packet, float]] = []
        """Sound and subtitles that came before it was known where the copy begins, or where it ends."""
        self.waiting = {stream.index for stream in muxed.streams if stream.type == "audio"}
        """Sound that has not reached the end of the copy."""
        self.bytes_left = MOST_TIMES * video.identity.size_bytes + SPARE_BYTES
        self.resilient = probe.info.container in LEAPING_FORMATS
        """A damaged packet shows most of a picture. In other formats it is one that was cut off, with its file."""
        self.damaged = 0

    @property
    def left_out(self) -> tuple[str, ...]:
        return (f"damaged packets: {self.damaged}",) if self.damaged else ()

    def copy(self, packets: Iterator[av.Packet]) -> None:
        for packet in packets:
            ticks = packet_ticks(packet)
            if ticks is None:
                continue
            if packet.is_corrupt and not self.resilient:
                self.damaged += 1
                continue
            time_s = float(ticks * fraction(packet.time_base)) - self.video.origin_s
            if packet.stream_index == self.video.stream.index:
                self._picture(packet, time_s)
            else:
                self._beside(packet, time_s)
            if self.end_s is not None and (not self.waiting or time_s > self.end_s + LATE_S):
                return
        if self.end_s is None:
            self._end()

    def _picture(self, packet: av.Packet, time_s: float) -> None:
        if self.end_s is not None:
            return
        if self.key is None and self.zero is None:
            if self.keyless or (packet.is_keyframe and abs(time_s - self.key_s) < NEAR_S):
                self.key = packet
                self._seen(packet, time_s)
            return
        if time_s < self.key_s - NEAR_S:  # shown before the key frame (open GOP): it needs pictures that are left out
            return
        decode_s = time_s - REORDERED_FRAMES * self.frame_s if packet.dts is None else self.video.seconds(packet.dts)
        if decode_s >= self.wanted_end_s - NEAR_S and time_s > self.top_s:
            self._end()
            return
        self._begin(packet.dts)
        self._seen(packet, time_s)
        self._mux(packet)

    def _seen(self, packet: av.Packet, time_s: float) -> None:
        length_s = float(packet.duration * self.video.time_base) if packet.duration else self.frame_s
        self.top_s = max(self.top_s, time_s)
        self.last_s = max(self.last_s, time_s + length_s)

    def _begin(self, next_dts: int | None) -> None:
        """Writes the first picture, if it is still held. Between it and the next one pictures may be left out."""
        key, self.key = self.key, None
        if key is None:
            return
        if next_dts is not None and key.dts is not None and key.pts is not None:
            key.dts = max(key.dts, min(key.pts, next_dts - round(self.frame_s / self.video.time_base)))
        first = key.dts if self.muxed.begins_with_decoding and key.dts is not None else packet_ticks(key)
        self.zero = (first or 0) * self.video.time_base
        self._mux(key)
        self._again()

    def _end(self) -> None:
        if self.key is None and self.zero is None:
            return
        self._begin(None)
        self.end_s = self.last_s
        self._again()

    def _again(self) -> None:
        early, self.early = self.early, []
        for packet, time_s in early:
            self._beside(packet, time_s)

    def _beside(self, packet: av.Packet, time_s: float) -> None:
        """Takes sound that begins within the copy, and subtitles that are seen in it."""
        if self.zero is None or (self.end_s is None and time_s >= self.wanted_end_s):
            if time_s > self.key_s - APART_S:
                self.early.append((packet, time_s))
            return
        if self.end_s is not None and time_s >= self.end_s:
            self.waiting.discard(packet.stream_index)
            return
        if packet.stream.type == "subtitle":
            self._fit(packet, self.zero)
        ticks = packet_ticks(packet)
        if ticks is not None and ticks * fraction(packet.time_base) >= self.zero:
            self._mux(packet)

    def _fit(self, packet: av.Packet, zero: Fraction) -> None:
        """Shortens a subtitle to the copy."""
        per_tick = fraction(packet.time_base)
        first = -(-zero // per_tick)
        if packet.pts is None or not packet.duration:
            return
        last = packet.pts + packet.duration
        end_s = self.wanted_end_s if self.end_s is None else self.end_s
        last = min(last, round((end_s + self.video.origin_s) / per_tick))
        if packet.pts < first < last:
            packet.pts = packet.dts = first
        packet.duration = max(0, last - packet.pts)

    def _mux(self, packet: av.Packet) -> None:
        self.bytes_left -= packet.size
        if self.bytes_left < 0:
            raise VideoError(
                f"{self.video.path}: gives more bytes than it has", "its index is damaged or made to harm", "too_large"
            )
        assert self.zero is not None
        self.damaged += not self.muxed.mux(packet, self.zero)
