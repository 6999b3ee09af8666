"""The pipeline on real videos with the real networks."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_files import SUM, with_calibration
from conftest import noise, write_video
from readers import Scripted, scripted

from nsnet_cli import fingerprint
from nsnet_cli.calibration import Calibration
from nsnet_cli.errors import NsnetError, UsageError, VideoError
from nsnet_cli.media import DecodeReport, FrameBatch, InputSpec, ReadOptions, VideoHeader
from nsnet_cli.nets.engine import Engine
from nsnet_cli.policies import POLICIES
from nsnet_cli.tagger import Tagger
from nsnet_cli.types import TagOptions
from nsnet_cli.video import open_video, read_video
from nsnet_cli.video.pool import DecodePool

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
CAT_STRETCH_S = (8.0, 12.0)


def with_options(tagger: Tagger, **changes: object) -> Tagger:
    """The same loaded networks under other options."""
    return Tagger(tagger.checkpoint, tagger.engine, replace(tagger.options, **changes))  # type: ignore[arg-type]


def in_stretch(pts_s: float) -> bool:
    return CAT_STRETCH_S[0] <= pts_s <= CAT_STRETCH_S[1]


def test_default_policy_finds_the_cat_and_says_where(tagger: Tagger, cat_video: Path) -> None:
    result = tagger.tag(cat_video)
    assert result.status == "ok" and result.sampling and result.sampling.policy == "nsnet"
    assert "cat" in result.tags[0].name or result.tags[0].name == "tabby"
    assert len(result.salient_frames) == 4
    assert all(in_stretch(frame.pts_s) for frame in result.salient_frames)
    assert all(in_stretch(evidence.pts_s) for evidence in result.tags[0].evidence)
    inside = [f.saliency for f in result.frames if in_stretch(f.pts_s)]
    outside = [f.saliency for f in result.frames if not in_stretch(f.pts_s)]
    assert min(inside) > max(outside)


def test_frames_are_in_order_and_the_chosen_are_the_most_salient(tagger: Tagger, cat_video: Path) -> None:
    result = tagger.tag(cat_video)
    times = [frame.pts_s for frame in result.frames]
    assert times == sorted(times) and result.sampling and len(times) == result.sampling.preview_frames
    chosen = [frame for frame in result.frames if frame.chosen]
    assert [frame.pts_s for frame in chosen] == [frame.pts_s for frame in result.salient_frames]
    assert min(f.saliency for f in chosen) >= max(f.saliency for f in result.frames if not f.chosen)


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_tags_and_counts_its_cost(tagger: Tagger, cat_video: Path, policy: str) -> None:
    result = with_options(tagger, policy=policy, frames=3).tag(cat_video)
    sampling, cost, unit = result.sampling, result.cost, tagger.engine.cost
    assert sampling and cost and result.timings
    assert sampling.salient_frames == (sampling.preview_frames if policy == "dense" else 3)
    looks = sampling.preview_frames if policy.startswith(("nsnet", "confidence")) else 0
    sampler = unit.sampler * looks if policy.startswith("nsnet") else 0
    expected = looks * unit.preview + sampler + sampling.salient_frames * unit.recogniser
    assert cost.gflops == pytest.approx(expected)
    assert cost.dense_gflops == pytest.approx(sampling.preview_frames * unit.recogniser)
    assert result.timings.total_s > 0
    assert all(0 <= tag.score <= 1 for tag in result.tags) and len(result.tags) == 5


def test_uniform_decodes_no_more_than_it_recognises(tagger: Tagger, cat_video: Path) -> None:
    result = with_options(tagger, policy="uniform").tag(cat_video)
    assert result.sampling and result.sampling.preview_frames == 4
    np.testing.assert_allclose([f.pts_s for f in result.salient_frames], [2.5, 7.5, 12.5, 17.5], atol=0.11)


def test_threshold_and_top_k(tagger: Tagger, cat_video: Path) -> None:
    assert len(with_options(tagger, top_k=2).tag(cat_video).tags) == 2
    assert all(tag.score >= 0.2 for tag in with_options(tagger, threshold=0.2).tag(cat_video).tags)
    assert with_options(tagger, threshold=1.0).tag(cat_video).tags == ()


def test_a_budget_of_frames_is_kept_and_names_its_reason(tagger: Tagger, cat_video: Path) -> None:
    few = with_options(tagger, budget="2").tag(cat_video).sampling
    assert few and few.salient_frames == 2 and few.stopped == "frames"
    share = with_options(tagger, budget="5%").tag(cat_video).sampling
    assert share and share.salient_frames == 1 and share.stopped == "share"  # 5 % of 24 preview frames


def calibrated(tagger: Tagger, calibration: Calibration | None, **changes: object) -> Tagger:
    """The same networks under another calibration and other options."""
    checkpoint = replace(tagger.checkpoint, calibration=calibration)
    return Tagger(checkpoint, tagger.engine, replace(tagger.options, **changes))  # type: ignore[arg-type]


def test_a_budget_ends_once_the_certain_tags_are_settled(tagger: Tagger, cat_video: Path, tmp_path: Path) -> None:
    """The cat is certain from the first frame on: three frames are enough. Of the noise nothing is ever likely."""
    sure = calibrated(tagger, Calibration(("mean",), (1.0,), 0.0, {"n02121808": 4.0}), budget="20").tag(cat_video)
    assert [tag.name for tag in sure.tags if tag.certain] == ["cat"]
    assert sure.sampling and (sure.sampling.salient_frames, sure.sampling.stopped) == (3, "settled")
    nothing = write_video(tmp_path / "noise.mp4", noise(100))
    never = calibrated(tagger, Calibration(("mean",), (1.0,), -20.0), budget="8").tag(nothing).sampling
    assert never and (never.salient_frames, never.stopped) == (3, "settled")
    likely = calibrated(tagger, Calibration((), (), 1.0), budget="8").tag(nothing)  # all are at 0.73: it goes on
    assert likely.sampling and (likely.sampling.salient_frames, likely.sampling.stopped) == (8, "frames")
    assert not any(tag.certain for tag in likely.tags) and likely.perhaps


def test_a_budget_without_a_calibration_ends_as_before(tagger: Tagger, cat_video: Path) -> None:
    """Neither a calibration nor a precision, or a policy that gives the calibration nothing to judge."""
    preview = Calibration(("mean", "preview"), (1.0, 1.0), 0.0)
    many = calibrated(tagger, None, budget="20").tag(cat_video).sampling
    assert many and 3 <= many.salient_frames < 20 and many.stopped == "settled"
    assert calibrated(tagger, preview, budget="20", precision=0.0).tag(cat_video).sampling == many
    plain, same = (calibrated(tagger, c, budget="20", policy="uniform").tag(cat_video) for c in (None, preview))
    assert plain.sampling == same.sampling


def test_tags_can_be_certain_without_a_preview(tagger: Tagger, cat_video: Path) -> None:
    """A calibration from the recognised frames alone, under a policy that shows nothing to the preview network."""
    result = calibrated(tagger, Calibration(("peak",), (3.0,), 0.0), policy="uniform", frames=10).tag(cat_video)
    cat = result.tags[0]
    assert cat.certain and "cat" in (cat.name, *cat.parents) and cat.probability is not None
    assert all(7 <= span.start_s < span.end_s <= 13 for span in cat.spans) and cat.spans


@pytest.mark.parametrize(
    ("calibration", "options", "said"),
    [
        (None, {}, "no tag can be certain, nothing was calibrated; to do so: nsnet calibrate LABELS --checkpoint"),
        (None, {"precision": 0.0}, None),
        (SUM, {}, None),
        (
            SUM,
            {"policy": "uniform"},
            "the calibration needs the preview network, which --policy uniform does not run",
        ),
        (SUM, {"policy": "uniform", "precision": 0.0}, None),
        (
            Calibration(("mean", "salient"), (1.0, 1.0), 0.0),
            {"policy": "confidence"},
            "the calibration needs the sampler, which --policy confidence does not run",
        ),
    ],
)
def test_a_run_that_can_never_be_certain_says_so(
    calibration: Calibration | None,
    options: dict[str, Any],
    said: str | None,
    tmp_path: Path,
    heard: pytest.LogCaptureFixture,
) -> None:
    folder = with_calibration(tmp_path / "my net", calibration)
    Tagger.from_checkpoint(str(folder), replace(TagOptions(), **options), device="cpu")
    lines = [message for message in heard.messages if "no tag can be certain" in message]
    assert len(lines) == (said is not None) and all(said in line for line in lines if said)
    if said and calibration is None:
        assert lines[0].endswith(f"--checkpoint '{folder}'"), "quoted for a shell"


def test_a_spent_budget_of_seconds_stops_after_one_frame(tagger: Tagger, tmp_path: Path) -> None:
    video = write_video(tmp_path / "noise.mp4", noise(60))
    sampling = with_options(tagger, budget="0.001s").tag(video).sampling
    assert sampling and sampling.salient_frames == 1 and sampling.stopped == "time"


def test_a_budget_of_seconds_is_wall_time(tagger: Tagger, tmp_path: Path) -> None:
    def reporting(decode_s: float, wait_s: float) -> Callable[[Path, ReadOptions], Scripted]:
        def read(path: Path, options: ReadOptions) -> Iterator[VideoHeader | FrameBatch | DecodeReport]:
            for item in read_video(path, options):
                yield replace(item, decode_s=decode_s) if isinstance(item, DecodeReport) else item
            time.sleep(wait_s)

        return scripted(read)

    video = write_video(tmp_path / "noise.mp4", noise(60))
    long = with_options(tagger, budget="600s")  # decoding that overlaps with other work does not count
    sampling = long.tag(video, open=reporting(decode_s=3600, wait_s=0)).sampling
    assert sampling and sampling.salient_frames > 1
    short = with_options(tagger, budget="0.5s")  # the time since the video's start counts, whatever is reported
    sampling = short.tag(video, open=reporting(decode_s=0, wait_s=0.6)).sampling
    assert sampling and sampling.salient_frames == 1 and sampling.stopped == "time"


def test_batches_may_come_in_any_order(tagger: Tagger, cat_video: Path) -> None:
    def backwards(path: Path, options: ReadOptions) -> Iterator[VideoHeader | FrameBatch | DecodeReport]:
        items = list(read_video(path, options))
        singles = [
            FrameBatch(item.pixels[i : i + 1], item.pts_s[i : i + 1])
            for item in items
            if isinstance(item, FrameBatch)
            for i in range(len(item))
        ]
        yield items[0]
        yield from reversed(singles)
        yield items[-1]

    straight, reversed_ = tagger.tag(cat_video), tagger.tag(cat_video, open=scripted(backwards))
    assert [f.pts_s for f in straight.salient_frames] == [f.pts_s for f in reversed_.salient_frames]
    assert [t.id for t in straight.tags] == [t.id for t in reversed_.tags]


def test_jpegs_do_not_change_the_result(tagger: Tagger, cat_video: Path) -> None:
    plain = tagger.tag(cat_video)
    read = replace(tagger.read_options, jpegs=True)
    pictured = Tagger(tagger.checkpoint, tagger.engine, tagger.options, read=read).tag(cat_video)
    assert len(pictured.jpegs) == len(pictured.frames) and pictured.jpegs[0][:2] == b"\xff\xd8"
    assert [(t.id, t.score) for t in plain.tags] == [(t.id, t.score) for t in pictured.tags]


def test_a_file_that_is_not_a_video_is_an_error_row(tagger: Tagger, tmp_path: Path) -> None:
    text = tmp_path / "clip.mp4"
    text.write_text("not a video")
    with pytest.raises(VideoError):
        tagger.tag(text)
    row = tagger.try_tag(text)
    assert row.status == "error" and row.error and row.error.kind == "not_a_video" and str(text) in row.error.message


def test_fingerprint_follows_what_can_change_the_result(tagger: Tagger, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"1")
    first = tagger.fingerprint(path)
    assert first == tagger.fingerprint(path)
    assert first != with_options(tagger, frames=5).fingerprint(path)
    path.write_bytes(b"22")
    assert first != tagger.fingerprint(path)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"policy": "best"}, "best"),
        ({"frames": 0}, "frames 0"),
        ({"frames": 9, "preview": 8}, "9"),
        ({"budget": "x"}, "x"),
        ({"budget": 8}, "--budget 8"),
        ({"decoder": "x"}, "--decoder 'x' is not a decoder"),
        ({"preview": 0}, "preview 0"),
        ({"preview": "24"}, "preview '24'"),
        ({"frames": 2.5}, "frames 2.5"),
        ({"top_k": 0}, "top-k 0"),
        ({"seed": -1}, "seed -1"),
        ({"threshold": 1.5}, "threshold 1.5"),
        ({"threshold": float("nan")}, "threshold nan"),
    ],
)
def test_options_that_cannot_be_carried_out_are_named(changes: dict[str, object], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        Tagger.from_checkpoint("imagenet-lite", replace(TagOptions(), **changes))  # type: ignore[arg-type]


def test_a_forked_tagger_says_so(tagger: Tagger, cat_video: Path) -> None:
    """Up to Python 3.13, multiprocessing forks on Linux. Networks do not survive that: the child would hang."""
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()

    def in_child() -> None:
        try:
            answers.put(tagger.try_tag(cat_video).status)
        except NsnetError as error:
            answers.put(str(error))

    assert tagger.tag(cat_video).status == "ok"
    child = context.Process(target=in_child)
    child.start()
    child.join(60)
    stuck = child.is_alive()
    child.kill()
    assert not stuck and child.exitcode == 0
    assert "cannot work in a fork" in (said := answers.get()) and '"spawn"' in said
    assert tagger.tag(cat_video).status == "ok", "the parent's still works"


def test_the_fingerprint_follows_version_device_and_precision(
    tagger: Tagger, cat_video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tagger.fingerprint(cat_video)
    assert first == with_options(tagger).fingerprint(cat_video)
    seen = {first}
    for owner, name, value in (
        (fingerprint, "ALGORITHM_VERSION", -1),
        (fingerprint, "SCHEMA_VERSION", -1),
        (tagger.engine, "name", "torch-cuda"),
        (tagger.engine, "precision", "f16"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, value)
            seen.add(tagger.fingerprint(cat_video))
    assert len(seen) == 5 and tagger.fingerprint(cat_video) == first


class PairEngine:
    """The real networks, but the recogniser looks at pairs of frames: the mean of both frames' logits."""

    def __init__(self, engine: Engine, spec: InputSpec) -> None:
        self._engine, self.input = engine, spec
        self.seen: list[tuple[int, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def recognise(self, views: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.seen.append(views.shape)
        features, logits = zip(*(self._engine.recognise(views[:, f]) for f in range(views.shape[1])), strict=True)
        return np.mean(features, axis=0), np.mean(logits, axis=0)


@pytest.mark.parametrize("where", ["here", "in a process"])
def test_a_recogniser_of_clips_gets_the_frames_around_the_chosen_times(
    where: str, tagger: Tagger, cat_video: Path
) -> None:
    spec = replace(tagger.checkpoint.recogniser.input, frames=2, stride_s=0.2)
    engine = PairEngine(tagger.engine, spec)
    clips = Tagger(tagger.checkpoint, engine, tagger.options)  # type: ignore[arg-type]
    with DecodePool() as pool:
        result = clips.tag(cat_video, open=open_video if where == "here" else pool.open)
    side = spec.size_px
    assert sum(shape[0] for shape in engine.seen) == len(result.salient_frames)
    assert {shape[1:] for shape in engine.seen} == {(2, side, side, 3)}
    assert "cat" in result.tags[0].name
