"""An extractor of files that stand for videos: a frame's grey is the number in the file's name. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from readers import scripted

from nsnet_cli.labelled.features import Extractor, FeatureCache, headless
from nsnet_cli.labelled.mapped import MappedExtractor
from nsnet_cli.media import FrameBatch, PlannedFrame, PreviewPlan, VideoHeader, VideoInfo
from nsnet_cli.reading import read_options
from nsnet_cli.types import TagOptions
from nsnet_cli.weights.checkpoint import Checkpoint


class Zeros:
    """Networks whose features are the number in a video's name."""

    def preview(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return pixels[:, 0, 0, :1].astype(float) * np.ones(4), np.zeros((len(pixels), 3))

    recognise = preview


def read(path: Path, options: object) -> Iterator[object]:
    """Two frames whose grey is the number in the name."""
    info = VideoInfo(str(path), "mp4", "h264", 64, 64, 0, 10.0, 1.0, 10)
    yield VideoHeader(info, PreviewPlan("even", (PlannedFrame(0.0, True),)))
    yield FrameBatch(np.full((2, 8, 8, 3), int(path.stem), np.uint8), np.arange(2) / 2)


def extractor(base: Checkpoint, folder: Path, kind: type[Extractor] = MappedExtractor) -> Extractor:
    return kind(
        checkpoint=headless(base),
        read=read_options(base, TagOptions(preview=24), jpegs=False, threads=1),
        networks=Zeros,  # type: ignore[arg-type]
        open=scripted(read),  # type: ignore[arg-type]
        cache=FeatureCache(folder),
    )


def files(folder: Path, count: int) -> list[Path]:
    folder.mkdir()
    paths = [folder / f"{i}.mp4" for i in range(count)]
    for path in paths:
        path.write_text(path.name)
    return paths
