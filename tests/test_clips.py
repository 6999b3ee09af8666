"""Recognisers of clips from end to end: small networks with random weights, in real files, on real videos."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clip_rows import SMALL, TAGS, Small, torchvisions_own
from conftest import noise, pan, write_video
from torch import nn

from nsnet_cli.errors import WeightsError
from nsnet_cli.labelled.features import SPREAD_CLIPS, clip_outputs
from nsnet_cli.media import InputSpec, ReadOptions
from nsnet_cli.nets.build import build_engine
from nsnet_cli.nets.clips import ARCHITECTURES, TorchvisionNetwork
from nsnet_cli.nets.engine import Engine
from nsnet_cli.nets.families import FAMILIES, load_network, untrained_network
from nsnet_cli.nets.threads import one_thread
from nsnet_cli.nets.torch_engine import TorchEngine
from nsnet_cli.outputs import jsonlines
from nsnet_cli.outputs.kept_results import unpack
from nsnet_cli.reading import preview_view
from nsnet_cli.render import render
from nsnet_cli.tagger import Tagger
from nsnet_cli.types import TagOptions
from nsnet_cli.video import open_video
from nsnet_cli.video.pool import DecodePool
from nsnet_cli.weights import rows
from nsnet_cli.weights.checkpoint import resolve_checkpoint

ALSO_SLOW = ("small-mvit", "small-swin")
EVERY = pytest.mark.parametrize(
    "small",
    [pytest.param(each, id=name, marks=[pytest.mark.slow] * (name in ALSO_SLOW)) for name, each in SMALL.items()],
)


@pytest.fixture(autouse=True, scope="module")
def few_threads() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A registry with all small networks, whose files are in the Hub's cache."""
    from huggingface_hub import constants

    folder = tmp_path_factory.mktemp("rows")
    text = "schema_version = 1\n"
    for small in SMALL.values():
        data = small.file()
        small.in_cache(folder / "hub", data)
        text += small.text(data)
    (folder / "weights.toml").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub"))
        patch.setenv("NSNET_WEIGHTS", str(folder / "weights.toml"))
        yield folder


@cache
def engine_of(name: str, device: str) -> Engine:
    return build_engine(resolve_checkpoint(f"{name}-actions"), device)


def tagger_of(small: Small, device: str = "torch-cpu", **options: object) -> Tagger:
    chosen = TagOptions(frames=3, **options)  # type: ignore[arg-type]
    return Tagger(resolve_checkpoint(f"{small.name}-actions"), engine_of(small.name, device), chosen, keep=True)


def random_views(spec: InputSpec, count: int) -> np.ndarray:
    shape = (count, spec.frames, spec.size_px, spec.size_px, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


# ---- networks


def test_each_family_of_rows_has_code() -> None:
    assert FAMILIES.keys() == set(rows.FAMILIES)


@EVERY
def test_both_engines_give_the_same(small: Small, registry: Path) -> None:
    cpu, reference = tagger_of(small, "cpu").engine, tagger_of(small).engine
    assert isinstance(reference, TorchEngine)
    assert cpu.input == reference.input and cpu.input.frames == small.frames
    assert cpu.widths == reference.widths and cpu.cost.recogniser == pytest.approx(reference.cost.recogniser)
    views = random_views(cpu.input, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # such as torch's, where half precision is asked of a CPU
        found, wanted = cpu.recognise(views), reference.recognise(views)
    assert wanted[1].shape == (3, len(TAGS)) and wanted[0].shape == (3, cpu.widths[1])
    assert wanted[1].std(0).min() > 1e-4, "clips are told apart"
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4, rtol=1e-4)
    for wrong in (views[:, :2], views[:, 0]):
        with pytest.raises(ValueError, match=r"views must be \(K, 4, S, S, 3\)"):
            cpu.recognise(wrong)


@pytest.mark.parametrize("name", ["small-mvit", "small-swin"])
def test_features_and_logits_are_torchvisions(name: str, registry: Path) -> None:
    """Its own forward gives the same logits from the same pixels, normalised as the row says."""
    from safetensors.torch import load

    small = SMALL[name]
    net = ARCHITECTURES[small.family][small.architecture](small.use, len(TAGS))
    net.load_state_dict(load(small.file()))
    views = torch.from_numpy(random_views(small.use.input, 2))
    with torch.inference_mode():
        wanted = torchvisions_own(net).eval()((views.permute(0, 4, 1, 2, 3) / 255 - 0.45) / 0.225)
        features, logits = load_network(resolve_checkpoint(f"{name}-actions").recogniser)(views)
    torch.testing.assert_close(logits, wanted, atol=1e-4, rtol=0)
    assert features.shape == (2, load_network(resolve_checkpoint(f"{name}-actions").recogniser).width)


def test_s3d_classifies_the_mean_place() -> None:
    class Tiny(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Conv3d(8, 5, 1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.classifier(x).mean((2, 3, 4))

    net, x = Tiny().eval(), torch.randn(2, 8, 3, 2, 2)
    wanted = net(x)
    torch.testing.assert_close(TorchvisionNetwork(net)(x)[1], wanted)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"architecture": "uniformer_xxl"}, "uniformer has no architecture 'uniformer_xxl'"),
        ({"frames": 5}, "cannot take 5 frames of 64 px"),
        ({"size_px": 60}, "cannot take 4 frames of 60 px"),
        ({"family": "torchvision", "architecture": "mvit_v2_s", "frames": 16}, "cannot take 16 frames of 64 px"),
    ],
)
def test_rows_that_cannot_be_made(change: dict[str, object], named: str) -> None:
    with pytest.raises(WeightsError, match=named) as raised:
        untrained_network(replace(SMALL["small-uniformer"], **change).use)  # type: ignore[arg-type]
    assert raised.value.kind == "bad_registry"


# ---- videos


@EVERY
def test_a_result_says_from_when_to_when_each_clip_lasts(small: Small, registry: Path, cat_video: Path) -> None:
    tagger = tagger_of(small)
    with DecodePool() as pool:
        result = tagger.tag(cat_video, open=pool.open)
    assert len(result.tags) == 5 and {tag.name for tag in result.tags} <= set(TAGS)
    assert all(tag.probability is None and not tag.certain and tag.parents == () for tag in result.tags)
    views = {(frame.start_s, frame.end_s) for frame in result.salient_frames}
    assert len(views) == (1 if "spread" in small.stride else 3), "the cat's stretch is looked at once"
    for tag in result.tags:
        assert {(seen.start_s, seen.end_s) for seen in tag.evidence} <= views
        assert all(seen.start_s <= seen.pts_s <= seen.end_s for seen in tag.evidence)
    assert result.cost.frames_decoded > len(result.frames), "frames of clips are counted too"
    row = jsonlines.to_dict(result)
    assert row["tags"][0]["evidence"][0].keys() == {"pts_s", "saliency", "score", "start_s", "end_s"}
    read = jsonlines.from_dict(json.loads(json.dumps(row)))
    assert [f.start_s for f in read.salient_frames] == pytest.approx([f.start_s for f in result.salient_frames])
    kept = unpack(result.kept)
    again = render(kept, tagger.options, str(cat_video))
    assert again.tags == result.tags and again.salient_frames == result.salient_frames


def test_clips_lie_in_what_is_salient(registry: Path, cat_video: Path) -> None:
    """In the video a cat is seen from 8 to 12 s."""
    strided = tagger_of(SMALL["small-videomae"]).tag(cat_video)
    for frame in strided.salient_frames:
        assert (
            frame.end_s - frame.start_s == pytest.approx(0.6, abs=0.01) and 7.5 <= frame.start_s <= frame.end_s <= 12.5
        )
    spread = tagger_of(SMALL["small-uniformer"]).tag(cat_video)
    for frame in spread.salient_frames:
        assert 1.0 < frame.end_s - frame.start_s < 4.5 and 7 <= frame.start_s <= frame.end_s <= 13


@EVERY
def test_a_video_that_shows_nothing_and_one_that_is_shorter_than_a_clip(
    small: Small, registry: Path, tmp_path: Path
) -> None:
    dull, short = write_video(tmp_path / "dull.mp4", noise(120)), write_video(tmp_path / "short.mp4", noise(3))
    tagger = tagger_of(small)
    views = tagger.tag(dull).salient_frames
    assert max(v.end_s for v in views) - min(v.start_s for v in views) > 5, "spread over 12 s"
    result = tagger.tag(short)
    assert result.status == "ok" and result.tags
    assert all(0 <= v.start_s <= v.end_s <= 0.3 for v in result.salient_frames)


@pytest.mark.parametrize("options", [{"policy": "uniform"}, {"policy": "dense"}, {"budget": "2"}, {"policy": "random"}])
@pytest.mark.parametrize("name", ["small-uniformer", "small-videomae"])
def test_other_ways_to_choose(name: str, options: dict[str, str], registry: Path, cat_video: Path) -> None:
    result = tagger_of(SMALL[name], **options).tag(cat_video)
    assert all(frame.start_s is not None and frame.start_s <= frame.end_s for frame in result.salient_frames)
    assert result.tags[0].evidence[0].end_s is not None


def test_the_preview_is_that_of_the_default_checkpoint(registry: Path, cat_video: Path, tagger: Tagger) -> None:
    clips = tagger_of(SMALL["small-uniformer"], "cpu")
    assert preview_view(clips.checkpoint) == replace(
        tagger.checkpoint.preview.input, size_px=tagger.checkpoint.recogniser.size_px
    )
    ours, wanted = clips.tag(cat_video), tagger.tag(cat_video)
    assert [(f.pts_s, f.saliency) for f in ours.frames] == [(f.pts_s, f.saliency) for f in wanted.frames]


# ---- labelled videos


@pytest.mark.parametrize("name", ["small-uniformer", "small-videomae"])
def test_features_of_all_preview_frames(name: str, registry: Path, cat_video: Path) -> None:
    engine = tagger_of(SMALL[name]).engine
    with open_video(cat_video, ReadOptions(size_px=64)) as video:
        times = np.concatenate([batch.pts_s for batch in video.preview()])
        ((features, _), *rest) = clip_outputs(video, times, engine.input, engine.recognise)
    features = np.concatenate([features, *(more for more, _ in rest)])
    assert len(features) == len(times)
    if name == "small-uniformer":
        assert len(np.unique(features.round(4), axis=0)) == SPREAD_CLIPS and np.array_equal(features[0], features[4])
    else:
        assert len(np.unique(features.round(4), axis=0)) > len(times) // 2


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory, photos: dict[str, np.ndarray]) -> Path:
    """Six short videos of two tags, for `train` and `evaluate`, and the same ones judged, for `calibrate`."""
    folder = tmp_path_factory.mktemp("labelled")
    rows, judged = ["path,label,split"], ["path,source,right"]
    for n in range(6):
        name = ("cat", "rocket")[n % 2]
        write_video(folder / f"{n}.mp4", [*noise(5 + n, seed=n), *pan(photos[name], 12)])
        rows.append(f"{n}.mp4,{name},{'test' if n > 3 else ''}")
        judged.append(f"{n}.mp4,s{n},{TAGS[n % 5]}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    (folder / "judged.csv").write_text("\n".join(judged) + "\n")
    return folder


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["small-videomae", "small-uniformer"])
def test_train_evaluate_calibrate_and_explain(
    name: str, registry: Path, labels: Path, tmp_path: Path, inside: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    device = ("--device", "torch-cpu")
    trained = inside(
        "train", labels / "labels.csv", "--checkpoint", f"{name}-actions", "-o", "mine", "--epochs", "3",
        "--preview", "8", "--val-split", "0", *device,
    )  # fmt: skip
    assert trained.returncode == 0, trained.stderr
    config = json.loads((tmp_path / "mine" / "config.json").read_text())
    assert config["recogniser"] == {"network": name, "size_px": 64}
    found = inside("tag", "--json", "-c", "./mine", *device, labels / "4.mp4")
    assert json.loads(found.stdout)["tags"][0]["name"] in ("cat", "rocket"), found.stderr
    assert json.loads(found.stdout)["salient_frames"][0]["end_s"] > 0
    found = inside("evaluate", labels / "labels.csv", "-c", "./mine", "-K", "1,2", "--preview", "8", "--json", *device)
    rows = {(row["policy"], row["frames"]): row for row in json.loads(found.stdout)["policies"]}
    assert found.returncode == 0 and rows["nsnet", 2]["seconds"]["recognise"] > 0

    fitted = inside("calibrate", labels / "judged.csv", "-c", f"{name}-actions", "-o", "fitted", *device)
    assert fitted.returncode == 0, fitted.stderr
    shown = inside("explain", labels / "0.mp4", "-c", "./fitted", "--json", "--html", "page.html", *device)
    result = json.loads(shown.stdout)
    assert result["tags"][0]["probability"] is not None and (tmp_path / "page.html").stat().st_size > 10_000
    assert result["tags"][0]["evidence"][0]["start_s"] >= 0
