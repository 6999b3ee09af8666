"""The salient frames as JPEG files, named by video and time: `clip.mp4` at 12.4 s -> `clip.mp4.00012.400s.jpg`."""

from __future__ import annotations

from nsnet_cli.types import VideoResult


def thumbnail_suffix(pts_s: float) -> str:
    """The suffix after the video's name. Padded: sorted names are in time order for up to 27 hours."""
    return f".{pts_s:09.3f}s.jpg"


def thumbnail_suffixes(result: VideoResult) -> list[str]:
    """The suffixes of a result's thumbnails; needs no pictures."""
    return [thumbnail_suffix(frame.pts_s) for frame in result.salient_frames]


def thumbnails(result: VideoResult) -> list[tuple[str, bytes]]:
    """(suffix, JPEG) of each salient frame in time order. Empty unless the video was read with `jpegs`."""
    if not result.jpegs:
        return []
    return [
        (thumbnail_suffix(frame.pts_s), jpeg)
        for frame, jpeg in zip(result.frames, result.jpegs, strict=True)
        if frame.chosen
    ]
