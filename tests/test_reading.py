"""Read options follow the checkpoint: the recogniser's size, crop and interpolation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import write_video
from PIL import Image

from nsnet_cli.media import FrameBatch
from nsnet_cli.reading import read_options
from nsnet_cli.types import TagOptions
from nsnet_cli.video import read_video
from nsnet_cli.weights.checkpoint import resolve_checkpoint


def pixels(path: Path, interpolation: Any, side: int) -> np.ndarray:
    """The first preview frame as a network with this interpolation sees it."""
    found = resolve_checkpoint("imagenet-lite")
    network = replace(found.recogniser.network, interpolation=interpolation, crop=1.0)
    checkpoint = replace(found, recogniser=replace(found.recogniser, network=network, size_px=side))
    options = read_options(checkpoint, TagOptions(), jpegs=False, threads=1)
    assert options.interpolation == interpolation
    return next(item.pixels[0] for item in read_video(path, options) if isinstance(item, FrameBatch)).astype(float)


@pytest.mark.parametrize(
    ("interpolation", "filter_"),
    [("area", Image.Resampling.BOX), ("bilinear", Image.Resampling.BILINEAR), ("bicubic", Image.Resampling.BICUBIC)],
)
def test_the_interpolation_of_the_row_is_used(interpolation: str, filter_: Any, tmp_path: Path) -> None:
    """Of Pillow's three, the picture with the same name is nearest. Stripes of one pixel show the difference."""
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, (240, 240, 1), dtype=np.uint8).repeat(3, 2)
    path = write_video(tmp_path / "v.mp4", [grey] * 10, options={"qp": "0"})
    found = pixels(path, interpolation, 80)
    away = {
        name: np.abs(found - np.asarray(Image.fromarray(grey).resize((80, 80), kind), float)).mean()
        for name, kind in (
            ("area", Image.Resampling.BOX),
            ("bilinear", Image.Resampling.BILINEAR),
            ("bicubic", Image.Resampling.BICUBIC),
        )
    }
    assert min(away, key=away.__getitem__) == interpolation, away
    assert away[interpolation] < 8
