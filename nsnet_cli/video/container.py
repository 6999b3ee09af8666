"""Opens untrusted media: only regular files of known formats, and never a file that the media itself names.

FFmpeg gets a file descriptor (by its `fd:` protocol, the only one allowed) or an object that it reads, never a name. So
names in any encoding work, a name such as `concat:a|b` or `clip%03d.jpg` has no special meaning, and a playlist or
reference inside the media leads nowhere.
"""

from __future__ import annotations

import contextlib
import errno
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import av.container
import av.error
import av.logging
import av.video

from nsnet_cli.errors import VideoError
from nsnet_cli.media import ReadOptions
from nsnet_cli.video.opened import DiskFile, FileIdentity, StoreFile, VideoPath, open_file

VIDEO_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,live_flv,kux,f4v,asf,asf_o,ogg,mxf,rm,nut,dv,"
    "wtv,gxf,nsv,h261,h263,h264,hevc,vvc,m4v,mjpeg,mjpeg_2000,obu,av1,ivf,vc1,vc1test,yuv4mpegpipe,dirac,cavsvideo,amv,"
    "roq,smk,bink,dhav,gif,apng,webp,webp_anim,avif,hxvs,image2pipe,png_pipe,jpeg_pipe,jpegls_pipe,webp_pipe,bmp_pipe,"
    "tiff_pipe,jpegxl_pipe,jpegxl_anim,ppm_pipe,pgm_pipe,pam_pipe,qoi_pipe,j2k_pipe,gif_pipe"
)
AUDIO_FORMATS = "mp3,wav,w64,flac,aac,ac3,eac3,aiff,caf,amr,ape,wv,tta,opus,au,dts,truehd,mpc,mpc8,voc"
"""Listed so that such files are refused for having no video, not for being unknown."""
METADATA: dict[str, Any] = {"metadata_errors": "surrogateescape"} if int(av.__version__.split(".")[0]) < 19 else {}
"""A title in a wrong encoding must not stop a video from opening. PyAV handles that alone from version 19 on."""
NAMED_FORMATS = dict.fromkeys((".264", ".h264", ".avc"), "h264")
NAMED_FORMATS |= {**dict.fromkeys((".265", ".h265", ".hevc"), "hevc"), ".dav": "dhav"}
"""Formats to try by ending if the content is not recognised: camera files may begin in the middle of a stream."""
COVER_BYTES = 16 << 20
"""Most bytes to read of a file with several video streams to tell covers from videos, if its header does not."""
PLAYLISTS = ((b"#EXTM3U", "an HLS playlist"), (b"ffconcat", "a concat script"), (b"v=0", "an SDP description"))


@dataclass(slots=True)
class OpenVideo:
    """An open container, its video stream and its clock. It must be closed."""

    path: VideoPath
    file: DiskFile | StoreFile
    container: av.container.InputContainer
    stream: av.video.VideoStream
    time_base: Fraction
    origin_s: float
    """The container's start time. Presentation times count from here."""

    @property
    def identity(self) -> FileIdentity:
        return self.file.identity

    def seconds(self, ticks: int) -> float:
        return ticks * self.time_base.numerator / self.time_base.denominator - self.origin_s

    def ticks(self, seconds: float) -> int:
        return round((seconds + self.origin_s) / self.time_base)

    def check_disk(self) -> None:
        """Raises VideoError if reading stopped because the disk failed: FFmpeg takes that for the end, or damage."""
        self.file.check()

    def close(self) -> None:
        self.container.close()
        self.file.close()


def open_video(path: VideoPath, options: ReadOptions, skip_loop_filter: bool = False) -> OpenVideo:
    """Opens `path` and chooses its video stream. Raises VideoError, whose kind says what is wrong with the file.

    `skip_loop_filter`: decode faster with small errors. For key frames only: in other frames the errors add up.
    """
    file = open_file(path)
    try:
        container = _open_container(path, file, options)
        try:
            stream = _video_stream(path, container, options)
            _check_limits(path, container, stream, file.identity, options)
            context = stream.codec_context
            context.thread_type = "NONE"
            context.thread_count = 1
            context.options = {"max_pixels": str(most_pixels(options))}
            if skip_loop_filter:
                context.options |= {"skip_loop_filter": "all"}
            for other in container.streams:
                if other is not stream:
                    other.discard = av.stream.Discard.all
            time_base = fraction(stream.time_base) if stream.time_base else Fraction(1, av.time_base)
            origin = container.start_time
            origin_s = origin / av.time_base if origin is not None else float((stream.start_time or 0) * time_base)
            return OpenVideo(path, file, container, stream, time_base, origin_s)
        except BaseException:
            container.close()
            raise
    except BaseException:
        file.close()
        raise


def fraction(ratio: Any) -> Fraction:
    """Returns a ratio of PyAV as a Fraction, which it is, or from PyAV 19 on a type of its own."""
    return Fraction(ratio.numerator, ratio.denominator)


def _open_container(path: VideoPath, file: DiskFile | StoreFile, options: ReadOptions) -> av.container.InputContainer:
    file.check()
    av_options = {
        "format_whitelist": f"{VIDEO_FORMATS},{AUDIO_FORMATS}",
        "max_pixels": str(most_pixels(options)),
        "threads": "1",
        "skip_loop_filter": "all",  # of what FFmpeg decodes to learn the format; our decoders have own options
    }
    head = file.head(4096)
    named = NAMED_FORMATS.get(path.suffix.lower())
    try:
        media, way = file.media()
        container = av.open(media, options=av_options | way, **METADATA)
        if container.streams.video or not named:
            return container
        container.close()
    except (av.error.FFmpegError, OSError) as error:
        check_memory(error)
        file.check()
        if not named:
            raise _why_not_open(path, head, error) from None
    try:
        media, way = file.media()
        return av.open(media, format=named, options=av_options | way, **METADATA)
    except (av.error.FFmpegError, OSError) as error:
        check_memory(error)
        file.check()
        raise _why_not_open(path, head, error) from None


def _why_not_open(path: VideoPath, head: bytes, error: Exception) -> VideoError:
    for start, name in PLAYLISTS:
        if head.lstrip().startswith(start):
            return VideoError(f"{path}: is {name}, not a video", "give the files that it names", "not_a_video")
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return VideoError(
            f"{path}: MP4/MOV without a readable index (moov)", "was the recording or download cut short?", "truncated"
        )
    if head[:4] in (b"RIFF", b"\x1aE\xdf\xa3", b"OggS", b"FLV\x01"):
        return VideoError(f"{path}: cut short or damaged: {_reason(error)}", kind="truncated")
    return VideoError(f"{path}: not a video in a known format: {_reason(error)}", kind="not_a_video")


def is_animated_webp(video: OpenVideo) -> bool:
    head = video.file.head(21)
    return head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and bool(head[20] & 2)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def check_memory(error: Exception) -> None:
    """Raises MemoryError if FFmpeg ran out of memory: that is not damage, which decoding can skip."""
    if getattr(error, "errno", None) == errno.ENOMEM:
        raise MemoryError from error


def most_pixels(options: ReadOptions) -> int:
    return options.max_side_px**2 // 2


def refused_size(path: VideoPath, options: ReadOptions) -> str | None:
    """Returns the picture size for which FFmpeg refused a file that does not decode. Only its log tells the size."""
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture() as logs, contextlib.suppress(av.error.FFmpegError, OSError):
            video = open_video(path, options)
            try:
                next(iter(video.container.decode(video.stream)), None)
            finally:
                video.close()
    finally:
        av.logging.set_level(None)
    found = re.search(r"Picture size (\d+)x(\d+) is invalid", " ".join(text for _, _, text in logs))
    return f"{found[1]} x {found[2]}" if found else None


def _video_stream(
    path: VideoPath, container: av.container.InputContainer, options: ReadOptions
) -> av.video.VideoStream:
    pictures = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
    streams = [s for s in container.streams.video if not s.disposition & pictures]
    count = len(streams) + len(container.streams.audio)  # a film may carry a hundred fonts and subtitles
    if count > options.max_streams:
        raise VideoError(f"{path}: {count} video and audio streams, more than {options.max_streams}", kind="too_large")
    if not streams:
        kinds = ", ".join(sorted({s.type for s in container.streams})) or "none"
        raise VideoError(f"{path}: no video stream (streams: {kinds})", kind="no_video_stream")
    known = [s for s in streams if s.codec_context is not None]
    if not known:
        raise VideoError(f"{path}: no decoder for its video codec", kind="unsupported_codec")
    default = av.stream.Disposition.default
    known.sort(key=lambda s: (bool(s.disposition & default), s.width * s.height), reverse=True)
    return known[0] if len(known) == 1 else _first_of_many_frames(path, known, options)


def _first_of_many_frames(
    path: VideoPath, streams: list[av.video.VideoStream], options: ReadOptions
) -> av.video.VideoStream:
    """Returns the first stream with more than one frame, if there is one: the others may be covers without a mark."""
    frames = {s.index: s.frames or int(_tag(s, "NUMBER_OF_FRAMES") or 0) for s in streams}
    if frames[streams[0].index] <= 1:
        file = open_file(path)  # opened again, so that the first container keeps its position
        try:
            with _open_container(path, file, options) as container:
                _count(container, frames, streams[0].index)
        finally:
            file.close()
    return next((s for s in streams if frames[s.index] > 1), streams[0])


def _count(container: av.container.InputContainer, frames: dict[int, int], preferred: int) -> None:
    """Counts the packets of streams whose header gives no number of frames, as far as needed."""
    unknown = [index for index, count in frames.items() if not count and index < len(container.streams)]
    if not unknown:
        return
    read_bytes = 0
    with contextlib.suppress(av.error.FFmpegError, OSError):
        for packet in container.demux([container.streams[index] for index in unknown]):
            frames[packet.stream_index] += packet.size > 0
            read_bytes += packet.size
            if frames[preferred] > 1 or read_bytes > COVER_BYTES:
                break


def _tag(stream: av.video.VideoStream, name: str) -> str | None:
    """Returns a tag of the stream if it is a number. A language may follow the tag's name."""
    tags = (value for key, value in stream.metadata.items() if key.split("-")[0] == name and value.isdecimal())
    return next(tags, None)


def _check_limits(
    path: VideoPath,
    container: av.container.InputContainer,
    stream: av.video.VideoStream,
    identity: FileIdentity,
    options: ReadOptions,
) -> None:
    if max(stream.width, stream.height) > options.max_side_px:
        raise VideoError(
            f"{path}: claims {stream.width} x {stream.height} px, more than {options.max_side_px}", kind="too_large"
        )
    if stream.frames > identity.size_bytes:
        raise VideoError(f"{path}: claims {stream.frames} frames in {identity.size_bytes} bytes", kind="too_large")
    if container.duration is not None and container.duration / av.time_base > options.max_duration_s:
        raise VideoError(
            f"{path}: claims to last {container.duration / av.time_base:.0f} s, more than {options.max_duration_s:.0f}",
            kind="too_large",
        )
