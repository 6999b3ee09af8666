"""Video in: `open_video(path, options)` gives a VideoReader, `DecodePool` the same in processes that can be killed.

Imports nothing at first: `nsnet tag` starts a decode process before there was time for more.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nsnet_cli.media import DecodeReport, FrameBatch, ReadOptions, VideoHeader
    from nsnet_cli.video.reader import VideoReader

__all__ = ["open_video", "read_video"]


def open_video(path: Path, options: ReadOptions) -> VideoReader:
    """One video, probed and planned, to be read in this process. Raises VideoError."""
    from nsnet_cli.video.reader import LocalReader

    return LocalReader(path, options)


def read_video(path: Path, options: ReadOptions) -> Iterator[VideoHeader | FrameBatch | DecodeReport]:
    """All of a video's preview in one pass: its header, its batches, its report. Raises VideoError."""
    from nsnet_cli.media import VideoHeader

    with open_video(path, options) as reader:
        yield VideoHeader(reader.info, reader.plan)
        yield from reader.preview()
        yield reader.report
