"""Probes a file before its preview is read: container, codec, displayed size, rotation, length, key-frame times."""

from __future__ import annotations

import itertools
import os
import re
import time
from dataclasses import field
from fractions import Fraction

import av
import av.error

from nsnet_cli.errors import VideoError
from nsnet_cli.media import ReadOptions, VideoInfo
from nsnet_cli.records import dataclass
from nsnet_cli.video.bitstream import keys_are_false
from nsnet_cli.video.container import (
    OpenVideo,
    check_memory,
    is_animated_webp,
    open_video,
    refused_size,
)
from nsnet_cli.video.cuts import cut_times
from nsnet_cli.video.opened import FileIdentity, Stored, VideoPath, file_identity
from nsnet_cli.video.packets import clocked_packets, packet_ticks, packets
from nsnet_cli.video.plan import has_gaps
from nsnet_cli.video.scaling import orientation

SAMPLE_INDEXES = ("mov,mp4,m4a,3gp,3g2,mj2", "avi")
"""Containers whose index lists every frame, not only key frames."""
EVEN = ("h264", "hevc", "mpeg4", "msmpeg4v3", "mpeg2video", "h263")
"""Codecs whose pictures take many bytes where something is new. Others write a large picture now and then as a rule."""
INDEXED_FORMATS = (*SAMPLE_INDEXES, "matroska,webm")
MAX_KEY_TIMES = 8192
"""Key frames closer together than the length divided by this are not listed: no plan can use them."""
FIRST_FRAME_BYTES = 256 << 20
FIRST_FRAME_S = 10.0
"""How far to search for a first frame that decodes: recordings may begin long before their first key frame."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What probing found. Times are presentation times in seconds from the container's start."""

    info: VideoInfo
    key_times_s: tuple[float, ...]
    start_s: float
    """The first frame that is shown. An edit list may leave out the frames between a key frame and this one."""
    end_s: float
    """End of the last frame that is shown."""
    indexed: bool
    """The container has an index, so that a seek finds each key frame."""
    clockless: bool
    """A raw stream whose packets carry no times. Times follow from the frame rate."""
    false_keys: bool
    """The container wrongly calls every packet a key frame."""
    identity: FileIdentity | None
    """None for a video in a store, which gives only bytes of the version that was opened."""
    sample_aspect: Fraction | None = None
    cuts_s: tuple[float, ...] | None = None
    """When cuts between key frames are likely. None: the index does not tell, or no plan needs to know."""
    first_frame: av.VideoFrame | None = field(default=None, repr=False, compare=False)
    """The frame that was decoded to learn the geometry: the one at key_times_s[0] if that decodes."""

    def file_changed(self) -> bool:
        """Whether the file has been written to, or replaced, since it was probed."""
        if self.identity is None:
            return False
        try:
            return file_identity(os.stat(self.info.path)) != self.identity  # noqa: PTH116
        except FileNotFoundError:
            return False  # removed: the open file stayed whole


def probe_video(path: VideoPath, options: ReadOptions) -> Probe:
    """Opens, probes and closes a file. Raises VideoError as `open_video` does, and also if no frame decodes."""
    video = open_video(path, options)
    try:
        return probe_open(video, options)
    finally:
        video.close()


def probe_open(video: OpenVideo, options: ReadOptions) -> Probe:
    """Probes an open video as `probe_video` does. It moves the reading position."""
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
        None if isinstance(video.path, Stored) else video.identity,
        aspect,
        _cuts(video, first_key) if indexed and options.in_rounds and has_gaps(keys, end_s, options) else None,
        frame,
    )


def _first_frame(video: OpenVideo, options: ReadOptions) -> tuple[av.VideoFrame, av.Packet]:
    """Returns the first frame that decodes alone, and its packet. Geometry comes from pixels, not from headers."""
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
    """Returns the packet, or a copy to be shown if the edit list leaves it out: decoders give no frame for those."""
    if not packet.is_discard:
        return packet
    shown = av.Packet(bytes(packet))
    shown.pts, shown.dts, shown.time_base = packet.pts, packet.dts, packet.time_base
    return shown


def _lies(video: OpenVideo) -> tuple[bool, bool]:
    """Returns whether packets, and whether only index entries, are wrongly called key frames.

    Reads on from the first key frame, in nearly every file just one packet.
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
    return False, found >= 0 and index[found].timestamp == second.pts  # Matroska's index should list only key frames


def _key_times(video: OpenVideo, first_key: av.Packet) -> tuple[list[float], bool, float]:
    """Returns key-frame times, whether they come from an index, and the end of the last packet read (0: none)."""
    if video.container.format.name in INDEXED_FORMATS:
        keys = _indexed_keys(video, first_key)
        if keys:
            return keys, True, 0.0
    return _demuxed_keys(video, False)


def _indexed_keys(video: OpenVideo, first_key: av.Packet) -> list[float]:
    """Returns key-frame times from the container's index, or [] if it has none to be trusted."""
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
    shift = _reordering(video, first_key)
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
    # Without cues, or with fragments, the index has only what was read when the file was opened. Matroska's has only
    # key frames, and the last may be far from the end.
    reaches = 0.5 if video.container.format.name == "matroska,webm" else 0.9
    if not known_s or last_s < reaches * known_s:
        return []
    return keys


def _reordering(video: OpenVideo, first_key: av.Packet) -> int:
    """Returns how much later than in the index key frames are shown: some indexes hold decode times (MP4)."""
    late = first_key.pts is not None and first_key.dts is not None and video.container.format.name.startswith("mov")
    return first_key.pts - first_key.dts if late else 0  # type: ignore[operator]


def _cuts(video: OpenVideo, first_key: av.Packet) -> tuple[float, ...] | None:
    """Returns when cuts are likely, if the index has the size of every packet."""
    if video.container.format.name not in SAMPLE_INDEXES or video.stream.codec_context.codec.canonical_name not in EVEN:
        return None
    import numpy as np

    shift = _reordering(video, first_key)
    entries = [(entry.timestamp, entry.size, entry.is_keyframe) for entry in video.stream.index_entries]
    ticks, sizes, keys = (np.array(column) for column in zip(*entries, strict=True))
    times_s = (ticks + shift) * float(video.time_base) - video.origin_s
    return tuple(cut_times(times_s, sizes, keys))


def _demuxed_keys(video: OpenVideo, false_keys: bool) -> tuple[list[float], bool, float]:
    """Returns the same as `_key_times`, by reading the whole file."""
    keys: list[float] = []
    end_s = 0.0
    video.file.whole()
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
    """Returns the length of the whole file, sound included, as players show it."""
    if seen_end_s > 0:
        return seen_end_s
    if video.container.duration is not None and video.container.duration > 0:
        return video.container.duration / av.time_base
    return _video_end(video) or 0.0


def _video_end(video: OpenVideo) -> float | None:
    """Returns where the container says that the video stream ends, or None. Sound may go on for longer."""
    stream = video.stream
    if stream.duration:
        return max(0.0, video.seconds((stream.start_time or 0) + stream.duration))
    tag = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", ""))  # Matroska
    return int(tag[1]) * 3600 + int(tag[2]) * 60 + float(tag[3]) if tag else None
