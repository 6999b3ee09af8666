"""Embeds a picture, a clip or one frame of it, through the networks that embedded the library."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nsnet_cli.errors import UsageError, VideoError
from nsnet_cli.media import InputSpec, ReadOptions
from nsnet_cli.nets.auto import Workload
from nsnet_cli.nets.build import build_engine
from nsnet_cli.reading import preview_view
from nsnet_cli.records import dataclass
from nsnet_cli.sniffing import SNIFF_BYTES, sniff
from nsnet_cli.tagger import Tagger
from nsnet_cli.types import TagOptions
from nsnet_cli.video.pool import DecodePool
from nsnet_cli.weights.checkpoint import Checkpoint, resolve_checkpoint
from nsnet_cli.weights.projection import load_projection

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

PICTURES = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
"""What Pillow may read: its other readers see little use, and a picture may be a stranger's."""
MOST_PIXELS = 200_000_000
TELLING = 0.5
"""Of a clip, the salient frames count that say at least this share of what the most telling one says."""


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What to look for."""

    features: np.ndarray
    """(Q, D) embeddings; a frame is as good as the most alike of them says."""
    projection: str
    """How they were reduced, as in the index."""
    text: bool = False
    """Whether it is text. It has a place of its own among embeddings, so the library's mean is not taken off it."""


def embed(what: str, checkpoint: str = "imagenet-lite", device: str = "auto") -> Question:
    """Embeds what `--like` names: a picture, a clip, or a frame of one as in clip.mp4@12.5.

    Of a clip, the most telling salient frames count.

    Raises:
        UsageError: There is no such file, or it is neither picture nor video.
        VideoError: The clip cannot be read.
    """
    path, at_s = split(what)
    chosen = resolve_checkpoint(checkpoint)
    if at_s is None and _is_video(path):
        return _of_clip(path, chosen, device)
    engine = build_engine(chosen, device, Workload(1, 1, 0))
    spec = preview_view(chosen)
    pixels = picture(path, spec) if at_s is None else frame(path, at_s, spec)
    engine.load()
    features, _ = engine.preview(pixels[None])
    projection = load_projection(chosen, engine.widths[0])
    return _question(projection.reduced(features), projection.identity)


def split(what: str) -> tuple[Path, float | None]:
    """Returns path and time of 'clip.mp4@12.5'. A file whose own name ends so is meant itself."""
    name, at, time = what.rpartition("@")
    if not at or os.path.lexists(what):
        at_s = None
    else:
        try:
            at_s = float(time)
        except ValueError:
            at_s, name = None, what
        if at_s is not None and not (math.isfinite(at_s) and at_s >= 0):
            raise UsageError(f"--like {what!r}: {time!r} is no time", "give seconds, as in clip.mp4@12.5")
    path = Path(what if at_s is None else name)
    if not path.is_file():
        raise UsageError(f"--like {what!r}: there is no file {path}", "give a picture, a clip, or clip.mp4@12.5")
    return path, at_s


def picture(path: Path, spec: InputSpec) -> np.ndarray:
    """Reads a picture as the networks see frames: (S, S, 3) uint8. Raises UsageError."""
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings(), Image.open(path, formats=PICTURES) as image:
            warnings.simplefilter("ignore")
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(f"it has {image.width} x {image.height} pixels")
            image.draft("RGB", (2 * spec.size_px, 2 * spec.size_px))
            upright = ImageOps.exif_transpose(image)
            opaque = _opaque(upright)
            side = spec.crop * min(opaque.size)
            left, top = (opaque.width - side) / 2, (opaque.height - side) / 2
            box = (left, top, left + side, top + side)
            size = (spec.size_px, spec.size_px)
            return np.asarray(opaque.resize(size, Image.Resampling.BICUBIC, box=box, reducing_gap=3.0))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, MemoryError) as error:
        reason = (
            error.strerror if isinstance(error, OSError) and error.strerror else "it is no picture that can be read"
        )
        message = f"--like {str(path)!r}: {str(error) if isinstance(error, ValueError) else reason}"
        raise UsageError(message, "give a JPEG, PNG or WebP, or a video") from error


def frame(path: Path, at_s: float, spec: InputSpec) -> np.ndarray:
    """The frame of a video nearest to a time, (S, S, 3) uint8. Raises VideoError."""
    with DecodePool() as pool:
        return next(frames(pool, path, [at_s], spec))


def frames(pool: DecodePool, path: Path, at_s: list[float], spec: InputSpec) -> Iterator[np.ndarray]:
    """Yields the frames of a video nearest to some times, (S, S, 3) uint8 each. Raises VideoError."""
    options = ReadOptions.of(spec, max_frames=1, min_frames=1, even=True)
    with pool.open(path, options) as reader:
        for _ in reader.preview():  # one frame: views are given after it
            pass
        yield from reader.views(at_s, spec).pixels[:, 0]


def _of_clip(path: Path, checkpoint: Checkpoint, device: str) -> Question:
    from nsnet_cli.outputs.kept_results import unpack

    options = TagOptions(frames=checkpoint.frames, preview=checkpoint.preview_frames, precision=0.0)
    tagger = Tagger.from_checkpoint(checkpoint, options, device=device, keep=True, videos=1)
    with DecodePool() as pool:
        kept = unpack(tagger.tag(path, open=pool.open).kept or b"")
    if kept.features is None or kept.projection is None:
        raise VideoError(f"{path}: the preview network did not look at it")
    telling = kept.weights >= TELLING * kept.weights.max()
    return _question(kept.features[kept.chosen[telling]], kept.projection)


def _question(features: np.ndarray, projection: str) -> Question:
    return Question(features.astype(np.float32), f"{projection}-{features.shape[1]}")


def _is_video(path: Path) -> bool:
    with path.open("rb") as file:
        return sniff(file.read(SNIFF_BYTES)) not in (None, "gif")


def _opaque(image: Picture) -> Picture:
    """Three colours; what is see-through becomes white, as viewers show it."""
    from PIL import Image

    if "A" not in image.getbands() and "transparency" not in image.info:
        return image.convert("RGB")
    whole = image.convert("RGBA")
    paper = Image.new("RGBA", whole.size, "white")
    return Image.alpha_composite(paper, whole).convert("RGB")
