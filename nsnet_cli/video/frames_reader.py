"""A VideoReader of a folder of extracted frames: `image_00001.jpg`, `img_00001.jpg` and the like.

Such a folder knows no times. A frame's number is its place, and frames are taken to be 1 / FRAMES_PER_S apart. Whoever
knows how long the video is can correct all times by one factor, so nothing that is kept depends on it.
Every frame can be decoded alone, so the preview takes them evenly, whatever the rate.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np

from nsnet_cli.errors import VideoError
from nsnet_cli.media import DecodeReport, FrameBatch, InputSpec, PlannedFrame, PreviewPlan, ReadOptions, VideoInfo
from nsnet_cli.video.container import check_memory, most_pixels
from nsnet_cli.video.extracted import frame_files
from nsnet_cli.video.reader import Closing
from nsnet_cli.video.scaling import Scaler
from nsnet_cli.video.source import BATCH_FRAMES
from nsnet_cli.video.views import view_times

FRAMES_PER_S = 25.0
"""The rate that is assumed."""
CODECS = {".jpg": "mjpeg", ".jpeg": "mjpeg", ".png": "png"}


class FramesReader(Closing):
    """A VideoReader of a folder of extracted frames."""

    report: DecodeReport

    def __init__(self, folder: Path, options: ReadOptions) -> None:
        """Lists the frames, opens the first and plans. Raises VideoError."""
        self.folder, self.options = folder, options
        files = frame_files(folder)
        first = files[0][0]
        self._files = {number - first: path for number, path in files}
        self._numbers = sorted(self._files)  # a lost frame leaves a hole in time
        count = self._numbers[-1] + 1
        shape = self._decode(0)
        self.info = VideoInfo(
            path=str(folder),
            container="frames",
            codec=CODECS[files[0][1].suffix.lower()],
            width_px=shape.width,
            height_px=shape.height,
            rotation_deg=0,
            duration_s=count / FRAMES_PER_S,
            fps=FRAMES_PER_S,
            key_frames=len(files),
        )
        self._planned = self._evenly(options.max_frames)
        frames = tuple(PlannedFrame(n / FRAMES_PER_S, key=True) for n in self._planned)
        self.plan = PreviewPlan("all" if len(frames) == len(files) else "even", frames)

    def _evenly(self, most: int) -> list[int]:
        """Returns at most that many numbers, each the middle of an equal part."""
        have = len(self._numbers)
        if have <= most:
            return self._numbers
        return [self._numbers[(2 * i + 1) * have // (2 * most)] for i in range(most)]

    def more(self, frames: Sequence[PlannedFrame]) -> Iterator[FrameBatch]:
        """Yields nothing: its plan leaves no frame for later."""
        return iter(())

    def preview(self) -> Iterator[FrameBatch]:
        lost, working_s, options = 0, 0.0, self.options
        for start in range(0, len(self._planned), BATCH_FRAMES):
            started = time.perf_counter()
            batch, bad = self._batch(self._planned[start : start + BATCH_FRAMES], options)
            lost += bad
            working_s += time.perf_counter() - started
            if batch is not None:
                yield batch
        if lost == len(self._planned):
            raise VideoError(f"{self.folder}: none of its frames could be decoded", kind="no_frames")
        self.report = DecodeReport("frames", len(self._planned) - lost, lost, working_s)

    def _batch(self, numbers: Sequence[int], options: ReadOptions) -> tuple[FrameBatch | None, int]:
        """Returns the frames that decode, and how many do not."""
        scaler = Scaler(options, Fraction(1))
        pixels, times, jpegs = [], [], []
        for number in numbers:
            try:
                frame = self._decode(number)
            except VideoError:
                continue
            pixels.append(scaler.square(frame))
            times.append(number / FRAMES_PER_S)
            if options.jpegs:
                jpegs.append(scaler.jpeg(frame))
        made = FrameBatch(np.stack(pixels), np.array(times), tuple(jpegs)) if pixels else None
        return made, len(numbers) - len(pixels)

    def _decode(self, number: int) -> av.VideoFrame:
        path = self._files[number]
        try:
            codec: Any = av.CodecContext.create(CODECS[path.suffix.lower()], "r")
            codec.options = {"max_pixels": str(most_pixels(self.options))}
            frames = codec.decode(av.Packet(path.read_bytes())) + codec.decode(None)
        except (av.error.FFmpegError, OSError) as error:
            check_memory(error)
            reason = error.strerror or str(error)
            raise VideoError(f"{path}: cannot be read: {reason}", "it may be damaged", "unreadable") from None
        if not frames:
            raise VideoError(f"{path}: no picture in it", "it may be damaged", "no_frames")
        frame: av.VideoFrame = frames[0]
        return frame

    def views(self, at_s: Sequence[float] | np.ndarray, spec: InputSpec) -> FrameBatch:
        times_s = view_times(np.asarray(at_s, float), spec, 0.0, self.info.duration_s)  # (K, F)
        have_s = np.array(self._numbers) / FRAMES_PER_S
        nearest = np.abs(have_s[None, None, :] - times_s[:, :, None]).argmin(-1)  # (K, F)
        options = replace(
            self.options, size_px=spec.size_px, crop=spec.crop, interpolation=spec.interpolation, jpegs=False
        )
        wanted, place = np.unique(nearest, return_inverse=True)
        batch, bad = self._batch([self._numbers[i] for i in wanted], options)
        if batch is None or bad:
            raise VideoError(f"{self.folder}: a frame near {times_s.flat[0]:.1f} s cannot be decoded", kind="no_frames")
        place = place.reshape(nearest.shape)
        return FrameBatch(batch.pixels[place], batch.pts_s[place], frames_decoded=len(wanted))

    def close(self) -> None:
        """Does nothing: no file stays open between calls."""
