"""A preview in rounds: gaps beside salient frames are looked at, others are not, and a result is as good."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import pan, write_video

from nsnet_cli import stopping
from nsnet_cli.media import DecodeReport, PlannedFrame, PreviewPlan, ReadOptions, VideoInfo
from nsnet_cli.outputs.kept_results import unpack
from nsnet_cli.previewing import Later
from nsnet_cli.render import render
from nsnet_cli.stages import Preview
from nsnet_cli.tagger import Tagger
from nsnet_cli.types import VideoResult
from nsnet_cli.video import open_video
from nsnet_cli.video.pool import DecodePool

FPS, GOP, LENGTH_S = 10, 50, 60
CAT_S = (27.3, 33.6)
"""It begins and ends between two key frames, with one on the way."""
OPTIONS = {"g": str(GOP), "keyint_min": str(GOP), "sc_threshold": "0", "preset": "veryfast"}


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory, photos: dict[str, np.ndarray]) -> Path:
    """A minute of moving textures, and a cat."""
    rng = np.random.default_rng(0)
    first, last = (round(FPS * at_s) for at_s in CAT_S)
    cat, frames = pan(photos["cat"], last - first), list[np.ndarray]()
    for n in range(FPS * LENGTH_S):
        if n % 130 == 0 or n == last:
            texture = (rng.integers(0, 80, (30, 40, 3)) + rng.integers(0, 170)).repeat(8, 0).repeat(8, 1)
        frames.append(cat[n - first] if first <= n < last else np.roll(texture, n // 2, 1).astype(np.uint8))
    return write_video(tmp_path_factory.mktemp("rounds") / "cat.mp4", frames, fps=FPS, options=OPTIONS)


def whole(tagger: Tagger) -> Tagger:
    """The same tagger, but it sees all planned frames at once."""
    return Tagger(tagger.checkpoint, tagger.engine, tagger.options, read=replace(tagger.read_options, in_rounds=False))


def times(result: VideoResult) -> list[float]:
    return [frame.pts_s for frame in result.frames]


@pytest.mark.parametrize("where", ["here", "in a process"])
def test_only_what_lies_beside_salient_frames_is_looked_at_closely(where: str, tagger: Tagger, video: Path) -> None:
    with DecodePool() as pool:
        found = tagger.tag(video, open=open_video if where == "here" else pool.open)
    once = whole(tagger).tag(video)
    assert found.sampling and found.cost and once.sampling and once.cost
    assert (found.sampling.plan, once.sampling.plan) == ("keys+salient", "keys+fill")
    assert found.cost.frames_decoded < 0.6 * once.cost.frames_decoded
    moved = sorted(set(times(found)) - set(times(once)))
    assert moved == [pytest.approx(26.6, abs=0.3)], "behind the cut to the only scene that no key frame shows"
    near = {t for t in times(once) if CAT_S[0] - 1.5 <= t <= CAT_S[1] + 1.5}
    left_out = near - set(times(found))
    assert len(left_out) <= 1 and all(abs(t - moved[0]) < 1 for t in left_out), "but for the one that it stands for"
    assert found.tags[0].name == once.tags[0].name and found.tags[0].certain
    assert found.tags[0].spans[0].start_s == pytest.approx(CAT_S[0], abs=0.6)
    assert found.tags[0].spans[-1].end_s == pytest.approx(CAT_S[1], abs=0.6)
    assert all(CAT_S[0] <= frame.pts_s <= CAT_S[1] for frame in found.salient_frames)


def test_a_kept_look_in_rounds_gives_the_same_result(tagger: Tagger, video: Path) -> None:
    keeping = Tagger(tagger.checkpoint, tagger.engine, tagger.options, keep=True)
    found = keeping.tag(video)
    assert found.kept is not None
    again = render(unpack(found.kept), tagger.options, str(video))
    assert (again.tags, again.frames, again.sampling) == (found.tags, found.frames, found.sampling)


def test_pictures_come_with_every_round(tagger: Tagger, video: Path) -> None:
    read = replace(tagger.read_options, jpegs=True)
    found = Tagger(tagger.checkpoint, tagger.engine, tagger.options, read=read).tag(video)
    assert len(found.jpegs) == len(found.frames) and all(found.jpegs)


@pytest.mark.parametrize(
    ("policy", "plan"),
    [("confidence", "keys+salient"), ("uniform", "even"), ("random", "keys+fill"), ("dense", "keys+fill")],
)
def test_a_policy_that_does_not_look_sees_all_planned_frames(
    policy: str, plan: str, tagger: Tagger, video: Path
) -> None:
    options = replace(tagger.options, policy=policy)
    found = Tagger(tagger.checkpoint, tagger.engine, options).tag(video)
    assert found.sampling and found.sampling.plan == plan


def test_a_share_of_the_dense_cost_counts_frames_that_were_left_out(tagger: Tagger, video: Path) -> None:
    options = replace(tagger.options, budget="5%", precision=0.0)
    found = Tagger(tagger.checkpoint, tagger.engine, options).tag(video)
    assert found.sampling and found.sampling.salient_frames == 3


@pytest.mark.parametrize("asked", [{"frames": 45}, {"budget": "45", "precision": 0.0}])
def test_as_many_frames_are_recognised_as_were_asked_for(
    asked: dict[str, Any], tagger: Tagger, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "settled", lambda *_: False)
    found = Tagger(tagger.checkpoint, tagger.engine, replace(tagger.options, **asked)).tag(video)
    assert found.sampling and found.sampling.salient_frames == 45


def test_gaps_beside_salient_frames_and_where_their_scene_ends_are_asked_for() -> None:
    """Frames 0 and 3 are of one scene. Nothing is asked for twice."""
    later = Later([PlannedFrame(float(t), key=False) for t in (1, 2, 6, 7, 11, 12, 16, 17, 21, 22)])
    scene, other = np.eye(8, dtype=np.float32)[:2]
    nothing = VideoInfo("", "mov", "h264", 64, 64, 0, 25.0, 10.0, 5)
    report, plan = DecodeReport("pyav", 5, 0, 0.0), PreviewPlan("keys+salient", ())

    def asked(chosen: list[int], saliency: list[float], pts_s: list[float], scenes: str) -> list[float]:
        features = np.stack([scene if each == "s" else other for each in scenes])
        seen = Preview(Path(), nothing, plan, report, (), np.array(pts_s), (), features, None, 0.0)
        return [frame.pts_s for frame in later.beside(np.array(chosen), np.array(saliency), seen)]

    assert asked([0, 1], [0.9, 0.05, 0, 0, 0], [0, 5, 10, 15, 20], "soooo") == [1, 2]
    assert asked([0, 1], [0.9, 0.05, 0, 0, 0], [0, 5, 10, 15, 20], "soooo") == []
    assert asked([0], [0.9, 0.05, 0, 0, 0], [0, 5, 10, 15, 20], "sooso") == [11, 12, 16, 17]
    assert asked([4], [0.9, 0.05, 0, 0, 0.9], [0, 5, 10, 15, 20], "ooooo") == [21, 22] and later.count == 2
    assert asked([1, 2], [0.01] * 5, [0, 5, 10, 15, 20], "ooooo") == [6, 7], "nothing is salient: all is asked for"


def test_reading_in_rounds_is_for_those_who_ask(video: Path) -> None:
    """Labelled videos are read whole: their features train samplers and judge policies."""
    with open_video(video, ReadOptions(size_px=64)) as reader:
        assert reader.plan.kind == "keys+fill" and not reader.plan.later
