"""Decodes planned frames with decord: exact frames of H.264, HEVC, VP8, VP9 and MPEG-4 files.

decord bundles FFmpeg 4.1 and cannot read AV1. In open GOPs it gives frames the times of others (measured: frame 25 as
23). Unless told not to, it replaces a lost frame by another. On damaged files it can hang for ever while it holds the
interpreter lock. So it only gets files with an index and closed GOPs, in a worker that can be killed, and fault_tol=1:
a lost frame then ends the video with an error instead of a picture of another moment.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from nsnet_cli.errors import VideoError
from nsnet_cli.media import FrameBatch, PreviewPlan, ReadOptions
from nsnet_cli.video.container import open_video
from nsnet_cli.video.hdr import is_hdr
from nsnet_cli.video.opened import Stored, VideoPath
from nsnet_cli.video.packets import sized_packets
from nsnet_cli.video.probe import Probe
from nsnet_cli.video.scaling import JPEG_QUALITY
from nsnet_cli.video.source import BATCH_FRAMES, Tally

CODECS = ("h264", "hevc", "vp9", "vp8", "mpeg4")
CONTAINERS = ("mov", "matroska", "avi")


def why_not(probe: Probe) -> str | None:
    """Returns why decord must not read this video, or None if it may."""
    info = probe.info
    if info.codec not in CODECS:
        return f"decord does not decode {info.codec}"
    if info.container not in CONTAINERS or not probe.indexed:
        return f"decord needs an index, which this {info.container} file does not have"
    if info.rotation_deg or probe.sample_aspect not in (None, Fraction(1)):
        return "decord mixes up rotation and pixel aspect"
    if probe.key_times_s and probe.key_times_s[0] < probe.start_s:
        return "decord ignores an edit list that begins after a key frame"
    if probe.first_frame is not None and is_hdr(probe.first_frame):
        return "decord does not convert HDR pictures, which leaves them too grey to recognise"
    try:
        import decord  # noqa: F401
    except ImportError:
        return "decord is not installed"
    return None


def has_open_gops(path: VideoPath, options: ReadOptions) -> bool:
    """Whether frames stored after a key frame are shown before it. Reads the whole file's packets."""
    video = open_video(path, options)
    try:
        key: int | None = None
        for packet in sized_packets(video):
            if packet.is_keyframe:
                key = packet.pts
            elif key is not None and packet.pts is not None and packet.pts < key:
                return True
        return False
    finally:
        video.close()


def read_frames(
    path: VideoPath, probe: Probe, plan: PreviewPlan, options: ReadOptions, tally: Tally
) -> Iterator[FrameBatch]:
    """Yields frames as pyav_source.read_frames does. The tally lacks frames that decord decodes on the way."""
    if isinstance(path, Stored):
        raise VideoError(
            f"{path}: decord reads only files on a disk", "use --decoder pyav or auto", "unsupported_codec"
        )
    problem = why_not(probe) or (has_open_gops(path, options) and "decord mixes up frames in open GOPs")
    if problem:
        raise VideoError(f"{path}: {problem}", "use --decoder pyav or auto", "unsupported_codec")
    import decord

    width, height = _scaled_size(probe.info.width_px, probe.info.height_px, options)
    fd = os.open(path, os.O_RDONLY)
    try:
        # so that any name works, and none is taken for a protocol
        name = f"/proc/self/fd/{fd}" if Path("/proc/self/fd").is_dir() else str(path)
        reader = decord.VideoReader(name, width=width, height=height, num_threads=options.threads, fault_tol=1)
        # decord counts from the first frame, whatever the container says.
        times_s = probe.start_s + reader.get_frame_timestamp(np.arange(len(reader)))[:, 0].astype(np.float64)
        wanted = np.unique([_nearest(times_s, frame.pts_s) for frame in plan.frames])
        for start in range(0, len(wanted), BATCH_FRAMES):
            part = wanted[start : start + BATCH_FRAMES]
            frames = reader.get_batch(part).asnumpy()
            tally.frames_decoded += len(part)
            jpegs = tuple(_jpeg(frame, options.jpeg_side_px) for frame in frames) if options.jpegs else ()
            yield FrameBatch(np.stack([_centre(frame, options.size_px) for frame in frames]), times_s[part], jpegs)
    except decord.DECORDError as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise VideoError(f"{path}: decord: {lines[0][:200]}", "use --decoder pyav", "unreadable") from None
    finally:
        os.close(fd)


def _scaled_size(width: int, height: int, options: ReadOptions) -> tuple[int, int]:
    """Returns the frame size at which the centred square of `crop` times the shorter side measures `size_px`."""
    scale = options.size_px / (options.crop * min(width, height))
    return max(options.size_px, round(width * scale)), max(options.size_px, round(height * scale))


def _nearest(times_s: np.ndarray, time_s: float) -> int:
    after = int(np.searchsorted(times_s, time_s))
    if after == 0:
        return 0
    if after == len(times_s) or time_s - times_s[after - 1] <= times_s[after] - time_s:
        return after - 1
    return after


def _centre(frame: np.ndarray, size: int) -> np.ndarray:
    top, left = (frame.shape[0] - size) // 2, (frame.shape[1] - size) // 2
    return frame[top : top + size, left : left + size]


def _jpeg(frame: np.ndarray, side: int) -> bytes:
    from PIL import Image

    image = Image.fromarray(frame)
    image.thumbnail((side, side))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=JPEG_QUALITY)
    return out.getvalue()
