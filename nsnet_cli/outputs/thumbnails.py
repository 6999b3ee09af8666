"""The salient frames as JPEG files, named by video and time: `clip.mp4` at 12.4 s -> `clip.mp4.00012.400s.jpg`."""

from __future__ import annotations

from nsnet_cli.types import VideoResult


def thumbnail_suffix(pts_s: float) -> str:
    """What is put after the video's name. Padded, so that sorting by name is sorting by time up to 27 hours."""
    return f".{pts_s:09.3f}s.jpg"


def thumbnail_suffixes(result: VideoResult) -> list[str]:
    """The names that a result's thumbnails have, without the pictures at hand."""
    return [thumbnail_suffix(frame.pts_s) for frame in result.salient_frames]


def thumbnails(result: VideoResult) -> list[tuple[str, bytes]]:
    """(suffix, JPEG) of each salient frame, in order of time. Empty unless the video was read with `jpegs`."""
    if not result.jpegs:
        return []
    return [
        (thumbnail_suffix(frame.pts_s), jpeg)
        for frame, jpeg in zip(result.frames, result.jpegs, strict=True)
        if frame.chosen
    ]
