"""What a file is, before its frames are asked for: container, codec, displayed size, rotation, length, key-frame
times."""

from __future__ import annotations

import itertools
import os
import re
import time
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import av.error

from nsnet_cli.errors import VideoError
from nsnet_cli.media import ReadOptions, VideoInfo
from nsnet_cli.video.bitstream import keys_are_false
from nsnet_cli.video.container import (
    FileIdentity,
    OpenVideo,
    check_memory,
    file_identity,
    is_animated_webp,
    open_video,
    refused_size,
)
from nsnet_cli.video.packets import clocked_packets, packet_ticks, packets
from nsnet_cli.video.scaling import orientation

SAMPLE_INDEXES = ("mov,mp4,m4a,3gp,3g2,mj2", "avi")
"""Containers whose index lists every frame, not key frames alone."""
INDEXED_FORMATS = (*SAMPLE_INDEXES, "matroska,webm")
MAX_KEY_TIMES = 8192
"""Key frames closer together than a video's length over this are not listed: no plan can use them."""
FIRST_FRAME_BYTES = 256 << 20
FIRST_FRAME_S = 10.0
"""How far to look for a first frame that decodes: recordings may begin long before their first key frame."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What probing found. Times are presentation times in seconds from the container's start."""

    info: VideoInfo
    key_times_s: tuple[float, ...]
    start_s: float
    """First video frame that is shown: an edit list may leave out those before it, down to a key frame."""
    end_s: float
    """End of the last one."""
    indexed: bool
    """The container has an index: key frames can be sought one by one."""
    clockless: bool
    """A raw stream whose packets carry no times: they follow from the frame rate."""
    false_keys: bool
    """The container calls every packet a key frame, and lies."""
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
    false_keys, false_index = _lies(video)
    if false_keys or false_index:
        keys, indexed, seen_end_s = _demuxed_keys(video, false_keys)
    else:
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
    if first_key.is_discard and video.stream.start_time is not None:
        start_s = max(start_s, video.seconds(video.stream.start_time))
    end_s = min(duration_s, _video_end(video) or duration_s) if indexed else duration_s
    return Probe(
        info,
        tuple(keys),
        start_s,
        max(end_s, start_s),
        indexed,
        packet_ticks(first_key) is None,
        false_keys,
        video.identity,
        aspect,
        frame,
    )


def _first_frame(video: OpenVideo, options: ReadOptions) -> tuple[av.VideoFrame, av.Packet]:
    """The first frame that decodes on its own and its packet: geometry comes from pixels, not from claims."""
    context = video.stream.codec_context
    tried, problem, read_bytes, started = 0, "none is a key frame", 0, time.monotonic()
    for packet in packets(video):
        tried += 1
        read_bytes += packet.size
        if read_bytes > FIRST_FRAME_BYTES or time.monotonic() - started > FIRST_FRAME_S:
            break
        if not (packet.is_keyframe and packet.size):
            continue
        try:
            frames = context.decode(_to_be_shown(packet)) + context.decode(None)
        except av.error.FFmpegError as error:
            check_memory(error)
            frames, problem = [], error.strerror or str(error)
        context.flush_buffers()
        if frames:
            return frames[0], packet
    if tried == 0:
        raise VideoError(f"{video.path}: has a video stream but no frames in it", "was it cut short?", "no_frames")
    if is_animated_webp(video):
        raise VideoError(
            f"{video.path}: animated WebP is not supported", "convert it to MP4 or GIF", "unsupported_codec"
        )
    claim = None if video.stream.width else refused_size(video.path, options)
    if claim:
        raise VideoError(f"{video.path}: claims {claim} px, more than is accepted", kind="too_large")
    raise VideoError(f"{video.path}: no frame can be decoded: {problem}", "it is damaged or cut short", "no_frames")


def _to_be_shown(packet: av.Packet) -> av.Packet:
    """The packet, or where the edit list leaves it out (decoders then give no frame) its like without that mark."""
    if not packet.is_discard:
        return packet
    shown = av.Packet(bytes(packet))
    shown.pts, shown.dts, shown.time_base = packet.pts, packet.dts, packet.time_base
    return shown


def _lies(video: OpenVideo) -> tuple[bool, bool]:
    """Whether packets, or index entries alone, are called key frames although they are none.

    Reads on from the first key frame; in nearly every file just one packet.
    """
    context = video.stream.codec_context
    following = packets(video)
    second = next(following, None)
    if second is None:
        return False, False
    if second.is_keyframe:
        following = itertools.chain([second], following)
        return keys_are_false(following, context.codec.canonical_name, context.extradata), False
    index = video.stream.index_entries
    if video.container.format.name in SAMPLE_INDEXES:
        return False, len(index) > 1 and all(entry.is_keyframe for entry in index[:8])
    found = index.search_timestamp(second.pts, any_frame=True) if second.pts is not None else -1
    return False, found >= 0 and index[found].timestamp == second.pts  # Matroska lists blocks that it calls key frames


def _key_times(video: OpenVideo, first_key: av.Packet) -> tuple[list[float], bool, float]:
    """Key-frame times, whether they come from an index, and the end of the last packet seen (0 when none was)."""
    if video.container.format.name in INDEXED_FORMATS:
        keys = _indexed_keys(video, first_key)
        if keys:
            return keys, True, 0.0
    return _demuxed_keys(video, False)


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
        video.check_disk()
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


def _demuxed_keys(video: OpenVideo, false_keys: bool) -> tuple[list[float], bool, float]:
    """As _key_times, by reading the whole file."""
    keys: list[float] = []
    end_s = 0.0
    again = open_video(video.path, ReadOptions(size_px=1))
    try:
        last: int | None = None
        for packet in clocked_packets(again, false_keys):
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
