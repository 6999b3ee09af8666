"""Views and batches of frames check themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nsnet_cli.media import FrameBatch, InputSpec, ReadOptions

SPEC = InputSpec(224, 0.875, "bicubic", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size_px", 0),
        ("crop", 0.0),
        ("crop", 1.1),
        ("interpolation", "nearest"),
        ("mean", (0.5, 0.5)),
        ("mean", (0.5, float("nan"), 0.5)),
        ("std", (0.2, 0.0, 0.2)),
        ("frames", 0),
        ("stride_s", 1.0),
        ("stride_s", "random"),
        ("stride_s", float("nan")),
    ],
)
def test_an_impossible_input_names_its_field(field: str, value: Any):
    with pytest.raises(ValueError, match=f"^{field}: "):
        replace(SPEC, **{field: value})


def test_frames_of_a_clip_have_a_stride():
    with pytest.raises(ValueError, match=r"stride_s: 0\.0 is not above 0, as 16 frames need"):
        replace(SPEC, frames=16)
    assert replace(SPEC, frames=16, stride_s="spread").stride_s == "spread"
    assert replace(SPEC, frames=16, stride_s=0.16).frames == 16


def test_read_options_follow_the_input():
    options = ReadOptions.of(replace(SPEC, crop=0.95, interpolation="area"), max_frames=7, jpegs=True)
    assert options == ReadOptions(224, 0.95, "area", max_frames=7, jpegs=True)


@pytest.mark.parametrize("leading", [(5,), (3, 2)])
def test_a_batch_holds_frames_or_views(leading: tuple[int, ...]):
    batch = FrameBatch(np.zeros((*leading, 8, 8, 3), np.uint8), np.zeros(leading))
    assert len(batch) == leading[0]
    assert len(FrameBatch(batch.pixels, batch.pts_s, (b"jpeg",) * batch.pts_s.size).jpegs) == batch.pts_s.size


@pytest.mark.parametrize(
    ("pixels", "pts_s"),
    [
        (np.zeros((2, 8, 8, 3), np.uint8), np.zeros(3)),
        (np.zeros((2, 8, 9, 3), np.uint8), np.zeros(2)),
        (np.zeros((2, 8, 8, 4), np.uint8), np.zeros(2)),
        (np.zeros((2, 8, 8, 3), np.float32), np.zeros(2)),
        (np.zeros((2, 3, 8, 8, 3), np.uint8), np.zeros(2)),
        (np.zeros((1, 2, 3, 8, 8, 3), np.uint8), np.zeros((1, 2, 3))),
        (np.zeros((8, 8, 3), np.uint8), np.zeros(())),
    ],
)
def test_pixels_and_times_of_different_lengths_are_refused(pixels: np.ndarray, pts_s: np.ndarray):
    with pytest.raises(ValueError, match="pixels must be"):
        FrameBatch(pixels, pts_s)
    with pytest.raises(ValueError, match="3 jpegs for 2 frames"):
        FrameBatch(np.zeros((2, 8, 8, 3), np.uint8), np.zeros(2), (b"",) * 3)
