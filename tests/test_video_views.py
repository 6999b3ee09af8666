"""Views of an open video: the exact frames around given times, after the preview, here or in a decode process."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from readers import process_of
from video_files import make_video, number_of

from nsnet_cli.errors import VideoError
from nsnet_cli.media import InputSpec, ReadOptions
from nsnet_cli.video import open_video
from nsnet_cli.video.pool import DecodePool
from nsnet_cli.video.reader import VideoReader
from nsnet_cli.video.views import view_times

FPS = 25


def spec(frames: int = 1, stride_s: float | str = 0.0, size_px: int = 64) -> InputSpec:
    return InputSpec(size_px, 0.875, "bicubic", (0.5,) * 3, (0.5,) * 3, frames, stride_s)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("views") / "clip.mp4", frames=200)


@pytest.fixture(scope="module")
def pool() -> DecodePool:
    return DecodePool()


def numbers(video: VideoReader, at_s: list[float], what: InputSpec) -> list[list[int]]:
    """The numbers painted on the frames of each view."""
    views = video.views(at_s, what)
    assert views.pixels.shape == (len(at_s), what.frames, what.size_px, what.size_px, 3)
    assert views.pts_s.shape == (len(at_s), what.frames)
    found = [[number_of(frame) for frame in view] for view in views.pixels]
    assert np.allclose(views.pts_s * FPS, found, atol=0.01), "each frame stands under its own time"
    return found


@pytest.mark.parametrize("where", ["here", "in a process"])
def test_views_are_the_exact_frames(where: str, clip: Path, pool: DecodePool) -> None:
    options = ReadOptions(size_px=32)
    with open_video(clip, options) if where == "here" else pool.open(clip, options) as video:
        previewed = sum(len(batch) for batch in video.preview())
        assert previewed == len(video.plan)
        assert numbers(video, [0.0, 3.0, 1.4], spec()) == [[0], [75], [35]]
        assert numbers(video, [4.0], spec(5, 0.08)) == [[96, 98, 100, 102, 104]]
        assert numbers(video, [0.0, 8.0], spec(3, 0.4)) == [[0, 10, 20], [180, 190, 199]], "moved inside the video"
        assert numbers(video, [2.0], spec(2, 0.04, size_px=48)), "another size than the preview's"


def test_a_process_takes_the_next_video_after_views(clip: Path, pool: DecodePool, tmp_path: Path) -> None:
    other = make_video(tmp_path / "other.mp4", frames=60)
    for path in (clip, other, clip):
        with pool.open(path, ReadOptions(size_px=64)) as video:
            list(video.preview())
            before = process_of(pool)
            assert numbers(video, [1.0], spec()) == [[25]]
    assert process_of(pool) == before


def test_a_video_that_vanishes_after_its_preview_is_an_error(clip: Path, pool: DecodePool, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(clip.read_bytes())
    with pool.open(path, ReadOptions(size_px=64)) as video:
        list(video.preview())
        path.unlink()
        with pytest.raises(VideoError) as caught:
            video.views([1.0], spec())
    assert caught.value.kind in ("not_found", "changed")
    with pool.open(clip, ReadOptions(size_px=64)) as video:
        assert list(video.preview())


def test_a_process_that_dies_after_the_preview_costs_its_video(clip: Path, pool: DecodePool) -> None:
    with pool.open(clip, ReadOptions(size_px=64)) as video:
        list(video.preview())
        os.kill(pool.pids[0], signal.SIGKILL)
        with pytest.raises(VideoError) as caught:
            video.views([1.0], spec())
    assert caught.value.kind == "crashed"
    with pool.open(clip, ReadOptions(size_px=64)) as video:
        assert list(video.preview())


def times(at_s: list[float], what: InputSpec, end_s: float) -> np.ndarray:
    return view_times(np.array(at_s), what, 0, end_s)


def test_times_of_views() -> None:
    assert times([2.0], spec(), 10).tolist() == [[2.0]]
    assert np.allclose(times([5.0], spec(4, 1.0), 10), [[3.5, 4.5, 5.5, 6.5]])
    assert np.allclose(times([0.1], spec(4, 1.0), 10), [[0, 1, 2, 3]])
    assert np.allclose(times([99.0], spec(3, 9.0), 10), [[0, 9, 9.999]]), "a video shorter than a view"
    assert np.allclose(times([0, 0], spec(4, "spread"), 8), [[0.5, 2.5, 4.5, 6.5], [1.5, 3.5, 5.5, 7.5]])
    given = view_times(np.array([[0, 1, 2, 9]]), spec(4, "spread"), 0, 8)
    assert np.allclose(given, [[0, 1, 2, 7.999]]), "the times of all frames"


@pytest.mark.parametrize("where", ["here", "in a process"])
def test_only_the_groups_of_pictures_that_views_need_are_decoded(where: str, tmp_path: Path, pool: DecodePool) -> None:
    path = make_video(tmp_path / "long.mp4", frames=500, gop=50)
    options = ReadOptions(size_px=64)
    with open_video(path, options) if where == "here" else pool.open(path, options) as video:
        list(video.preview())
        views = video.views([7.0, 15.0], spec(4, 0.08))
        assert [[number_of(frame) for frame in view] for view in views.pixels] == [
            [172, 174, 176, 178],
            [372, 374, 376, 378],
        ]
        assert views.frames_decoded < 2 * 50, "two of ten groups of 50 frames"
        whole = video.views(np.array([[0.0, 19.98]]), spec(2, "spread"))
        assert [number_of(frame) for frame in whole.pixels[0]] == [0, 499]


@pytest.mark.parametrize("where", ["here", "in a process"])
def test_the_last_frame_of_a_short_video_repeats(where: str, tmp_path: Path, pool: DecodePool) -> None:
    path = make_video(tmp_path / "short.mp4", frames=10)
    with open_video(path, ReadOptions(size_px=64)) if where == "here" else pool.open(path, ReadOptions(64)) as video:
        list(video.preview())
        views = video.views([0.2], spec(6, 0.12))
    assert [number_of(frame) for frame in views.pixels[0]] == [0, 3, 6, 9, 9, 9]
