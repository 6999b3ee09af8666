"""WebVTT: cues that say when a tag was seen, and a sprite sheet of thumbnails as web players expect it."""

from __future__ import annotations

import io
import math
import os
from urllib.parse import quote

from nsnet_cli.outputs.owner import NOTE
from nsnet_cli.outputs.words import LEAST_KEYWORD_SCORE, spans
from nsnet_cli.text import harmless
from nsnet_cli.types import Tag, VideoResult

HEAD = f"WEBVTT\n\nNOTE {NOTE}\n\n"
TILE_PX = 160
"""Longest side of a thumbnail on the sprite sheet."""
COLUMNS = 10
HALF_CUE_S = 1.0
"""Half the length of a cue if the preview frames are not known."""


def to_vtt(result: VideoResult) -> str:
    """The tag cues of a video. A cue covers the preview frames that are evidence for the tag; neighbours are joined.

    Leaves out tags below LEAST_KEYWORD_SCORE.
    """
    tags = [tag for tag in result.tags if tag.score >= LEAST_KEYWORD_SCORE]
    cues = [(start, end, tag) for tag in tags for start, end in seen(result, tag)]
    cues.sort(key=lambda cue: (cue[0], -cue[2].score))
    blocks = [f"{_stamp(start)} --> {_stamp(end)}\n{_escape(tag.name)} ({tag.score:.2f})" for start, end, tag in cues]
    return HEAD + "".join(block + "\n\n" for block in blocks)


def seen(result: VideoResult, tag: Tag) -> list[tuple[float, float]]:
    """When `tag` was seen: (start_s, end_s) in time order, never overlapping, never empty."""
    times, parts = [f.pts_s for f in result.frames], spans(result)
    found = []
    for item in tag.evidence:
        if times:
            start, end = parts[min(range(len(times)), key=lambda i: abs(times[i] - item.pts_s))]
        else:
            start, end = max(item.pts_s - HALF_CUE_S, 0.0), item.pts_s + HALF_CUE_S
        found.append((start, max(end, start + 0.001)))
    joined: list[tuple[float, float]] = []
    for start, end in sorted(found):
        if joined and start <= joined[-1][1] + 1e-6:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def sprite(result: VideoResult) -> tuple[bytes, list[tuple[int, int, int, int]]]:
    """One JPEG with all preview frames, and the (x, y, width, height) of each on it, in pixels."""
    from PIL import Image

    images = [Image.open(io.BytesIO(jpeg)) for jpeg in result.jpegs]
    for image in images:
        image.draft("RGB", (TILE_PX, TILE_PX))  # decodes at a smaller size if the JPEG allows it
        image.thumbnail((TILE_PX, TILE_PX), Image.Resampling.LANCZOS)
    width, height = max(i.width for i in images), max(i.height for i in images)
    columns = min(COLUMNS, len(images))
    sheet = Image.new("RGB", (columns * width, math.ceil(len(images) / columns) * height))
    tiles = []
    for place, image in enumerate(images):
        x, y = place % columns * width, place // columns * height
        sheet.paste(image.convert("RGB"), (x, y))
        tiles.append((x, y, image.width, image.height))
    out = io.BytesIO()
    sheet.save(out, "JPEG", quality=80)
    return out.getvalue(), tiles


def thumbnail_cues(result: VideoResult, tiles: list[tuple[int, int, int, int]], url: str) -> str:
    """One cue per preview frame, from half way to its neighbours: `clip.mp4.sprite.jpg#xywh=160,90,160,90`."""
    blocks = [
        f"{_stamp(start)} --> {_stamp(max(end, start + 0.001))}\n{quote(os.fsencode(url))}#xywh={x},{y},{w},{h}\n\n"
        for (start, end), (x, y, w, h) in zip(spans(result), tiles, strict=True)
    ]
    return HEAD + "".join(blocks)


def _stamp(seconds: float) -> str:
    """HH:MM:SS.mmm; hours have as many digits as they need."""
    ms = round(max(seconds, 0.0) * 1000)
    hours, ms = divmod(ms, 3_600_000)
    minutes, ms = divmod(ms, 60_000)
    return f"{hours:02d}:{minutes:02d}:{ms // 1000:02d}.{ms % 1000:03d}"


def _escape(text: str) -> str:
    """Cue text: '&' and '<' start markup, '-->' would start a cue, a line break would end it."""
    return harmless(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
