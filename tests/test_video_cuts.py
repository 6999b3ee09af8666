"""Scenes between two key frames: they are found by the sizes of packets, and seen without decoding every gap."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import write_video

from nsnet_cli.media import ReadOptions
from nsnet_cli.video import open_video
from nsnet_cli.video.cuts import NEAR, cut_times
from nsnet_cli.video.local import LocalReader
from nsnet_cli.video.plan import plan_preview
from nsnet_cli.video.pool import DecodePool

OPTIONS = ReadOptions(size_px=64, in_rounds=True)
FPS, GOP = 10, 50
FIXED = {"g": str(GOP), "keyint_min": str(GOP), "sc_threshold": "0", "preset": "veryfast"}
SHADES = {0: 40, 62: 200, 79: 90, 230: 160, 310: 60}
"""Frame at which each scene begins, and its brightness. That of 62 to 79 lies between two key frames."""
FRAMES = 400


def scenes(path: Path) -> Path:
    """40 s: each scene is a texture of its own that moves, around its brightness."""
    rng = np.random.default_rng(0)
    frames: list[np.ndarray] = []
    for n in range(FRAMES):
        if n in SHADES:
            texture = rng.integers(0, 80, (24, 40, 3)).repeat(8, 0).repeat(8, 1) + SHADES[n] - 40
        frames.append(np.clip(np.roll(texture, n // 2, 1), 0, 255).astype(np.uint8)[:128, :192])
    return write_video(path, frames, fps=FPS, options=FIXED)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scenes(tmp_path_factory.mktemp("scenes") / "scenes.mp4")


def test_cuts_are_found_by_the_sizes_of_packets(video: Path) -> None:
    cuts_s = LocalReader(video, OPTIONS).probe.cuts_s
    assert cuts_s == pytest.approx([n / FPS for n in SHADES if n % GOP], abs=0.35)


def test_a_scene_between_two_key_frames_is_seen_and_little_is_decoded(video: Path) -> None:
    with open_video(video, OPTIONS) as reader:
        batches = list(reader.preview())
        times = np.concatenate([batch.pts_s for batch in batches])
        shades = np.concatenate([batch.pixels.mean((1, 2, 3)) for batch in batches])
        assert reader.plan.kind == "keys+salient"
        assert reader.report.frames_decoded < 0.2 * FRAMES
    hidden = (times >= 6.2) & (times < 7.9)
    assert hidden.any() and shades[hidden] == pytest.approx(200, abs=15)
    assert max(np.diff(times)) <= GOP / FPS


@pytest.mark.parametrize("where", ["here", "in a process"])
def test_all_rounds_together_give_the_frames_of_one(where: str, video: Path) -> None:
    """The same pixels and pictures, but for key frames that were decoded alone without the loop filter.

    The same times, too, but that one frame was moved to right behind a cut.
    """
    with open_video(video, ReadOptions(size_px=64, jpegs=True)) as whole:
        once = {
            float(t): pixels for batch in whole.preview() for t, pixels in zip(batch.pts_s, batch.pixels, strict=True)
        }
    options = ReadOptions(size_px=64, in_rounds=True, jpegs=True)
    with DecodePool() as pool, (open_video if where == "here" else pool.open)(video, options) as reader:
        batches = list(reader.preview())
        first = sum(map(len, batches))
        later, decoded = reader.plan.later, reader.report.frames_decoded
        assert (first, first + len(later)) == (len(reader.plan), len(once))
        batches += [*reader.more(later[::2]), *reader.more(later[1::2]), *reader.more(later[:3])]
        assert reader.report.frames_decoded > decoded and not reader.report.frames_lost
    times = np.concatenate([batch.pts_s for batch in batches])
    moved = set(times) - set(once)
    assert len(moved) == 1 and all(6.2 <= time_s < 7.9 for time_s in moved)
    assert len(set(times)) == len(times) == len(once), "none twice"
    for batch in batches:
        assert len(batch.jpegs) == len(batch)
        for time_s, pixels in zip(batch.pts_s.tolist(), batch.pixels, strict=True):
            assert time_s in moved or np.abs(pixels.astype(int) - once[time_s]).mean() < 1


def test_without_sizes_gaps_are_filled(video: Path, tmp_path: Path) -> None:
    """Matroska's index has key frames only."""
    path = scenes(tmp_path / "scenes.mkv")
    reader = LocalReader(path, OPTIONS)
    assert reader.probe.cuts_s is None and len(reader.plan) >= 40
    assert reader.plan == LocalReader(path, ReadOptions(size_px=64)).plan


def test_sizes_that_swing_are_no_cuts() -> None:
    """B-frames are small and P-frames are large, all the time; one picture of real change stands out."""
    sizes = np.tile([900, 100, 200, 120], 50).astype(float)
    keys = np.zeros(len(sizes), bool)
    keys[::100], sizes[::100] = True, 4000
    times_s = np.arange(len(sizes)) / 25
    assert cut_times(times_s, sizes, keys) == []
    sizes[60] = 3000
    assert cut_times(times_s, sizes, keys) == [times_s[60]]
    assert cut_times(times_s[:1], sizes[:1], keys[:1]) == [] and NEAR >= 8


def test_a_cut_from_a_busy_scene_to_a_calm_one_is_found() -> None:
    sizes = np.concatenate([np.tile([1900, 1200], 30), np.tile([90, 40], 70)]).astype(float)
    keys = np.zeros(len(sizes), bool)
    keys[[0, 100]], sizes[[0, 100]] = True, 4000
    times_s = np.arange(len(sizes)) / 25
    assert cut_times(times_s, sizes, keys) == [], "the last busy picture is no larger than the others"
    sizes[60] = 2000
    assert cut_times(times_s, sizes, keys) == [times_s[60]]


def test_a_frame_is_seen_behind_each_cut_to_a_scene_that_no_key_frame_shows() -> None:
    keys = [5.0 * i for i in range(24)]
    cuts = [key + at for key in keys[:3] for at in (1.2, 2.5, 4.7)]
    options = ReadOptions(size_px=64)
    plan, whole = plan_preview(keys, 0, 120, 25, options, cuts), plan_preview(keys, 0, 120, 25, options)
    assert [frame.pts_s for frame in plan.frames if frame.key] == keys
    behind = pytest.approx([1.7, 3.0, 6.7, 8.0, 11.7, 13.0])
    assert [frame.pts_s for frame in plan.frames if not frame.key] == behind, "the key frames show what begins at 4.7"
    assert len(plan.frames) + len(plan.later) == len(whole.frames)
    replaced = sorted({frame.pts_s for frame in whole.frames} - {frame.pts_s for frame in (*plan.frames, *plan.later)})
    assert replaced == [2.0, 7.0, 12.0], "each by one in the same scene"


def test_a_key_frame_that_comes_early_may_be_a_cut_and_shows_nothing_of_the_scene_before_it() -> None:
    """An encoder that puts key frames at cuts makes the gap before one shorter than others."""
    keys, cuts = [0.0, 10.0, 14.0, 24.0, 34.0], [1.0, 11.0, 30.0]
    plan = plan_preview(keys, 0, 40, 25, ReadOptions(size_px=64), cuts)
    assert [frame.pts_s for frame in plan.frames if not frame.key] == [11.5]


def test_a_frame_behind_a_cut_is_never_before_it() -> None:
    """At 10 frames per second, where the time of a cut is known to 0.3 s and every B picture may be left out."""
    plan = plan_preview([5.0 * i for i in range(8)], 0, 40, 10, OPTIONS, [6.2, 7.9])
    assert [frame.pts_s for frame in plan.frames if not frame.key] == [pytest.approx(6.8)]


def test_nothing_stays_unseen_for_long() -> None:
    plan = plan_preview([0.0, 5.0, 35.0, 40.0], 0, 45, 25, OPTIONS, [2.0, 42.0])
    assert [frame.pts_s for frame in plan.frames] == [0, 2.5, 5, 18, 31, 35, 40, 42.5]
