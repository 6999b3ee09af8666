"""Writes packets of an open video to another file: in a container like its own, or in Matroska."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.container
import av.error

from nsnet_cli.errors import VideoError
from nsnet_cli.video.container import METADATA, OpenVideo, check_memory, fraction

MATROSKA = ("matroska", ".mkv")
MUXERS = {
    "avi": ("avi", ".avi"),
    "mpegts": ("mpegts", ".ts"),
    "mpeg": ("vob", ".mpg"),
    "flv": ("flv", ".flv"),
    "asf": ("asf", ".wmv"),
    "ogg": ("ogg", ".ogv"),
    "mxf": ("mxf", ".mxf"),
    "dv": ("mov", ".mov"),
    "nut": ("nut", ".nut"),
    "gif": ("gif", ".gif"),
    "ivf": ("ivf", ".ivf"),
    "h264": ("h264", ".h264"),
    "hevc": ("hevc", ".hevc"),
    "mpegvideo": ("mpeg2video", ".m2v"),
    "mjpeg": ("mjpeg", ".mjpeg"),
}
"""By demuxer, the muxer and the file ending. Other containers become Matroska. MP4 and WebM: see `_own`."""
WITH_TAGS = ("mov", "mp4", "3gp", "3g2")
"""Muxers that need the video's own codec tag: players of Apple take `hvc1` alone, and ProRes has a tag per profile."""
SOUND_IN_AVI = ("mp3", "mp2", "pcm_", "adpcm_")
"""Beginnings of codecs that FFmpeg writes to AVI on time. It gives all packets of AC-3 and AAC there one time."""
OPTIONS = {"movflags": "+faststart", "write_tmcd": "0"}
OF_THE_WHOLE = re.compile(
    r"(timecode|duration|number_of_\w+|bps|_statistics_\w+|major_brand|minor_version|compatible_brands|encoder)\b.*",
    re.IGNORECASE | re.DOTALL,
)
"""Metadata that describe the whole file, and would be false for a part of it."""
REFUSALS = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EDOM, errno.ERANGE)
"""Error numbers by which FFmpeg refuses a stream or a packet. Others come from the disk."""
LONGEST_TICKS = 1 << 40
COVERS = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails


class WriteError(Exception):
    """The target cannot be written: `error` says why. The video is not at fault."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


class Muxed:
    """A container that is being written, and the streams of a video that it takes."""

    def __init__(self, video: OpenVideo, target: Path, muxer: str, ending: str, tags: bool) -> None:
        """Chooses the streams that the container takes. Writes nothing yet."""
        self.video, self.target, self.ending = video, target, ending
        options = OPTIONS if muxer in WITH_TAGS else {}
        self.container: av.container.OutputContainer = av.open(
            str(target.absolute()), "w", format=muxer, container_options=options, **METADATA
        )
        self.container.flags |= av.container.Flags.bitexact.value  # a cut that is made again is the same
        self.container.metadata.update(_of_a_part(video.container.metadata))
        self.new: dict[int, av.stream.Stream] = {}
        self.begins_with_decoding = muxer == "avi"
        """Its streams all begin together, the pictures when they are decoded, not when they are shown."""
        self.streams: list[av.stream.Stream] = []
        self.left_out: list[str] = []
        self.refused = 0
        """Pictures, sound and subtitles that this container does not take."""
        self._last: dict[int, int] = {}
        for stream in video.container.streams:
            self._add(stream, muxer, tags and muxer in WITH_TAGS)

    def _add(self, stream: av.stream.Stream, muxer: str, tag: bool) -> None:
        cover = stream.type == "video" and stream is not self.video.stream
        fonts = ("attachment",) if muxer == MATROSKA[0] else ()
        if not cover and stream.type in ("video", "audio", "subtitle", *fonts):
            try:
                if muxer == "avi" and not _on_time_in_avi(stream):
                    raise ValueError("AVI would give it wrong times")
                self.new[stream.index] = self._like(stream, tag)
            except (ValueError, av.error.FFmpegError) as error:
                check_memory(error)
                self.refused += 1
            else:
                if stream.type != "attachment":
                    self.streams.append(stream)
                return
        self.left_out.append(_described(stream))

    def _like(self, stream: av.stream.Stream, tag: bool) -> Any:
        new: Any = self.container.add_stream_from_template(stream, opaque=True)  # False needs an encoder of its kind
        new.metadata.update(_of_a_part(stream.metadata))
        new.disposition = stream.disposition
        if stream.type == "video":
            rate = stream.average_rate or stream.guessed_rate  # type: ignore[attr-defined]
            if rate:
                new.codec_context.framerate = rate
        if tag:
            with contextlib.suppress(ValueError):  # a tag that is not ASCII
                new.codec_context.codec_tag = stream.codec_context.codec_tag
        return new

    def start(self) -> None:
        """Writes the header. Raises FFmpegError if the container refuses a stream, and WriteError."""
        with _disk_errors(self.target):
            self.container.start_encoding()

    def mux(self, packet: av.Packet, zero: Fraction) -> bool:
        """Writes a packet, `zero` seconds earlier than it was. Returns whether the container took it."""
        index, new = packet.stream_index, self.new[packet.stream_index]
        old_tick, tick = fraction(packet.time_base), fraction(new.time_base)

        def moved(ticks: int | None) -> int | None:
            return None if ticks is None else round((ticks * old_tick - zero) / tick)

        pts, dts, duration = moved(packet.pts), moved(packet.dts), packet.duration
        if dts is not None:  # must ascend, or the container refuses it
            dts = self._last[index] = max(dts, self._last.get(index, dts - 1) + 1)
            pts = max(pts, dts) if pts is not None else None
        packet.time_base, packet.pts, packet.dts = tick, pts, dts
        packet.duration = min(round(duration * old_tick / tick), LONGEST_TICKS) if duration else 0
        packet.stream = new
        try:
            with _disk_errors(self.target):
                self.container.mux_one(packet)
        except av.error.FFmpegError:
            return False
        return True

    def close(self) -> None:
        """Writes the end of the file."""
        with _disk_errors(self.target):
            self.container.close()


@contextlib.contextmanager
def open_muxed(video: OpenVideo, target: Path) -> Iterator[Muxed]:
    """Opens `target` for packets of `video`, in the container that takes most of its streams.

    Raises VideoError if none takes its pictures, and WriteError.
    """
    muxed = _best(video, target)
    try:
        yield muxed
    except BaseException:
        with contextlib.suppress(WriteError, av.error.FFmpegError):
            muxed.close()
        raise
    try:
        muxed.close()
    except av.error.FFmpegError as error:
        raise VideoError(f"{video.path}: its copy cannot be completed: {error.strerror or error}") from None


def _best(video: OpenVideo, target: Path) -> Muxed:
    own = _own(video)
    ways = dict.fromkeys([(*own, True), (*own, False), (*MATROSKA, False)])
    tried = []
    reason = "no container takes its codec"
    for muxer, ending, tags in ways:
        tried.append(Muxed(video, target, muxer, ending, tags))
    for muxed in sorted(tried, key=lambda one: one.refused):
        if video.stream.index not in muxed.new:
            continue
        try:
            muxed.start()
            return muxed
        except av.error.FFmpegError as error:
            reason = error.strerror or str(error)
    raise VideoError(f"{video.path}: cannot be copied: {reason}", "cut it with a video editor", "unsupported_codec")


def _own(video: OpenVideo) -> tuple[str, str]:
    """Returns the muxer and the ending for a container like the video's own."""
    name = video.container.format.name
    if name.startswith("mov,"):
        brand = video.container.metadata.get("major_brand", "qt")
        if brand.startswith(("3gp", "3g2")):
            return brand[:3], f".{brand[:3]}"
        return ("mov", ".mov") if brand.startswith("qt") else ("mp4", ".mp4")
    if name == "matroska,webm" and b"webm" in video.file.head(64):
        return "webm", ".webm"
    return MUXERS.get(name, MATROSKA)


def _on_time_in_avi(stream: Any) -> bool:
    return stream.type != "audio" or str(getattr(stream, "name", "")).startswith(SOUND_IN_AVI)


def _of_a_part(metadata: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in metadata.items() if not OF_THE_WHOLE.fullmatch(key)}


def _described(stream: av.stream.Stream) -> str:
    """Names a stream for people: 'data stream 2 (tmcd)'."""
    kind = "cover picture" if stream.type == "video" and stream.disposition & COVERS else f"{stream.type} stream"
    name = getattr(stream, "name", None)
    return f"{kind} {stream.index} ({name})" if name else f"{kind} {stream.index}"


@contextlib.contextmanager
def _disk_errors(target: Path) -> Iterator[None]:
    """Tells errors of the target's disk from refusals of the container, which stay FFmpegErrors."""
    try:
        yield
    except (av.error.FFmpegError, OSError) as error:
        check_memory(error)
        if isinstance(error, OSError) and error.errno not in REFUSALS:
            raise WriteError(OSError(error.errno, error.strerror, os.fsdecode(target))) from None
        raise
