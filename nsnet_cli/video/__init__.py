"""Reads videos: `open_video(path, options)` in this process, `DecodePool` in processes that can be killed.

Both give a VideoReader. Imports nothing at first, so that `nsnet tag` can start a decode process early.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from nsnet_cli.media import DecodeReport, FrameBatch, ReadOptions, VideoHeader
    from nsnet_cli.storage.urls import Place
    from nsnet_cli.video.reader import VideoReader

__all__ = ["open_video", "read_video"]


def open_video(path: Place, options: ReadOptions) -> VideoReader:
    """Opens one video, or a folder of extracted frames, in this process, and plans its preview. Raises VideoError."""
    from pathlib import Path

    from nsnet_cli.video.extracted import is_frames_folder
    from nsnet_cli.video.local import LocalReader

    if isinstance(path, Path) and is_frames_folder(path):
        from nsnet_cli.video.frames_reader import FramesReader

        return FramesReader(path, options)
    return LocalReader(path, options)


def read_video(path: Place, options: ReadOptions) -> Iterator[VideoHeader | FrameBatch | DecodeReport]:
    """Yields a video's header, the batches of its preview, and its report. Raises VideoError."""
    from nsnet_cli.media import VideoHeader

    with open_video(path, options) as reader:
        yield VideoHeader(reader.info, reader.plan)
        yield from reader.preview()
        yield reader.report
