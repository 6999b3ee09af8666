"""Training from features: ready files, the head, the checkpoint folder, the same seed twice, interrupt and resume."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from nsnet_cli.cli.app import run
from nsnet_cli.errors import UsageError, WeightsError
from nsnet_cli.progress import Progress
from nsnet_cli.training.dataset import Dataset, Example, deal, in_vocabulary, read_features
from nsnet_cli.training.head import fit_head, salient_representation
from nsnet_cli.training.train import TrainOptions, train
from nsnet_cli.types import TagName
from nsnet_cli.weights.checkpoint import Checkpoint, read_checkpoint, resolve_checkpoint
from nsnet_cli.weights.heads import LinearHead, linear_scores
from nsnet_cli.weights.vocabulary import load_vocabulary

DIM, WIDE, FRAMES = 16, 1280, 12
OPTIONS = TrainOptions(epochs=6, seed=1)


def videos(count: int = 40, seed: int = 0, width: int = DIM) -> Dataset:
    """Four frames of each video show its class (0 or 1), the others show a shared background."""
    rng = np.random.default_rng(seed)
    examples = []
    for index in range(count):
        features = rng.normal(0, 0.3, (FRAMES, width)).astype(np.float32)
        features[:, 2] += 2
        start = int(rng.integers(0, FRAMES - 4))
        features[start : start + 4, 2] -= 2
        features[start : start + 4, index % 2] += 2
        times = (np.arange(FRAMES, dtype=np.float32) + 0.5) / FRAMES
        examples.append(Example(f"v{index}", (index % 2,), times, features, None, features))
    return Dataset(tuple(examples), (TagName("a", "a"), TagName("b", "b")), "made up", False)


@pytest.fixture(scope="module")
def base() -> Checkpoint:
    return resolve_checkpoint("imagenet-lite")


# ---- the head -------------------------------------------------------------------------------------------------------


def test_salient_representation_by_hand() -> None:
    features = np.array([[1.0, 0.0], [0.0, 2.0], [4.0, 4.0]], np.float32)
    assert salient_representation(features, np.array([0.5, 0.5, 0.0])).tolist() == [0.5, 1.0]
    assert salient_representation(features, np.zeros(3)).tolist() == pytest.approx([5 / 3, 2.0])


@pytest.mark.parametrize("multi_label", [False, True])
def test_head_separates_classes_that_differ_only_in_salient_frames(multi_label: bool) -> None:
    rng = np.random.default_rng(0)
    targets = np.eye(3)[np.arange(30) % 3]
    if multi_label:
        targets[:, 0] = np.arange(30) % 2
    features, weights = [], []
    for row in targets:
        frames = rng.normal(0, 0.1, (8, 6)) + 5
        frames[:2, :3] += row  # the salient ones
        frames[2:, :3] += rng.permutation(3)  # the others lie
        features.append(frames)
        weights.append(np.array([1.0, 1, 0, 0, 0, 0, 0, 0]))
    head = fit_head(features, weights, targets, multi_label=multi_label)
    scores = np.stack([linear_scores(f[:2], head.weight, head.bias, multi_label=multi_label).mean(0) for f in features])
    if multi_label:
        assert ((scores > 0.5) == (targets > 0.5)).mean() > 0.95
    else:
        assert (scores.argmax(1) == targets.argmax(1)).all() and np.allclose(scores.sum(1), 1)


def test_noise_is_regularised_and_a_rare_class_does_no_harm() -> None:
    rng = np.random.default_rng(0)
    features = [rng.normal(size=(4, 50)) for _ in range(24)]
    targets = np.eye(3)[[0, 1] * 11 + [0, 2]]
    head = fit_head(features, [np.ones(4)] * 24, targets, multi_label=False)
    assert head.decay >= 1 and head.weight.shape == (3, 50)


# ---- ready features -------------------------------------------------------------------------------------------------


def save(path: Path, arrays: dict[str, Any], metadata: dict[str, str] | None = None) -> Path:
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    else:
        from safetensors.numpy import save_file

        save_file(arrays, path, metadata=metadata)
    return path


def test_stacked_layout_in_both_kinds_of_file(tmp_path: Path) -> None:
    features = np.random.default_rng(0).normal(size=(4, 5, 3)).astype(np.float16)
    arrays = {"features": features, "labels": np.array([0, 1, 1, 0])}
    npz = read_features(save(tmp_path / "f.npz", {**arrays, "names": np.array(["x", "y"]), "ids": np.arange(4)}))
    tensors = read_features(save(tmp_path / "f.safetensors", arrays, {"names": '["x", "y"]'}))
    for found in (npz, tensors):
        assert [tag.name for tag in found.vocabulary] == ["x", "y"] and not found.multi_label
        assert [example.labels for example in found.examples] == [(0,), (1,), (1,), (0,)]
        assert found.examples[2].times == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9])
        assert np.array_equal(found.examples[1].features, features[1])


def test_arrays_per_video_and_several_labels(tmp_path: Path) -> None:
    arrays = {
        "one/features": np.zeros((3, 2)), "one/labels": np.array(["cat", "dog"]), "one/times": np.array([0, 0.5, 1]),
        "two/features": np.zeros((7, 2)), "two/labels": np.array("dog"),
    }  # fmt: skip
    found = read_features(save(tmp_path / "f.npz", arrays))
    assert [(e.name, e.labels, len(e.times)) for e in found.examples] == [("one", (0, 1), 3), ("two", (1,), 7)]
    assert found.multi_label
    hot = {"features": np.zeros((2, 3, 2)), "labels": np.array([[1, 0, 1], [0, 1, 0]])}
    assert [e.labels for e in read_features(save(tmp_path / "g.npz", hot)).examples] == [(0, 2), (1,)]


@pytest.mark.parametrize(
    ("arrays", "named"),
    [
        ({"x": np.zeros(3)}, "no array 'features'"),
        ({"features": np.zeros((2, 3))}, "(2, 3)"),
        ({"features": np.zeros((2, 3, 4))}, "no array 'labels'"),
        ({"features": np.zeros((2, 3, 4)), "labels": np.zeros(3, int)}, "labels has 3 rows"),
        ({"features": np.zeros((1, 3, 4)), "labels": np.array([7]), "names": np.array(["a"])}, "outside the 1 names"),
        ({"features": np.zeros((1, 2, 4)), "labels": np.array([0]), "times": np.array([[0, 9.5]])}, "[0, 1]"),
        ({"a/features": np.zeros((2, 3))}, "a/labels"),
    ],
)
def test_wrong_arrays_are_named(tmp_path: Path, arrays: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError) as error:
        read_features(save(tmp_path / "f.npz", arrays))
    assert named in str(error.value) and "f.npz" in str(error.value)


def test_no_pickles(tmp_path: Path) -> None:
    save(tmp_path / "f.npz", {"features": np.array([{}], dtype=object)})
    with pytest.raises(UsageError, match="cannot read"):
        read_features(tmp_path / "f.npz")


def test_ready_features_in_a_fixed_vocabulary(tmp_path: Path) -> None:
    arrays = {"features": np.zeros((2, 3, 4)), "labels": np.array(["espresso", "n02123045"])}
    found = in_vocabulary(read_features(save(tmp_path / "f.npz", arrays)), load_vocabulary("imagenet-1k"))
    assert [example.labels for example in found.examples] == [(967,), (281,)]


def test_the_shared_ucf101_features(shared_data: Path) -> None:
    found = read_features(shared_data / "ucf101_15_features_train.npz")
    assert len(found.examples) == 1442 and len(found.vocabulary) == 15 and found.examples[0].features.shape == (25, 128)


# ---- the split ------------------------------------------------------------------------------------------------------


def test_the_split_is_stratified_seeded_and_yields_to_the_rows() -> None:
    dealt = deal(videos(40), 0.2, 0)
    held_out = [example.name for example in dealt.of("val")]
    assert len(held_out) == 8 and sum(example.labels == (0,) for example in dealt.of("val")) == 4
    assert held_out == [e.name for e in deal(videos(40), 0.2, 0).of("val")]
    assert held_out != [e.name for e in deal(videos(40), 0.2, 1).of("val")]
    marked = replace(dealt, examples=(replace(dealt.examples[0], split="test"), *videos(40).examples[1:]))
    assert len(deal(marked, 0.2, 0).of("test")) == 1
    given = replace(dealt, examples=(replace(dealt.examples[0], split="val"), *videos(40).examples[1:]))
    assert len(deal(given, 0.2, 0).of("val")) == 1
    assert not deal(videos(40), 0.0, 0).of("val")
    with pytest.raises(UsageError, match="at least 2"):
        deal(videos(1), 0.2, 0)


# ---- the whole ------------------------------------------------------------------------------------------------------


def test_same_seed_same_bytes_another_seed_others(tmp_path: Path, base: Checkpoint) -> None:
    weights = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(deal(videos(), 0.2, 0), base, replace(OPTIONS, seed=seed), tmp_path / name)
        weights.append((tmp_path / name / "model.safetensors").read_bytes())
    assert weights[0] == weights[1] != weights[2]


def test_interrupted_and_resumed_gives_the_same(
    tmp_path: Path, base: Checkpoint, heard: pytest.LogCaptureFixture, show_progress: Callable[[Progress], None]
) -> None:
    dataset, seen = deal(videos(), 0.2, 0), []

    class Bar(Progress):
        def update(self, *, done: int | None = None, **_: object) -> None:  # type: ignore[override]
            seen.append(done)
            if len(seen) == 3:
                raise KeyboardInterrupt

    show_progress(Bar())
    with pytest.raises(KeyboardInterrupt):
        train(dataset, base, OPTIONS, tmp_path / "a")
    assert seen == [1, 2, 3] and not (tmp_path / "a" / "config.json").exists()
    assert heard.messages == []
    train(dataset, base, OPTIONS, tmp_path / "a")
    assert heard.messages[:1] == [f"continuing the interrupted run in {tmp_path / 'a'}"] and seen[3] in (3, 4)
    train(dataset, base, OPTIONS, tmp_path / "b")
    same = [(tmp_path / name / "model.safetensors").read_bytes() for name in "ab"]
    assert same[0] == same[1] and not (tmp_path / "a" / ".nsnet-train").exists()


def test_the_folder_is_a_checkpoint_with_a_card(tmp_path: Path, base: Checkpoint) -> None:
    dataset = deal(videos(width=WIDE), 0.2, 0)
    fitting = replace(
        dataset, examples=tuple(replace(e, recogniser=np.ones((FRAMES, 1280), np.float32)) for e in dataset.examples)
    )
    config = train(fitting, base, OPTIONS, tmp_path / "mine", command="nsnet train made-up -o mine")
    found = read_checkpoint(tmp_path / "mine")
    assert (
        isinstance(found.head, LinearHead)
        and [tag.name for tag in found.vocabulary] == ["a", "b"]
        and found.frames == 4
    )
    assert found.training["seed"] == 1 and found.training["videos"] == {"train": 32, "val": 8, "test": 0}
    assert found.metrics["val_videos"] == 8 and config["metrics"] == found.metrics
    keys = load_file(tmp_path / "mine" / "model.safetensors")
    assert keys["head.weight"].shape == (2, 1280) and any(key.startswith("sampler.") for key in keys)
    card = (tmp_path / "mine" / "README.md").read_text()
    for part in (
        "license: apache-2.0",
        "pipeline_tag: video-classification",
        "timm/tf_efficientnet_lite0",
        "made-up -o",
    ):
        assert part in card


def test_features_of_an_unknown_network_train_but_do_not_tag(tmp_path: Path, base: Checkpoint) -> None:
    config = train(deal(videos(), 0.2, 0), base, OPTIONS, tmp_path / "mine")
    assert config["metrics"]["val_top1_nsnet"] == 1
    with pytest.raises(WeightsError, match="ready features made up"):
        read_checkpoint(tmp_path / "mine")


@pytest.mark.parametrize(("labels", "named"), [([0, 0, 0, 0], "no training video shows 'b'"), ([0, 1, 0, 1], "")])
def test_a_tag_without_a_video_is_refused(tmp_path: Path, base: Checkpoint, labels: list[int], named: str) -> None:
    dataset = videos(4)
    examples = tuple(replace(e, labels=(label,)) for e, label in zip(dataset.examples, labels, strict=True))
    dealt = deal(replace(dataset, examples=examples), 0.0, 0)
    if named:
        with pytest.raises(UsageError, match=named):
            train(dealt, base, OPTIONS, tmp_path / "x")
    else:
        train(dealt, base, OPTIONS, tmp_path / "x")


def test_the_command_on_ready_features(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    dataset = videos()
    arrays = {
        "features": np.stack([e.features for e in dataset.examples]),
        "labels": np.array([e.labels[0] for e in dataset.examples]),
        "names": np.array(["run", "jump"]),
    }
    save(tmp_path / "f.npz", arrays)
    args = ["train", "--features", str(tmp_path / "f.npz"), "-o", str(tmp_path / "mine"), "--epochs", "4"]
    assert run(args) == 0
    out, err = capfd.readouterr()
    assert out.strip() == str(tmp_path / "mine") and "nsnet K=4" in err
    config = json.loads((tmp_path / "mine" / "config.json").read_text())
    assert [tag["name"] for tag in config["vocabulary"]] == ["run", "jump"]
    assert run(["train", "-o", str(tmp_path / "x")]) == 2
    assert "LABELS or --features" in capfd.readouterr().err
    assert run([*args, "--vocabulary", "imagenet"]) == 2
    assert "'run'" in capfd.readouterr().err
