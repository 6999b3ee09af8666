"""What is made of hits: clips by stream copy, and a page with a picture of each. Only the hits' videos are opened."""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nsnet_cli.errors import VideoError
from nsnet_cli.index.hits import Hit, hit_figure, hit_when, hit_words
from nsnet_cli.media import InputSpec
from nsnet_cli.moments.cut import Cut, cut
from nsnet_cli.outputs.page import render
from nsnet_cli.outputs.words import relative_url
from nsnet_cli.progress import progress
from nsnet_cli.records import dataclass
from nsnet_cli.text import harmless
from nsnet_cli.video.pool import DecodePool

LEAST_CLIP_S = 2.0
"""A shorter hit is cut out with some of what is around it."""
PICTURE = InputSpec(size_px=320, crop=1.0, interpolation="bicubic", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
"""The whole height of a frame, and its middle."""
JPEG_QUALITY = 80
INDEX = "index.html"
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Clipped:
    """A hit and the clip that was cut for it; None if its video cannot be read."""

    hit: Hit
    clip: Cut | None


def clips(hits: Sequence[Hit], folder: Path, pool: DecodePool) -> Iterator[Clipped]:
    """Cuts each hit out of its video. A video that cannot be read is told and costs its own hits only.

    Raises OutputError if the folder cannot be written.
    """
    with progress("cut", len(hits), "clips") as bar:
        for hit in hits:
            short_s = max(0.0, LEAST_CLIP_S - (hit.end_s - hit.start_s)) / 2
            try:
                clip = cut(Path(hit.source), max(0.0, hit.start_s - short_s), hit.end_s + short_s, folder, pool=pool)
                yield Clipped(hit, clip)
            except VideoError as error:
                log.error("%s", error)
                yield Clipped(hit, None)
            bar.advance()


def pictures(hits: Sequence[Hit], pool: DecodePool) -> list[bytes | None]:
    """A JPEG of each hit; None where its video cannot be read, which is told."""
    from nsnet_cli.index.question import frames

    found: list[bytes | None] = [None] * len(hits)
    of_video: dict[str, list[int]] = {}
    for n, hit in enumerate(hits):
        of_video.setdefault(hit.source, []).append(n)
    with progress("picture", len(hits), "hits") as bar:
        for source, numbers in of_video.items():
            try:
                views = frames(pool, Path(source), [hits[n].at_s for n in numbers], PICTURE)
                for n, pixels in zip(numbers, views, strict=True):
                    found[n] = _jpeg(pixels)
            except VideoError as error:
                log.warning("no picture: %s", error)
            bar.advance(len(numbers))
    return found


def page(question: str, hits: Sequence[Hit], jpegs: Sequence[bytes | None], made: Sequence[Clipped], at: Path) -> str:
    """The page as text. `at` is its folder; `made` are the clips, if there are any, one per hit."""
    cards = [_card(hit, jpeg, at) for hit, jpeg in zip(hits, jpegs, strict=True)]
    for card, clipped in zip(cards, made, strict=False):
        if clipped.clip is not None:
            card["url"] = relative_url(str(clipped.clip.path), at)
    return render("hits", "data:", ["play"], question=harmless(question), cards=cards)


def _card(hit: Hit, jpeg: bytes | None, at: Path) -> dict[str, Any]:
    return {
        "picture": None if jpeg is None else "data:image/jpeg;base64," + base64.b64encode(jpeg).decode(),
        "url": f"{relative_url(hit.source, at)}#t={hit.start_s:.3f},{max(hit.end_s, hit.start_s + 0.1):.3f}",
        "name": harmless(Path(hit.path).name),
        "path": harmless(hit.path),
        "when": hit_when(hit),
        "words": hit_words(hit) or "alike",
        "figure": hit_figure(hit),
        "certain": hit.certain or hit.similarity is not None,
    }


def _jpeg(pixels: Any) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=JPEG_QUALITY)
    return out.getvalue()
