"""Adapting a sampler to unlabelled footage: what counts as scenery, what is kept, what is refused, what is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_files import written
from conftest import noise, write_video

from nsnet_cli.adapting.adapt import Adapted, Pair, adapt, area, why_not
from nsnet_cli.adapting.folder import check_adaptable, write_adapted
from nsnet_cli.adapting.footage import STRETCH, OwnVideo, footage, scenery
from nsnet_cli.adapting.kept import (
    JUDGE,
    LEARN,
    Kept,
    Side,
    kept_file,
    packed_features,
    read_kept,
    unpacked,
    write_kept,
)
from nsnet_cli.adapting.promise import holds
from nsnet_cli.calibrating.reliability import Promise
from nsnet_cli.errors import OutputError, UsageError, WeightsError
from nsnet_cli.nets.sampler import Sampler, SamplerConfig, load_sampler
from nsnet_cli.training.fit import FitOptions, fit
from nsnet_cli.training.splice import Bank
from nsnet_cli.weights.checkpoint import Checkpoint, read_checkpoint, resolve_checkpoint

DIM, CLASSES, THING = 24, 40, 20
CONFIG = SamplerConfig(features=DIM, hidden=16, heads=2)
QUICK = FitOptions(epochs=4, learning_rate=2e-3, patience=0, thin=0.3, average=0.9)


# ---- a small world: objects share a direction and have confident logits, scenery has neither -------------------------


def frames(
    kind: int, rng: np.random.Generator, thing: float = 0.0, noise: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
    """Features (4, D) and logits (4, C) of one stretch. `thing`: how much it looks like an object of class `kind`."""
    features = rng.normal(0, noise, (4, DIM)) + np.eye(DIM)[kind % 8] + 1.5 * thing * np.eye(DIM)[THING]
    return features, rng.normal(0, 1, (4, CLASSES)) + 5 * (thing == 1) * np.eye(CLASSES)[kind % CLASSES]


def bank(kinds: range, thing: float, turns: int = 3) -> Bank:
    rng = np.random.default_rng(kinds.start)
    rows = [(*frames(kind, rng, thing), f"s{kind}", f"k{kind % 3}", kind if thing else -1) for kind in kinds
            for _ in range(turns)]  # fmt: skip
    features, logits, *names = (np.array(column) for column in zip(*rows, strict=True))
    return Bank(features, logits, logits, *names)


def user_videos(count: int, thing: float) -> list[OwnVideo]:
    """Videos of one scene each, that looks like an object to this degree; the recogniser is sure of nothing."""
    made = []
    for index in range(count):
        rng = np.random.default_rng([7, index])
        stretches = [frames(9 + index % 3, rng, thing, noise=0.1) for _ in range(6)]
        features, logits = (np.concatenate(part) + 0.0 for part in zip(*stretches, strict=True))
        made.append(OwnVideo(f"v{index:02}", features, logits, np.full((len(features), CLASSES), 1 / CLASSES)))
    return made


@pytest.fixture(scope="module")
def kept() -> Kept:
    learn = Side(bank(range(25), 1.0), bank(range(100, 112), 0.0))
    return Kept(learn, Side(bank(range(25, 40), 1.0), bank(range(112, 118), 0.0)), ("none", 0))


@pytest.fixture(scope="module")
def sampler(kept: Kept) -> Sampler:
    options = FitOptions(epochs=6, learning_rate=5e-3, patience=0)
    splicer = kept.learn.splicer()
    return fit(
        lambda epoch: splicer.sequences(96, [epoch]), CONFIG, options, held_out=splicer.sequences(8, [99])
    ).sampler


# ---- scenery ---------------------------------------------------------------------------------------------------------


def scene(direction: int, count: int) -> np.ndarray:
    rng = np.random.default_rng(direction)
    return 10 * np.eye(64)[direction] + 0.1 * rng.normal(size=(count, 64))


def scores(*best: float) -> np.ndarray:
    return np.array([[score, *[(1 - score) / 3] * 3] for score in best])


def video(name: str, features: np.ndarray, best: list[float]) -> OwnVideo:
    return OwnVideo(name, features, np.zeros((len(features), 4)), scores(*best))


def test_scenery_comes_back_and_is_never_surely_anything() -> None:
    shown = np.concatenate([scene(1, 6), scene(2, 2), scene(3, 8)])
    first = video("a", shown, [0.3] * 6 + [0.2] * 2 + [0.3] * 7 + [0.9])
    assert scenery([first])[0].tolist() == [True] * 6 + [False] * 2 + [False] * 8  # 2: seen once; 3: sure in one frame
    second = video("b", np.concatenate([scene(2, 1), scene(4, 7)]), [0.2] * 8)
    both = scenery([first, second])
    assert both[0].tolist() == [True] * 8 + [False] * 8, "a scene of two videos comes back"
    assert both[1].tolist() == [True] * 8


def test_stretches_of_scenery_leave_out_the_rest() -> None:
    features = np.arange(12.0)[:, None] * np.ones(3)
    own = OwnVideo("v", features, np.zeros((12, 4)), scores(*[0.4] * 12))
    found = footage([own], [np.array([True] * 5 + [False] * 3 + [True] * 4)])
    assert found.features[:, :, 0].tolist() == [[0, 1, 2, 3], [4, 8, 9, 10]]
    assert set(found.kind) == {"v"} and (found.label == -1).all()
    few = footage([own], [np.arange(12) < 3])
    assert few.features.shape == (1, STRETCH, 3) and few.features[0, :, 0].tolist() == [0, 1, 2, 0]


# ---- the kept file ---------------------------------------------------------------------------------------------------


def test_packed_features_keep_likeness() -> None:
    features = np.random.default_rng(0).gamma(0.5, 1.0, (50, 1280)).astype(np.float32)
    found = unpacked(*packed_features(features))
    cosine = (found * features).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(features, axis=1)
    assert cosine.min() > 0.999


def test_kept_stretches_are_read_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    features, logits = rng.gamma(0.5, 1.0, (4, 3, DIM)), rng.normal(0, 4, (4, 3, CLASSES))
    names, labels = np.array(["cat", "street", "dog", "hands"]), np.array([3, -1, 5, -1])
    made = Bank(features, logits, logits, names, np.array(["photo", "street", "photo", "hands"]), labels)
    use = resolve_checkpoint("imagenet-lite").recogniser
    write_kept(tmp_path / "kept.npz", made, np.array([LEARN, LEARN, JUDGE, JUDGE]), use)
    weight, bias = rng.normal(size=(CLASSES, DIM)).astype(np.float32), np.ones(CLASSES, np.float32)
    found = read_kept(tmp_path / "kept.npz", (weight, bias))
    assert found.recogniser == ("efficientnet-lite2", 256)
    assert [side.objects.source.tolist() + side.footage.source.tolist() for side in (found.learn, found.judge)] == [
        ["cat", "street"], ["dog", "hands"],
    ]  # fmt: skip
    assert found.judge.objects.label.tolist() == [5] and found.learn.footage.label.tolist() == [-1]
    own = found.learn.objects.features[0].astype(np.float32)
    assert np.allclose(found.learn.objects.logits[0], own @ weight.T + bias, atol=0.05)
    best = found.learn.objects.recogniser[0].argmax(-1)
    assert best.tolist() == logits[0].argmax(-1).tolist()
    assert np.exp(found.learn.objects.recogniser.astype(np.float32)).sum(-1) == pytest.approx(1, abs=0.01)


def test_a_damaged_kept_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "kept.npz").write_bytes(b"PK\x03\x04 not much")
    with pytest.raises(WeightsError, match=r"kept\.npz"):
        read_kept(tmp_path / "kept.npz", (np.ones((2, 2)), np.ones(2)))


def test_the_shipped_file_is_small_and_fits_the_shipped_sampler() -> None:
    base = resolve_checkpoint("imagenet-lite")
    path = kept_file(base)
    assert path.stat().st_size < 1_000_000
    found = read_kept(path, (np.zeros((1000, 1280), np.float32), np.zeros(1000, np.float32)))
    for side in (found.learn, found.judge):
        assert len(side.objects) >= 50 and len(side.footage) >= 30 and side.objects.features.shape[-1] == 1280
    assert not {*found.learn.objects.source} & {*found.judge.objects.source}
    assert not {*found.learn.footage.source} & {*found.judge.footage.source}


# ---- what is kept and what is refused --------------------------------------------------------------------------------


def test_scenery_that_looks_like_an_object_is_learned(sampler: Sampler, kept: Kept) -> None:
    before = {name: value.clone() for name, value in sampler.state_dict().items()}
    made = adapt(user_videos(8, thing=0.9), sampler, kept, options=QUICK, count=96, judged=100)
    assert made.refused == "" and made.sampler is not None and made.memory is not None
    assert (made.videos, made.frames) == (8, 8 * 24)
    assert all(half.gain > 0 for half in made.halves) and made.memory.gain >= -0.002
    unseen = footage(user_videos(12, thing=0.9)[8:], [np.ones(24, bool)] * 4)
    judged = Side(kept.judge.objects, unseen).splicer().sequences(100, [5])
    assert area(made.sampler, judged) > area(sampler, judged)
    assert all((value == before[name]).all() for name, value in sampler.state_dict().items()), (
        "the old one is as it was"
    )


def test_the_same_seed_gives_the_same_sampler(sampler: Sampler, kept: Kept) -> None:
    options, videos = replace(QUICK, epochs=1), user_videos(4, thing=0.9)
    made = [adapt(videos, sampler, kept, options=options, count=16, judged=30, seed=seed).tried for seed in (1, 1, 2)]
    weights = [found.state_dict()["project.weight"] for found in made if found is not None]
    assert (weights[0] == weights[1]).all() and (weights[0] != weights[2]).any()


def test_footage_that_teaches_nothing_is_refused(sampler: Sampler, kept: Kept) -> None:
    made = adapt(user_videos(6, thing=-1.0), sampler, kept, options=replace(QUICK, epochs=1), count=32, judged=60)
    assert made.sampler is None and "does not help the other" in made.refused
    assert made.tried is not None, "what was tried can be measured"


def test_too_few_videos_are_refused_before_anything_is_trained(sampler: Sampler, kept: Kept) -> None:
    made = adapt(user_videos(3, thing=0.9), sampler, kept)
    assert made.sampler is None and made.tried is None
    assert "3 of 3 videos have scenery" in made.refused and "at least 4" in made.refused


SAME = Pair(0.99, 0.99)


@pytest.mark.parametrize(
    ("halves", "memory", "why"),
    [
        ([Pair(0.90, 0.92), Pair(0.91, 0.95)], SAME, ""),
        ([Pair(0.90, 0.92), Pair(0.91, 0.909)], SAME, ""),
        ([Pair(0.90, 0.9004), Pair(0.91, 0.9104)], SAME, "not help the other: ROC-AUC 0.9050 before, 0.9054 after"),
        ([Pair(0.90, 0.95), Pair(0.91, 0.90)], SAME, "harms the other: 0.9100 before, 0.9000 after"),
        ([Pair(0.90, 0.92), Pair(0.91, 0.95)], Pair(0.99, 0.98), "it forgets: ROC-AUC in kept footage 0.9900 before"),
    ],
)
def test_why_a_sampler_is_refused(halves: list[Pair], memory: Pair, why: str) -> None:
    assert (why in why_not(halves, memory)) if why else why_not(halves, memory) == ""


# ---- the calibration -------------------------------------------------------------------------------------------------


def promised(right: int, wrong: int) -> Promise:
    return Promise(0.8, 100, 100, right + wrong, right, wrong, 0, right, wrong, 0.01)


@pytest.mark.parametrize(
    ("before", "after", "kept_on"),
    [
        (promised(90, 10), promised(85, 15), True),
        (promised(90, 10), promised(75, 25), False),
        (promised(70, 30), promised(72, 28), True),
        (promised(70, 30), promised(69, 31), True),
        (promised(70, 30), promised(62, 38), False),
        (promised(90, 10), promised(9, 0), False),
        (None, None, False),
    ],
)
def test_a_calibration_is_kept_only_where_it_was_shown_to_hold(
    before: Promise | None, after: Promise | None, kept_on: bool
) -> None:
    assert holds(before, after) is kept_on


# ---- the folder and the command --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def base() -> Checkpoint:
    return resolve_checkpoint("imagenet-lite")


def adapted(base: Checkpoint) -> Adapted:
    changed = load_sampler(base)
    changed.attention[1].bias.data += 0.1
    return Adapted(changed, "", 6, 300, (Pair(0.9, 0.93), Pair(0.91, 0.92)), Pair(0.99, 0.99), (), changed)


@pytest.mark.parametrize("calibrated", [True, False])
def test_the_folder_is_a_checkpoint_that_claims_no_calibration_it_has_not(
    tmp_path: Path, base: Checkpoint, calibrated: bool
) -> None:
    folder, promises = tmp_path / "my-footage", (promised(90, 10), promised(88, 12))
    calibration = base.calibration if calibrated else None
    write_adapted(folder, base, adapted(base), calibration, promises, seed=3, epochs=4, command="nsnet adapt x")
    found = read_checkpoint(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    assert found.name == "my-footage" and found.hash != base.hash and found.vocabulary == base.vocabulary
    assert found.calibration == calibration and (found.frames, found.preview_frames) == (4, 128)
    assert found.training["base"] == "imagenet-lite" and found.training["seed"] == 3
    assert found.metrics["footage_1_roc_auc_after"] == 0.93 and found.metrics["kept_roc_auc_before"] == 0.99
    assert load_sampler(found).attention[1].bias.item() == pytest.approx(
        load_sampler(base).attention[1].bias.item() + 0.1
    )
    card = (folder / "README.md").read_text()
    assert ("88 of 100 right after" in card) == calibrated and ("was not shown to hold" in card) != calibrated


def test_what_cannot_be_adapted_is_refused_before_any_work(tmp_path: Path, base: Checkpoint) -> None:
    own = read_checkpoint(written(tmp_path / "two"))
    with pytest.raises(UsageError, match=r"two-tags has tags of its own.*nsnet train"):
        check_adaptable(own, tmp_path / "out")
    assert base.sampler is not None
    with pytest.raises(OutputError, match="is the checkpoint to adapt itself"):
        check_adaptable(base, base.sampler)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "README.md").write_text("my notes")
    with pytest.raises(OutputError, match=r"README\.md was not written by nsnet"):
        check_adaptable(base, tmp_path / "mine")
    other = replace(base, name="other", preview=replace(base.preview, size_px=160))
    with pytest.raises(UsageError, match=r"other previews with efficientnet-lite0 at 160 px.*at 128 px"):
        kept_file(other)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("footage")
    for number in range(3):
        write_video(folder / f"{number}.mp4", noise(20, (160, 128), number))
    return folder


def test_the_command_says_why_it_wrote_nothing(inside: Callable[..., Any], clips: Path, tmp_path: Path) -> None:
    done = inside("adapt", clips, "-o", tmp_path / "mine")
    assert (done.returncode, done.stdout) == (0, "") and not (tmp_path / "mine").exists()
    assert "not adapted, nothing was written: 3 of 3 videos" in done.stderr, done.stderr
    away = inside("adapt", "s3://bucket/videos", "-o", tmp_path / "mine")
    assert away.returncode == 2 and "local files only" in away.stderr
    nothing = inside("adapt", tmp_path, "-o", tmp_path / "mine")
    assert nothing.returncode == 4 and "no video" in nothing.stderr


@pytest.mark.slow
def test_the_command_adapts_real_footage(inside: Callable[..., Any], shared_data: Path, tmp_path: Path) -> None:
    """Either a checkpoint that tags, or a reason; of more videos than asked for, the number is said."""
    skate, out = shared_data / "backgrounds" / "skate", tmp_path / "my-footage"
    done = inside("adapt", skate, "-o", out, "--videos", "12")
    assert done.returncode == 0 and "learning from 12 of 26 videos" in done.stderr, done.stderr
    if "not adapted" in done.stderr:
        assert not out.exists() and done.stdout == ""
        return
    assert done.stdout.strip() == str(out) and json.loads((out / "config.json").read_text())["training"]["seed"] == 0
    tagged = inside("tag", "--json", "--checkpoint", out, skate / "Ollie1.mov")
    assert tagged.returncode == 0 and json.loads(tagged.stdout)["model"]["checkpoint"] == "my-footage"
