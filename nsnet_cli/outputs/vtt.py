"""WebVTT: cues that say when a tag was seen, and a sprite sheet of thumbnails as web players expect it."""

from __future__ import annotations

import io
import math
import os
from urllib.parse import quote

from nsnet_cli.outputs.owner import NOTE
from nsnet_cli.outputs.shown import certain, percent
from nsnet_cli.outputs.words import covered
from nsnet_cli.text import harmless
from nsnet_cli.types import VideoResult

HEAD = f"WEBVTT\n\nNOTE {NOTE}\n\n"
TILE_PX = 160
"""Longest side of a thumbnail on the sprite sheet."""
COLUMNS = 10


def to_vtt(result: VideoResult) -> str:
    """The tag cues of a video: one cue per span of a certain tag, in order of time. Cues of two tags may overlap."""
    cues = [(span, tag) for tag in certain(result) for span in tag.spans]
    cues.sort(key=lambda cue: (cue[0].start_s, -cue[0].probability))
    blocks = [
        f"{_timing(span.start_s, span.end_s)}\n{_escape(tag.name)} ({percent(span.probability)})\n\n"
        for span, tag in cues
    ]
    return HEAD + "".join(blocks)


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
    """Returns one cue per preview frame, from half way to its neighbours: `clip.mp4.sprite.jpg#xywh=160,90,160,90`."""
    blocks = [
        f"{_timing(start, end)}\n{quote(os.fsencode(url))}#xywh={x},{y},{w},{h}\n\n"
        for (start, end), (x, y, w, h) in zip(covered(result), tiles, strict=True)
    ]
    return HEAD + "".join(blocks)


def _timing(start_s: float, end_s: float) -> str:
    """The timing of a cue, at least 1 ms long: players drop a cue that ends at once."""
    start_ms, end_ms = round(max(start_s, 0.0) * 1000), round(end_s * 1000)
    return f"{_stamp(start_ms)} --> {_stamp(max(end_ms, start_ms + 1))}"


def _stamp(ms: int) -> str:
    """HH:MM:SS.mmm; hours have as many digits as they need."""
    hours, ms = divmod(ms, 3_600_000)
    minutes, ms = divmod(ms, 60_000)
    return f"{hours:02d}:{minutes:02d}:{ms // 1000:02d}.{ms % 1000:03d}"


def _escape(text: str) -> str:
    """Cue text: '&' and '<' start markup, '-->' would start a cue, a line break would end it."""
    return harmless(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
