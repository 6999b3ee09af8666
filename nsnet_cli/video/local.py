"""A VideoReader that reads in this process; decode processes use it too.

A frame source is a function `read_frames(path, probe, plan, options, tally) -> Iterator[FrameBatch]`. It decodes a
plan's frames in any order and never gives a frame another frame's time. It counts decoded and lost frames.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import av.error
import numpy as np

from nsnet_cli.errors import VideoError
from nsnet_cli.media import (
    DecodeReport,
    FrameBatch,
    InputSpec,
    PlannedFrame,
    PreviewPlan,
    ReadOptions,
)
from nsnet_cli.storage.urls import Place
from nsnet_cli.video.opened import Stored, VideoPath, stored
from nsnet_cli.video.plan import plan_preview
from nsnet_cli.video.probe import Probe, probe_video
from nsnet_cli.video.reader import Closing
from nsnet_cli.video.source import Tally
from nsnet_cli.video.views import view_times

FrameSource = Callable[[VideoPath, Probe, PreviewPlan, ReadOptions, Tally], Iterator[FrameBatch]]


class LocalReader(Closing):
    """Reads a video in this process, without a deadline and without protection from crashes of a codec."""

    report: DecodeReport

    def __init__(self, path: Place | Stored, options: ReadOptions) -> None:
        """Probes and plans. Raises VideoError (kind as in errors.VIDEO_ERROR_KINDS)."""
        started = time.perf_counter()
        self.path, self.options = stored(path), options
        with told_as_video_errors(self.path):
            self.probe = probe_video(self.path, options)
        probe = self.probe
        self.info = probe.info
        self.plan = plan_preview(probe.key_times_s, probe.start_s, probe.end_s, probe.info.fps, options, probe.cuts_s)
        self._tally, self._given = Tally(), set[float]()
        self._working_s = time.perf_counter() - started

    def preview(self) -> Iterator[FrameBatch]:
        with told_as_video_errors(self.path):
            yield from self._frames(self.plan)
        if not self._given:
            raise VideoError(
                f"{self.path}: none of its frames could be decoded", "it is damaged or cut short", "no_frames"
            )

    def more(self, frames: Sequence[PlannedFrame]) -> Iterator[FrameBatch]:
        with told_as_video_errors(self.path):
            yield from self._frames(replace(self.plan, frames=tuple(frames)))

    def _frames(self, plan: PreviewPlan) -> Iterator[FrameBatch]:
        """Yields the plan's frames, none that was given before, and then renews the report."""
        name, read_frames = _source(self.options.decoder)
        batches = read_frames(self.path, self.probe, plan, self.options, self._tally)
        while True:
            started = time.perf_counter()
            batch = next(batches, None)
            self._working_s += time.perf_counter() - started
            if batch is None:
                break
            if len(new := self._new(batch)):
                yield new
        self._check_unchanged()
        self.report = DecodeReport(name, self._tally.frames_decoded, self._tally.frames_lost, self._working_s)

    def _new(self, batch: FrameBatch) -> FrameBatch:
        """Returns the frames that were not given before: one frame can be the nearest to two planned times."""
        new = [n for n, pts_s in enumerate(batch.pts_s.tolist()) if pts_s not in self._given]
        self._given.update(batch.pts_s.tolist())
        if len(new) == len(batch):
            return batch
        return FrameBatch(batch.pixels[new], batch.pts_s[new], tuple(batch.jpegs[n] for n in new if batch.jpegs))

    def views(self, at_s: Sequence[float] | np.ndarray, spec: InputSpec) -> FrameBatch:
        with told_as_video_errors(self.path):
            return self._views(view_times(np.asarray(at_s, float), spec, self.probe.start_s, self.probe.end_s), spec)

    def _views(self, times_s: np.ndarray, spec: InputSpec) -> FrameBatch:
        plan = PreviewPlan("views", tuple(PlannedFrame(float(t), key=False) for t in np.unique(times_s)))
        options = replace(
            self.options, size_px=spec.size_px, crop=spec.crop, interpolation=spec.interpolation, jpegs=False
        )
        tally = Tally()
        batches = list(_source(options.decoder)[1](self.path, self.probe, plan, options, tally))
        self._check_unchanged()
        if not batches:
            raise VideoError(f"{self.path}: no frame near {times_s.flat[0]:.1f} s could be decoded", kind="no_frames")
        pts_s = np.concatenate([batch.pts_s for batch in batches])
        pixels = np.concatenate([batch.pixels for batch in batches])
        nearest = np.abs(pts_s[None, None, :] - times_s[:, :, None]).argmin(-1)  # (K, F)
        return FrameBatch(pixels[nearest], pts_s[nearest], frames_decoded=tally.frames_decoded)

    def _check_unchanged(self) -> None:
        if self.probe.file_changed():
            raise VideoError(f"{self.path}: changed while it was read", "tag it again when it is complete", "changed")

    def close(self) -> None:
        """Lets the bytes of a video in a store go. No file stays open between calls."""
        if isinstance(self.path, Stored):
            self.path.bytes.close()


@contextmanager
def told_as_video_errors(path: VideoPath) -> Iterator[None]:
    """Turns errors of disk, FFmpeg and memory into VideoErrors. Any other error is a bug of ours and passes."""
    try:
        yield
    except MemoryError:
        raise VideoError(f"{path}: decoding needs more memory than there is", kind="out_of_memory") from None
    except (av.error.FFmpegError, OSError) as error:
        reason = error.strerror or str(error)
        raise VideoError(f"{path}: cannot be read: {reason}", "it may be damaged", "unreadable") from None


def _source(decoder: str) -> tuple[str, FrameSource]:
    """Returns the name and the function of the frame source for a decoder option.

    `auto` is PyAV for every video. By measurement it is faster on key frames and on filled gaps. Only PyAV reads AV1
    and files without an index, and damaged files cannot hang it. decord is used only on request.
    """
    if decoder == "decord":
        from nsnet_cli.video import decord_source

        return "decord", decord_source.read_frames
    from nsnet_cli.video import pyav_source

    return "pyav", pyav_source.read_frames
