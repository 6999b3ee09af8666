"""The contact sheet: one JPEG per video with large recognised frames, the saliency curve, small preview frames."""

from __future__ import annotations

import io
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from nsnet_cli.outputs.shown import headline, is_dim
from nsnet_cli.outputs.words import axis_ticks, clock, duration_s, facts
from nsnet_cli.text import harmless
from nsnet_cli.types import VideoResult

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

WIDTH_PX = 1280
MARGIN_PX = 40
GAP_PX = 12
CURVE_PX = 120
MOST_SALIENT = 12
"""Most recognised frames shown large. The others are framed in the small grid."""
MOST_SMALL = 60
PAPER, INK, SOFT, LINE, SALIENT, AREA = "#faf9f6", "#1d1e20", "#5c5f66", "#e3e0d8", "#08735a", "#d3e3dc"


def contact_sheet(result: VideoResult, quality: int = 85) -> bytes:
    """The sheet as JPEG bytes, WIDTH_PX wide. Without `result.jpegs` it has only the words and the curve."""
    from PIL import Image, ImageDraw

    sheet = Image.new("RGB", (WIDTH_PX, 20_000), PAPER)
    draw = ImageDraw.Draw(sheet)
    y = _head(draw, result)
    if result.frames:
        images = [Image.open(io.BytesIO(jpeg)).convert("RGB") for jpeg in result.jpegs]
        if images:
            y = _salient(sheet, draw, result, images, y)
        y = _curve(sheet, draw, result, y)
        if images:
            y = _all_frames(sheet, draw, result, images, y)
    out = io.BytesIO()
    sheet.crop((0, 0, WIDTH_PX, y + MARGIN_PX - GAP_PX)).save(out, "JPEG", quality=quality)
    return out.getvalue()


@cache
def font(size_px: int, bold: bool = False) -> FreeTypeFont | ImageFont:
    """DejaVu Sans from matplotlib's files, found without importing it. It has the letters of most scripts."""
    from PIL import ImageFont

    spec = find_spec("matplotlib")
    if spec is not None and spec.origin is not None:
        name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
        path = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / name
        if path.exists():
            return ImageFont.truetype(str(path), size_px)
    return ImageFont.load_default(size_px)


def _head(draw: ImageDraw, result: VideoResult) -> int:
    y = MARGIN_PX - 8
    draw.text((MARGIN_PX, y), _fit(draw, harmless(Path(result.path).name), 30, True), INK, font(30, True))
    draw.text((MARGIN_PX, y + 42), _fit(draw, "  ·  ".join(facts(result)), 17, False), SOFT, font(17))
    if result.error is not None:
        words = f"{result.error.kind}: {harmless(result.error.message)}"
    else:
        words = "     ".join(headline(result, spans_width=22))
    color = SOFT if is_dim(result) else SALIENT
    draw.text((MARGIN_PX, y + 72), _fit(draw, words or "no tag", 20, True), color, font(20, True))
    return y + 72 + 28 + GAP_PX


def _fit(draw: ImageDraw, text: str, size_px: int, bold: bool) -> str:
    """`text`, cut at the end to fit between the margins."""
    room, face = WIDTH_PX - 2 * MARGIN_PX, font(size_px, bold)
    if draw.textlength(text, face) <= room:
        return text
    while text and draw.textlength(text + "…", face) > room:
        text = text[:-1]
    return text + "…"


def _salient(sheet: Image, draw: ImageDraw, result: VideoResult, images: list[Image], y: int) -> int:
    chosen = [i for i, f in enumerate(result.frames) if f.chosen][:MOST_SALIENT]
    if not chosen:
        return y
    count = min(len(chosen), 4)
    width = (WIDTH_PX - 2 * MARGIN_PX - (count - 1) * GAP_PX) // max(count, 3)
    height = _tallest([images[i] for i in chosen], width)
    for place, i in enumerate(chosen):
        column, row = place % count, place // count
        x, top = MARGIN_PX + column * (width + GAP_PX), y + row * (height + 34)
        box = _paste(sheet, images[i], x, top, width, height)
        draw.rectangle(box, outline=SALIENT, width=3)
        _caption(draw, result, i, x, top + height + 5, 16)
    return y + -(-len(chosen) // count) * (height + 34) + 4


def _all_frames(sheet: Image, draw: ImageDraw, result: VideoResult, images: list[Image], y: int) -> int:
    """Draws every preview frame small, suppressed ones pale. Beyond MOST_SMALL, leaves out some suppressed ones."""
    step = -(-len(images) // MOST_SMALL)
    shown = [i for i in range(len(images)) if i % step == 0 or result.frames[i].chosen]
    count = 10 if len(shown) > 24 else 8
    width = (WIDTH_PX - 2 * MARGIN_PX - (count - 1) * GAP_PX) // count
    height = _tallest([images[i] for i in shown], width)
    for place, i in enumerate(shown):
        x = MARGIN_PX + place % count * (width + GAP_PX)
        top = y + place // count * (height + 26)
        box = _paste(sheet, images[i], x, top, width, height, pale=not result.frames[i].chosen)
        if result.frames[i].chosen:
            draw.rectangle(box, outline=SALIENT, width=3)
        _caption(draw, result, i, x, top + height + 3, 12, width)
    return y + -(-len(shown) // count) * (height + 26)


def _tallest(images: list[Image], width: int) -> int:
    """Height of a row of pictures that are `width` wide. Portrait pictures are limited to a square."""
    return min(max(round(width * image.height / image.width) for image in images), width)


def _paste(
    sheet: Image, image: Image, x: int, y: int, width: int, height: int, pale: bool = False
) -> tuple[int, int, int, int]:
    from PIL import Image as Pillow
    from PIL import ImageOps

    small = ImageOps.contain(image, (width, height), Pillow.Resampling.LANCZOS)
    if pale:
        grey = ImageOps.grayscale(small).convert("RGB")
        small = Pillow.blend(grey, Pillow.new("RGB", small.size, PAPER), 0.35)
    left, top = x + (width - small.width) // 2, y + (height - small.height) // 2
    sheet.paste(small, (left, top))
    return left, top, left + small.width - 1, top + small.height - 1


def _caption(draw: ImageDraw, result: VideoResult, index: int, x: int, y: int, size_px: int, width: int = 0) -> None:
    frame = result.frames[index]
    text, score = clock(frame.pts_s), f"{frame.saliency:.2f}"
    if width:  # small: time on the left, saliency on the right
        draw.text((x, y), text, SOFT, font(size_px))
        draw.text((x + width - draw.textlength(score, font(size_px)), y), score, SOFT, font(size_px))
    else:
        draw.text((x, y), f"{text}   saliency {score}", INK, font(size_px))


def _curve(sheet: Image, draw: ImageDraw, result: VideoResult, y: int) -> int:
    """Draws saliency over time, with a dot at each recognised frame and a tick at every preview frame."""
    end_s, width = duration_s(result), WIDTH_PX - 2 * MARGIN_PX
    draw.text((MARGIN_PX, y - 6), "saliency", SOFT, font(14))
    picture = _smooth_curve(result, end_s)
    sheet.paste(picture, (0, y + 12))
    bottom = y + 12 + picture.height
    for tick in axis_ticks(end_s, 10):
        text = clock(tick, 0 if tick == int(tick) else 1)
        length = draw.textlength(text, font(14))
        x = min(max(MARGIN_PX + width * tick / end_s - length / 2, MARGIN_PX), MARGIN_PX + width - length)
        draw.text((x, bottom + 2), text, SOFT, font(14))
    return bottom + 36


def _smooth_curve(result: VideoResult, end_s: float, scale: int = 3) -> Image:
    """The band with the curve, drawn `scale` times larger and then reduced: Pillow draws jagged lines."""
    from PIL import Image, ImageDraw

    band = Image.new("RGB", (WIDTH_PX * scale, (CURVE_PX + 18) * scale), PAPER)
    draw = ImageDraw.Draw(band)
    left, right, bottom = MARGIN_PX * scale, (WIDTH_PX - MARGIN_PX) * scale, (CURVE_PX + 10) * scale

    def at(pts_s: float, saliency: float) -> tuple[float, float]:
        return left + (right - left) * pts_s / end_s, bottom - CURVE_PX * scale * min(max(saliency, 0.0), 1.0)

    points = [at(f.pts_s, f.saliency) for f in result.frames]
    points = [(left, points[0][1]), *points, (right, points[-1][1])]
    draw.polygon([(left, bottom), *points, (right, bottom)], fill=AREA)
    draw.line(points, fill=SALIENT, width=2 * scale, joint="curve")
    draw.line([(left, bottom), (right, bottom)], fill=LINE, width=scale)
    for frame in result.frames:
        x, height = at(frame.pts_s, frame.saliency)
        draw.line([(x, bottom), (x, bottom + 6 * scale)], fill=SOFT, width=scale)
        if frame.chosen:
            r = 7 * scale
            draw.ellipse([x - r, height - r, x + r, height + r], fill=SALIENT, outline=PAPER, width=2 * scale)
    return band.resize((WIDTH_PX, band.height // scale), Image.Resampling.LANCZOS)
