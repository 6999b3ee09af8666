"""No network runs twice on the same picture, and every frame gets the answer for what it shows."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import noise, write_video

from nsnet_cli.previewing import LOOK_FRAMES, Looking, distinct
from nsnet_cli.stages import Looked
from nsnet_cli.tagger import Tagger


def pictures(shades: Sequence[int]) -> np.ndarray:
    """(N, 4, 4, 3) uint8: one even grey per frame."""
    return np.repeat(np.array(shades, np.uint8), 48).reshape(-1, 4, 4, 3)


def looked_at(batches: Sequence[Sequence[int]]) -> tuple[list[int], list[int], Looking]:
    """The shades that the network saw, and the answer for each frame."""
    seen: list[int] = []

    def look(pixels: np.ndarray) -> Looked:
        assert len(pixels) <= LOOK_FRAMES
        shades = pixels[:, 0, 0, :1].astype(np.float32)
        seen.extend(shades[:, 0].astype(int).tolist())
        return Looked(shades, -shades, 0.5)

    with ThreadPoolExecutor(1) as lanes:
        looking = Looking(lanes, look)
        for batch in batches:
            looking.add(pictures(batch))
        found = looking.result()
    assert (found.features == -found.logits).all()
    return seen, found.features[:, 0].astype(int).tolist(), looking


@pytest.mark.parametrize(
    ("batches", "seen"),
    [
        ([[5, 5, 5], [5, 5]], [5]),
        ([[1, 2, 2, 3], [3, 3, 1]], [1, 2, 3]),
        ([[1, 1, 1, 1], [2, 2, 2, 2], [1, 1, 1, 1], [2, 2, 2, 2]], [1, 2]),
        ([list(range(12)), [11, *range(12, 30)]], list(range(30))),
    ],
)
def test_a_frame_that_equals_an_earlier_one_is_not_looked_at_again(batches: list[list[int]], seen: list[int]) -> None:
    shown, answers, looking = looked_at(batches)
    assert shown == seen and looking.different == len(seen)
    assert answers == [shade for batch in batches for shade in batch]


def test_views_are_told_apart() -> None:
    views = pictures([7, 3, 7, 7, 9, 3])
    kinds, place = distinct(views)
    assert kinds.tolist() == [0, 1, 4]
    np.testing.assert_array_equal(views[kinds][place], views)


def test_a_still_video_costs_one_look(tagger: Tagger, tmp_path: Path) -> None:
    picture = noise(1)[0]
    still = tagger.tag(write_video(tmp_path / "still.mp4", [picture] * 60, options={"crf": "0"}))
    moving = tagger.tag(write_video(tmp_path / "moving.mp4", noise(60)))
    assert still.sampling and moving.sampling and still.cost and moving.cost
    assert still.sampling.preview_frames == moving.sampling.preview_frames == 24
    assert moving.cost.gflops - still.cost.gflops == pytest.approx(23 * tagger.engine.cost.preview)
    assert len({frame.tag for frame in still.frames}) == 1
