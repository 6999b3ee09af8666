"""Stretches of frames with known answers, rendered from photos and footage and degraded.

A sampler trained on "a clean photo inside surveillance footage" learns to separate photos from cameras. So both sides
go through the same camera: the same crops, sizes, blur, noise, colour and compression, drawn independently of the side
(`degrade`). Rendering is expensive and done once per stretch; splice.py then makes sequences of every length from the
stretches' features.
"""

from __future__ import annotations

import io
import math
import random
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from nsnet_cli.video.container import METADATA

VIDEO_SUFFIXES = {".mp4", ".mkv", ".mov", ".avi", ".webm"}
SIDES_PX = (120, 144, 180, 240, 240, 240, 288)


def clip_frames(path: Path, limit: int = 240, side_px: int = 480) -> tuple[list[Image.Image], float]:
    """Frames of a clip, evenly thinned while decoding, and their rate (1/s).

    There are at most `limit` frames, with a shorter side of at most `side_px`.
    """
    with av.open(str(path), **METADATA) as container:
        stream = container.streams.video[0]
        rate = float(stream.average_rate or 25)
        length = float(container.duration or 0) / av.time_base * rate
        step = max(1, math.ceil(length / limit), round(rate / 12))
        frames = []
        for index, frame in enumerate(container.decode(stream)):
            if index % step == 0:
                image = frame.to_image()
                scale = side_px / min(image.size)
                if scale < 1:
                    image = image.resize(
                        (round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR
                    )
                frames.append(image)
            if len(frames) >= limit:
                break
    return frames, rate / step


def square(image: Image.Image, side: float, x: float, y: float, out_px: int) -> Image.Image:
    """A square of `side` px, scaled to `out_px`. x, y in [0, 1] place it: 0 is left or top, 1 is right or bottom."""
    left, top = (image.width - side) * x, (image.height - side) * y
    return image.resize((out_px, out_px), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))


def pan(
    images: Sequence[Image.Image], rng: random.Random, out_px: int, zoom: tuple[float, float], drift: float = 1.0
) -> list[Image.Image]:
    """A pan and zoom over `images` (one per frame): the square moves from one random place and size to another."""
    side = min(images[0].size)
    start, end = rng.uniform(*zoom), rng.uniform(*zoom)
    here = (rng.random(), rng.random())
    there = tuple(a + (rng.random() - a) * drift for a in here)
    flip = rng.random() < 0.5
    frames = []
    for index, image in enumerate(images):
        mix = index / max(1, len(images) - 1)
        x, y = (a + (b - a) * mix for a, b in zip(here, there, strict=True))
        frame = square(image, side * (start + (end - start) * mix), x, y, out_px)
        frames.append(frame.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip else frame)
    return frames


def photo_stretch(photo: Image.Image, count: int, rng: random.Random) -> list[Image.Image]:
    """`count` frames of a stretch that shows the photo: whole, letterboxed, or in front of its own blur."""
    out_px, layout = rng.choice(SIDES_PX), rng.random()
    frames = pan([photo] * count, rng, out_px, rng.choice([(0.8, 1.0), (0.8, 1.0), (0.6, 1.0)]), rng.choice([0.3, 1.0]))
    if layout < 0.75:
        return frames
    inner, wide = rng.uniform(0.6, 0.95), rng.random() < 0.5
    box = (round(out_px * (1 if wide else inner)), round(out_px * inner))
    behind = Image.new("RGB", (out_px, out_px), (rng.choice([0, 0, 0, 255, rng.randrange(256)]),) * 3)
    if rng.random() < 0.5:
        behind = frames[0].filter(ImageFilter.GaussianBlur(out_px / 12))
    corner = ((out_px - box[0]) // 2, (out_px - box[1]) // 2)
    pasted = []
    for frame in frames:
        canvas = behind.copy()
        top = (out_px - box[1]) // 2 if wide else 0  # a wide picture is cropped to keep its proportions
        canvas.paste(
            frame.crop((0, top, out_px, top + box[1])) if wide else frame.resize(box, Image.Resampling.BILINEAR), corner
        )
        pasted.append(canvas)
    return pasted


def clip_stretch(clip: tuple[Sequence[Image.Image], float], count: int, rng: random.Random) -> list[Image.Image]:
    """`count` frames of a stretch of footage, 0.2 to 1.2 s apart, played back and forth where the clip is too short."""
    frames, rate = clip
    step = max(1.0, rate * rng.uniform(0.2, 1.2))
    first = rng.uniform(0, max(1, len(frames)))
    period = max(1, 2 * len(frames) - 2)
    order = [round(first + step * i) % period for i in range(count)]
    picked = [frames[i if i < len(frames) else period - i] for i in order]
    zoom = rng.choice([(0.95, 1.0), (0.8, 1.0), (0.5, 1.0)])
    return pan(picked, rng, rng.choice(SIDES_PX), zoom, rng.choice([0.0, 0.0, 0.3]))


def scrap_stretch(photo: Image.Image, count: int, rng: random.Random) -> list[Image.Image]:
    """Frames of a small corner of a photo: photographic quality, mostly without an object.

    They keep "sharp photo" from meaning "salient".
    """
    side = min(photo.size) * rng.uniform(0.18, 0.35)
    x, y = rng.choice([0.0, 1.0, rng.random()]), rng.choice([0.0, 1.0])
    if rng.random() < 0.5:
        x, y = y, x
    corner = square(photo, side, x, y, 336)
    return pan([corner] * count, rng, rng.choice(SIDES_PX), (0.8, 1.0))


def slate_stretch(count: int, rng: random.Random) -> list[Image.Image]:
    """Black, plain or graded frames and titles, as between the shots of any edited video."""
    side = rng.choice(SIDES_PX)
    rng.random()  # decides nothing any more, but without it every later draw would change
    dark, light = (np.array([rng.randrange(256) for _ in range(3)]) for _ in range(2))
    if rng.random() < 0.4:
        dark = light = np.array([rng.choice([0, 0, 10, 255])] * 3)
    ramp = np.linspace(0, 1, side)[:, None, None]
    image = Image.fromarray(np.broadcast_to(dark * (1 - ramp) + light * ramp, (side, side, 3)).astype(np.uint8))
    if rng.random() < 0.6:
        draw = ImageDraw.Draw(image)
        for line in range(rng.randint(1, 6)):
            text = "".join(rng.choice("abcdefghij klmnopqrstuvwxyz  ETAOIN") for _ in range(rng.randint(4, 18)))
            place = (side * rng.uniform(0.02, 0.3), side * (0.1 + 0.14 * line))
            draw.text(place, text, fill=(rng.choice([0, 255]),) * 3, font_size=round(side * rng.uniform(0.06, 0.12)))
    return [image] * count


def degrade(frames: list[Image.Image], rng: random.Random) -> list[Image.Image]:
    """What cameras, editors and encoders do, drawn once per stretch. Takes and returns squares of one size."""
    if rng.random() < 0.6:
        colour, light, contrast = (
            rng.choice([1, 1, rng.uniform(0.0, 1.6)]),
            rng.uniform(0.65, 1.3),
            rng.uniform(0.7, 1.3),
        )
        frames = [ImageEnhance.Color(f).enhance(colour) for f in frames]
        frames = [ImageEnhance.Contrast(ImageEnhance.Brightness(f).enhance(light)).enhance(contrast) for f in frames]
    side = frames[0].width
    if rng.random() < 0.25:
        small = round(side * rng.uniform(0.3, 0.7))
        frames = [
            f.resize((small, small), Image.Resampling.BILINEAR).resize((side, side), Image.Resampling.BILINEAR)
            for f in frames
        ]
    if rng.random() < 0.25:
        radius = side / 240 * rng.uniform(0.3, 1.6)
        frames = [f.filter(ImageFilter.GaussianBlur(radius)) for f in frames]
    if rng.random() < 0.3:
        noise, level = np.random.default_rng(rng.randrange(2**32)), rng.uniform(2, 16)
        grain = noise.integers(
            -round(level), round(level) + 1, (side + 16, side + 16, 3), dtype=np.int16
        )  # one sheet, shifted
        shifts = [(rng.randrange(16), rng.randrange(16)) for _ in frames]
        frames = [
            Image.fromarray(
                np.clip(np.asarray(f, np.int16) + grain[y : y + side, x : x + side], 0, 255).astype(np.uint8)
            )
            for f, (x, y) in zip(frames, shifts, strict=True)
        ]
    kind = rng.random()
    if kind < 0.7:
        return h264_round_trip(frames, crf=rng.randint(20, 38))
    return [jpeg_round_trip(f, quality=rng.randint(15, 95)) for f in frames] if kind < 0.85 else frames


def h264_round_trip(frames: list[Image.Image], crf: int) -> list[Image.Image]:
    """Encodes with libx264 and decodes again. Frames are squares of even side."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as container:
        stream = container.add_stream(
            "libx264", rate=12, options={"preset": "ultrafast", "crf": str(crf), "threads": "1"}
        )
        stream.width, stream.height, stream.pix_fmt = *frames[0].size, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_image(frame)))
        container.mux(stream.encode())
    buffer.seek(0)
    with av.open(buffer, "r") as container:
        return [frame.to_image() for frame in container.decode(video=0)]


def jpeg_round_trip(frame: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    frame.save(buffer, "JPEG", quality=quality)
    return Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")


def pixels(frames: Sequence[Image.Image], size_px: int, crop: float = 0.875) -> np.ndarray:
    """The recogniser's input: the centred square of crop * shorter side, bicubic. (N, S, S, 3) uint8."""
    out = []
    for frame in frames:
        side = min(frame.size) * crop
        left, top = (frame.width - side) / 2, (frame.height - side) / 2
        box = (left, top, left + side, top + side)
        out.append(np.asarray(frame.resize((size_px, size_px), Image.Resampling.BICUBIC, box=box), dtype=np.uint8))
    return np.stack(out)
