"""What a file is, before its frames are asked for: container, codec, displayed size, rotation, length, key-frame
times."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import av.error

from nsnet_cli.errors import VideoError
from nsnet_cli.types import ReadOptions, VideoInfo
from nsnet_cli.video.container import FileIdentity, OpenVideo, check_memory, file_identity, open_video, refused_size
from nsnet_cli.video.scaling import orientation

INDEXED_FORMATS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi")
MAX_KEY_TIMES = 8192
"""Key frames closer together than a video's length over this are not listed: no plan can use them."""
FIRST_FRAME_PACKETS = 400
"""Packets looked at for a first frame that decodes."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What probing found. Times are presentation times in seconds from the container's start."""

    info: VideoInfo
    key_times_s: tuple[float, ...]
    start_s: float
    """First video frame."""
    end_s: float
    """End of the last one."""
    indexed: bool
    """The container has an index: key frames can be sought one by one."""
    clockless: bool
    """A raw stream whose packets carry no times: they follow from the frame rate."""
    identity: FileIdentity
    sample_aspect: Fraction | None = None
    first_frame: av.VideoFrame | None = field(default=None, repr=False, compare=False)
    """The frame that was decoded to learn the geometry; it is key_times_s[0] where that decodes."""

    def file_changed(self) -> bool:
        """Whether the file has been written to, or replaced, since it was probed."""
        try:
            return file_identity(os.stat(self.info.path)) != self.identity  # noqa: PTH116
        except FileNotFoundError:
            return False  # removed: what was open stayed whole


def probe_video(path: Path, options: ReadOptions) -> Probe:
    """Open, look and close. Raises VideoError as `open_video`, and "no_frames" or "truncated" where nothing decodes."""
    video = open_video(path, options)
    try:
        return probe_open(video, options)
    finally:
        video.close()


def probe_open(video: OpenVideo, options: ReadOptions) -> Probe:
    """As probe_video, on an open one, whose reading position it leaves anywhere."""
    context = video.stream.codec_context
    frame, first_key = _first_frame(video, options)
    keys, indexed, seen_end_s = _key_times(video, first_key)
    duration_s = _duration(video, seen_end_s)
    if duration_s > options.max_duration_s:
        raise VideoError(
            f"{video.path}: lasts {duration_s:.0f} s, more than {options.max_duration_s:.0f}", kind="too_large"
        )
    turns, _ = orientation(frame)
    aspect = video.stream.sample_aspect_ratio or None
    size = max(1, round(frame.width * float(aspect or 1))), frame.height
    width, height = size[::-1] if turns % 2 else size
    rate = video.stream.average_rate or video.stream.guessed_rate
    fps = float(rate) if rate and rate > 0 else None
    info = VideoInfo(
        path=str(video.path),
        container=video.container.format.name.split(",")[0],
        codec=context.codec.canonical_name,
        width_px=width,
        height_px=height,
        rotation_deg=turns * 90,
        duration_s=duration_s,
        fps=fps,
        key_frames=len(keys),
    )
    start_s = keys[0] if keys else 0.0
    end_s = min(duration_s, _video_end(video) or duration_s) if indexed else duration_s
    return Probe(
        info,
        tuple(keys),
        start_s,
        max(end_s, start_s),
        indexed,
        packet_ticks(first_key) is None,
        video.identity,
        aspect,
        frame,
    )


def packet_ticks(packet: av.Packet) -> int | None:
    """Presentation time of a packet, or the nearest thing that it has."""
    return packet.pts if packet.pts is not None else packet.dts


def _first_frame(video: OpenVideo, options: ReadOptions) -> tuple[av.VideoFrame, av.Packet]:
    """The first frame that decodes on its own and its packet: geometry comes from pixels, not from claims."""
    context = video.stream.codec_context
    tried, problem = 0, "no packets"
    for packet in _packets(video):
        tried += 1
        if tried > FIRST_FRAME_PACKETS:
            break
        if not (packet.is_keyframe and packet.size):
            continue
        try:
            frames = context.decode(packet) + context.decode(None)
        except av.error.FFmpegError as error:
            check_memory(error)
            frames, problem = [], error.strerror or str(error)
        context.flush_buffers()
        if frames:
            return frames[0], packet
    if tried == 0:
        raise VideoError(f"{video.path}: has a video stream but no frames in it", "was it cut short?", "no_frames")
    claim = None if video.stream.width else refused_size(video.path, options)
    if claim:
        raise VideoError(f"{video.path}: claims {claim} px, more than is accepted", kind="too_large")
    raise VideoError(f"{video.path}: no frame can be decoded: {problem}", "it is damaged or cut short", "no_frames")


def _packets(video: OpenVideo) -> Iterable[av.Packet]:
    """Packets of the video stream until the end or the first damage that the demuxer does not get over."""
    try:
        yield from video.container.demux(video.stream)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        check_memory(error)


def _key_times(video: OpenVideo, first_key: av.Packet) -> tuple[list[float], bool, float]:
    """Key-frame times, whether they come from an index, and the end of the last packet seen (0 when none was)."""
    if video.container.format.name in INDEXED_FORMATS:
        keys = _indexed_keys(video, first_key)
        if keys:
            return keys, True, 0.0
    return (*_demuxed_keys(video),)


def _indexed_keys(video: OpenVideo, first_key: av.Packet) -> list[float]:
    """Key-frame times out of the container's index, or [] where it has none to be trusted."""
    stream = video.stream
    first = packet_ticks(first_key)
    if first is None:
        return []
    try:
        video.container.seek(first, stream=stream)  # Matroska reads its cues at the first seek
    except av.error.FFmpegError as error:
        check_memory(error)
        return []
    index = stream.index_entries
    if not len(index):
        return []
    # Some indexes hold decode times (MP4): key frames are late by the same reordering delay throughout.
    shift = first - (
        first_key.dts if first_key.dts is not None and video.container.format.name.startswith("mov") else first
    )
    length = index[len(index) - 1].timestamp - index[0].timestamp
    step = max(1, length // MAX_KEY_TIMES)
    keys: list[float] = []
    at = index[0].timestamp
    while (found := index.search_timestamp(at, backward=False)) >= 0:
        ticks = index[found].timestamp
        if ticks < at:  # a damaged index, not in order
            break
        keys.append(video.seconds(ticks + shift))
        at = ticks + step
    known_s = _video_end(video) or _duration(video, 0.0)
    last_s = video.seconds(index[len(index) - 1].timestamp + shift)
    # Without cues, or with fragments, the index has only what opening the file happened to read. Matroska's has key
    # frames alone, the last of which may be far from the end.
    reaches = 0.5 if video.container.format.name == "matroska,webm" else 0.9
    if not known_s or last_s < reaches * known_s:
        return []
    return keys


def _demuxed_keys(video: OpenVideo) -> tuple[list[float], bool, float]:
    keys: list[float] = []
    end_s = 0.0
    again = open_video(video.path, ReadOptions(size_px=1))
    try:
        last: int | None = None
        for packet in clocked_packets(again):
            ticks = packet_ticks(packet)
            if ticks is None:
                continue
            end_s = max(end_s, again.seconds(ticks + (packet.duration or 0)))
            if packet.is_keyframe and ticks != last:
                keys.append(again.seconds(ticks))
                last = ticks
    finally:
        again.close()
    return sorted(keys), False, end_s


def clocked_packets(video: OpenVideo) -> Iterable[av.Packet]:
    """Packets in file order; in raw streams, which carry no times, `dts` is the time by count and frame rate."""
    rate = video.stream.average_rate or video.stream.guessed_rate or 25
    for count, packet in enumerate(_packets(video)):
        if not packet.size:
            return
        if packet.pts is None and packet.dts is None:
            packet.dts = round(count / rate / video.time_base)
        yield packet


def _duration(video: OpenVideo, seen_end_s: float) -> float:
    """Length of the whole file, sound included, as players show it."""
    if seen_end_s > 0:
        return seen_end_s
    if video.container.duration is not None and video.container.duration > 0:
        return video.container.duration / av.time_base
    return _video_end(video) or 0.0


def _video_end(video: OpenVideo) -> float | None:
    """Where the video stream ends by what the container says of it alone: sound may go on for longer."""
    stream = video.stream
    if stream.duration:
        return max(0.0, video.seconds((stream.start_time or 0) + stream.duration))
    tag = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", ""))  # Matroska, by its writer
    return int(tag[1]) * 3600 + int(tag[2]) * 60 + float(tag[3]) if tag else None
