"""VideoResults made by hand, with small real JPEGs, for the tests of the views."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from nsnet_cli.media import VideoInfo
from nsnet_cli.outputs.formats import FORMATS
from nsnet_cli.outputs.index import ReportWriter
from nsnet_cli.types import (
    Cost,
    ErrorInfo,
    Evidence,
    FrameScore,
    ModelInfo,
    SalientFrame,
    SamplingInfo,
    Span,
    Tag,
    Timings,
    VideoResult,
)

NASTY = "a<b>&\"'|]]> --> </script><!-- \u202e.mp4"
"""A name that tries to break out of every kind of text."""


def jpeg(number: int, size: tuple[int, int] = (320, 180)) -> bytes:
    image = Image.new("RGB", size, (number * 37 % 256, number * 91 % 256, 120))
    ImageDraw.Draw(image).text((10, 10), str(number), "white")
    out = io.BytesIO()
    image.save(out, "JPEG", quality=70)
    return out.getvalue()


def sample(
    path: str = "clips/clip.mp4",
    *,
    count: int = 30,
    duration_s: float = 30.0,
    peak_s: float = 10.0,
    tags: tuple[tuple[str, float], ...] = (("tabby", 0.83), ("tiger cat", 0.07)),
    jpegs: bool = True,
    size: tuple[int, int] = (320, 180),
    certain: int = 1,
) -> VideoResult:
    """A video with one salient stretch of about 4 s around `peak_s`; the four frames nearest to it are chosen.

    The first `certain` tags are certain and seen while the video is salient; the others are guesses.
    """
    times = [(i + 0.5) * duration_s / count for i in range(count)]
    saliency = [0.03 + 0.95 * math.exp(-(((t - peak_s) / 2) ** 2)) for t in times]
    best = set(sorted(range(count), key=lambda i: -saliency[i])[:4])
    frames = tuple(
        FrameScore(t, s, i in best, min(s * 1.02, 1.0), math.sqrt(s), 0.5 * s + 0.2, "tabby" if i in best else "street")
        for i, (t, s) in enumerate(zip(times, saliency, strict=True))
    )
    chosen = [f for f in frames if f.chosen]
    evidence = tuple(Evidence(f.pts_s, f.saliency, 0.9 - 0.01 * k) for k, f in enumerate(chosen[:3]))
    step_s = duration_s / count
    span = Span(max(chosen[0].pts_s - step_s / 2, 0.0), min(chosen[-1].pts_s + step_s / 2, duration_s), 0.95)

    def tag(i: int, name: str, score: float) -> Tag:
        if i >= certain:
            return Tag(f"n{i:08d}", name, score, evidence, score, parents=("cat", "mammal", "animal"))
        return Tag(f"n{i:08d}", name, score, evidence, 0.95, True, ("cat", "mammal", "animal"), (span,))

    return VideoResult(
        path=path,
        status="ok",
        duration_s=duration_s,
        tags=tuple(tag(i, *named) for i, named in enumerate(tags)),
        salient_frames=tuple(SalientFrame(f.pts_s, f.saliency) for f in chosen),
        sampling=SamplingInfo("nsnet", "keys+fill", count, len(chosen), interval_s=step_s if count > 1 else None),
        model=ModelInfo("imagenet-lite", "0123456789abcdef"),
        cost=Cost(count, 0, 7.4, 26.1),
        timings=Timings(0.21, 0.06, 0.01, 0.04, 0.33),
        frames=frames,
        info=VideoInfo(path, "mov,mp4", "h264", 640, 360, 0, duration_s, 25.0, 5),
        jpegs=tuple(jpeg(i, size) for i in range(count)) if jpegs else (),
        precision=0.8,
    )


def uncertain(path: str = "clips/street.mp4", perhaps: str | None = "wheeled vehicle", **options: Any) -> VideoResult:
    """Nothing is certain: a likely guess, one that is not worth showing, and what is perhaps there."""
    result = sample(path, tags=(("mountain bike", 0.4), ("tabby", 0.1)), certain=0, **options)
    over = Tag("n04576211", perhaps, 0.6, result.tags[0].evidence, 0.6) if perhaps else None
    return replace(result, perhaps=over)


def uncalibrated(path: str = "clips/own.mp4", **options: Any) -> VideoResult:
    """As from a checkpoint without a calibration, or from version 0.1: scores only."""
    result = sample(path, certain=0, **options)
    tags = tuple(Tag(tag.id, tag.name, tag.score, tag.evidence) for tag in result.tags)
    return replace(result, tags=tags, precision=None)


def of_clips(path: str = "clips/skating.mp4", **options: Any) -> VideoResult:
    """As a recogniser of clips leaves it: evidence and salient frames say from when to when each clip lasts."""
    result = sample(path, **options)

    def clip(seen: Any) -> Any:
        return replace(seen, start_s=max(0.0, seen.pts_s - 1), end_s=seen.pts_s + 1)

    tags = tuple(replace(tag, evidence=tuple(map(clip, tag.evidence))) for tag in result.tags)
    salient = tuple(map(clip, result.salient_frames))
    return replace(result, tags=tags, salient_frames=salient, perhaps=tags[0])


def unscored(path: str = "clip.mp4") -> VideoResult:
    """As the policy `uniform` leaves it: no FSM, no VGM, no confidence, every frame chosen."""
    result = sample(path, count=4)
    frames = tuple(FrameScore(f.pts_s, 1.0, True) for f in result.frames)
    assert result.sampling is not None
    return replace(result, frames=frames, sampling=replace(result.sampling, policy="uniform", plan="even"))


def failure(path: str = "clips/broken.mp4") -> VideoResult:
    return VideoResult(path, "error", error=ErrorInfo("truncated", f"{path} ends after 12 of 640 kB (copy it again)"))


def write_report(folder: Path, results: Iterable[VideoResult]) -> None:
    """Writes the report page over all results. It is finished even if they end early, as by an interrupt."""
    with closing(ReportWriter(folder)) as writer:
        for result in results:
            writer.add(result)


def write_beside(format: str, result: VideoResult, base: Path) -> list[Path]:
    """The files of a format beside `base`, in the order in which they were written."""
    written = []

    def put(ending: str, data: bytes) -> str:
        written.append(base.with_name(base.name + ending))
        written[-1].write_bytes(data)
        return written[-1].name

    FORMATS[format].write_beside(result, put)
    return written
