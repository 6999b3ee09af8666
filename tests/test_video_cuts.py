"""Scenes between two key frames: they are found by the sizes of packets, and seen without decoding every gap."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import write_video

from nsnet_cli.media import ReadOptions
from nsnet_cli.video import open_video
from nsnet_cli.video.cuts import BEFORE, cut_times
from nsnet_cli.video.local import LocalReader
from nsnet_cli.video.plan import BEHIND_CUT_S, CHEAP_S, HIDDEN_SHARE, QUIET_S, plan_preview

OPTIONS = ReadOptions(size_px=64)
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
        assert reader.report.frames_decoded < 0.6 * FRAMES
    hidden = (times >= 6.2) & (times < 7.9)
    assert hidden.any() and shades[hidden] == pytest.approx(200, abs=15)
    assert max(np.diff(times)) <= GOP / FPS - CHEAP_S + 0.5


def test_without_sizes_gaps_are_filled(video: Path, tmp_path: Path) -> None:
    """Matroska's index has key frames only."""
    reader = LocalReader(scenes(tmp_path / "scenes.mkv"), OPTIONS)
    assert reader.probe.cuts_s is None and len(reader.plan) >= 40


def test_sizes_that_swing_are_no_cuts() -> None:
    """B-frames are small and P-frames are large, all the time; one picture of real change stands out."""
    sizes = np.tile([900, 100, 200, 120], 50).astype(float)
    keys = np.zeros(len(sizes), bool)
    keys[::100], sizes[::100] = True, 4000
    times_s = np.arange(len(sizes)) / 25
    assert cut_times(times_s, sizes, keys) == []
    sizes[60] = 3000
    assert cut_times(times_s, sizes, keys) == [times_s[60]]
    assert cut_times(times_s[:1], sizes[:1], keys[:1]) == [] and BEFORE >= 8


def test_hidden_scenes_cost_a_share_at_most() -> None:
    keys = [5.0 * i for i in range(24)]
    cuts = [key + at for key in keys for at in (1.0, 2.0, 4.0)]
    plan = plan_preview(keys, 0, 120, 25, OPTIONS, cuts)
    deep = [frame.pts_s for frame in plan.frames if frame.pts_s % 5 > CHEAP_S]
    assert 0 < sum(time_s % 5 for time_s in deep) <= HIDDEN_SHARE * 120
    assert set(deep) <= {cut + BEHIND_CUT_S for cut in cuts}
    assert [frame.pts_s for frame in plan.frames if frame.key] == keys


def test_what_follows_the_last_cut_is_seen() -> None:
    plan = plan_preview([0.0, 5.0, 20.0, 25.0], 0, 30, 25, OPTIONS, [2.0, 27.0])
    times = [frame.pts_s for frame in plan.frames]
    assert 27.0 + BEHIND_CUT_S in times and not any(CHEAP_S < time_s < 5 for time_s in times)
    assert max(np.diff(times)) <= QUIET_S
