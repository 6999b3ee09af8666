"""Video in: `read_video(path, options)` gives one VideoHeader, FrameBatches, and one DecodeReport.

A frame source is a function `read_frames(path, probe, plan, options, tally) -> Iterator[FrameBatch]`: it decodes the
plan's frames (any order, batches of at most 32), never gives a frame under another frame's time, and counts
what it decoded and what it could not into the tally. pyav_source and decord_source have one each; `_source` picks.

Imports nothing at first: the room's `process` is started before there was time for more.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from nsnet_cli.types import DecodeReport, FrameBatch, PreviewPlan, ReadOptions, VideoHeader
    from nsnet_cli.video.probe import Probe
    from nsnet_cli.video.source import Tally

    FrameSource = Callable[[Path, Probe, PreviewPlan, ReadOptions, Tally], Iterator[FrameBatch]]

__all__ = ["read_video"]


def read_video(path: Path, options: ReadOptions) -> Iterator[VideoHeader | FrameBatch | DecodeReport]:
    """Probe, plan and decode one video in this process. Raises VideoError (kind as in errors.VIDEO_ERROR_KINDS).

    Other errors are mistakes of this program, and pass.

    pixels (N, size_px, size_px, 3) uint8 RGB, upright; pts_s counts from the container's start.
    `nsnet_cli.video.worker.DecodeWorker.read` is the same in a process that can be killed.
    """
    from pathlib import Path

    import av.error

    from nsnet_cli.errors import VideoError

    try:
        yield from _read(Path(path), options)
    except MemoryError:
        raise VideoError(f"{path}: decoding it needs more memory than there is", kind="out_of_memory") from None
    except (av.error.FFmpegError, OSError) as error:  # anything else is a mistake of ours, and no video's
        reason = error.strerror or str(error)
        raise VideoError(f"{path}: cannot be read: {reason}", "it may be damaged", "unreadable") from None


def _read(path: Path, options: ReadOptions) -> Iterator[VideoHeader | FrameBatch | DecodeReport]:
    import time

    from nsnet_cli.errors import VideoError
    from nsnet_cli.types import DecodeReport, VideoHeader
    from nsnet_cli.video.plan import plan_preview
    from nsnet_cli.video.probe import probe_video
    from nsnet_cli.video.source import Tally

    started = time.perf_counter()
    probe = probe_video(path, options)
    plan = plan_preview(probe.key_times_s, probe.start_s, probe.end_s, probe.info.fps, options)
    name, read_frames = _source(options.decoder)
    working_s = time.perf_counter() - started
    yield VideoHeader(probe.info, plan)
    tally, given = Tally(), 0
    batches = read_frames(path, probe, plan, options, tally)
    while True:
        started = time.perf_counter()
        batch = next(batches, None)
        working_s += time.perf_counter() - started
        if batch is None:
            break
        given += len(batch)
        yield batch
    if probe.file_changed():
        raise VideoError(f"{path}: changed while it was read", "tag it again when it is complete", "changed")
    if not given:
        raise VideoError(f"{path}: none of its frames could be decoded", "it is damaged or cut short", "no_frames")
    yield DecodeReport(name, tally.frames_decoded, tally.frames_lost, working_s)


def _source(decoder: str) -> tuple[str, FrameSource]:
    """The frame source for a decoder option.

    `auto` is PyAV for every video: measured, it is the faster one on key frames and on filled gaps, the only one for
    AV1 and for files without an index, and damaged files cannot hang it. decord has to be asked for.
    """
    if decoder == "decord":
        from nsnet_cli.video import decord_source

        return "decord", decord_source.read_frames
    from nsnet_cli.video import pyav_source

    return "pyav", pyav_source.read_frames
