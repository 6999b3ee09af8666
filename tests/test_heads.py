"""Heads by hand: from a recogniser's features and logits to scores, and networks whose classes have no names."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from checkpoint_files import CARD, CONFIG, tensors, written
from safetensors.numpy import save_file

from nsnet_cli.errors import WeightsError
from nsnet_cli.tagger import Tagger
from nsnet_cli.types import TagName, TagOptions
from nsnet_cli.weights.checkpoint import read_checkpoint, resolve_checkpoint, write_checkpoint
from nsnet_cli.weights.heads import Head, LinearHead, OwnClassifier
from nsnet_cli.weights.memory import sha256_of
from nsnet_cli.weights.registry import load_registry

TAGS = (TagName("a", "first"), TagName("b", "second"))
LOG2 = float(np.log(2))


@pytest.fixture
def linear(tmp_path: Path) -> LinearHead:
    """Two outputs: the sum of two features, and always 0."""
    path = tmp_path / "model.safetensors"
    save_file({"head.weight": np.array([[1, 1], [0, 0]], np.float32), "head.bias": np.zeros(2, np.float32)}, path)
    return LinearHead(TAGS, False, path, "0" * 64)


def test_the_recognisers_own_classifier_by_hand() -> None:
    """Features do not matter. e^ln2 : e^0 = 2 : 1."""
    features, logits = np.zeros((2, 7)), np.array([[LOG2, 0], [0, 0]], np.float32)
    head: Head = OwnClassifier(TAGS)
    np.testing.assert_allclose(head.scores(features, logits), [[2 / 3, 1 / 3], [0.5, 0.5]], rtol=1e-6)
    several = OwnClassifier(TAGS, multi_label=True).scores(features, logits)
    np.testing.assert_allclose(several, [[2 / 3, 0.5], [0.5, 0.5]], rtol=1e-6)


def test_a_linear_head_by_hand(linear: LinearHead) -> None:
    """The recogniser's own logits and number of classes do not matter."""
    features, logits = np.array([[LOG2, 0], [-1, 1]], np.float32), np.zeros((2, 1000))
    head: Head = linear
    np.testing.assert_allclose(head.scores(features, logits), [[2 / 3, 1 / 3], [0.5, 0.5]], rtol=1e-6)
    several = replace(linear, multi_label=True).scores(features, logits)
    np.testing.assert_allclose(several, [[2 / 3, 0.5], [0.5, 0.5]], rtol=1e-6)


def test_the_weights_of_a_linear_head_are_read_when_they_are_needed(linear: LinearHead) -> None:
    content = linear.file.read_bytes()
    linear.file.unlink()
    assert linear.vocabulary == TAGS and "first" in json.dumps(linear.identity)
    with pytest.raises(WeightsError, match=r"cannot read .*model\.safetensors"):
        linear.scores(np.zeros((1, 2)), np.zeros((1, 3)))
    linear.file.write_bytes(content)
    assert linear.scores(np.zeros((1, 2)), np.zeros((1, 3))).tolist() == [[0.5, 0.5]]
    linear.file.unlink()  # once read, they stay
    assert linear.scores(np.zeros((1, 2)), np.zeros((1, 3))).tolist() == [[0.5, 0.5]]


def test_the_identity_follows_what_can_change_a_score(linear: LinearHead) -> None:
    heads: list[Head] = [
        linear,
        replace(linear, multi_label=True),
        replace(linear, sha256="1" * 64),
        replace(linear, vocabulary=TAGS[::-1]),
        OwnClassifier(TAGS),
        OwnClassifier(TAGS, multi_label=True),
        OwnClassifier((TAGS[0], TagName("b", "another name"))),
    ]
    assert len({json.dumps(head.identity) for head in heads}) == len(heads)
    assert replace(linear, file=Path("elsewhere")).identity == linear.identity


def test_a_folder_of_either_kind_gives_its_head(tmp_path: Path) -> None:
    own = read_checkpoint(written(tmp_path / "own")).head
    sha256 = sha256_of(tmp_path / "own" / "model.safetensors")
    assert own == LinearHead(TAGS, True, tmp_path / "own" / "model.safetensors", sha256)
    settings = {"kind": "fixed-vocabulary", "vocabulary": "imagenet-1k", "multi_label": False}
    sampler = resolve_checkpoint("imagenet-lite")
    assert sampler.sampler is not None
    fixed = read_checkpoint(sampler.sampler)
    assert json.loads((sampler.sampler / "config.json").read_text()).items() >= settings.items()
    assert fixed.head == OwnClassifier(fixed.vocabulary) and len(fixed.vocabulary) == 1000


# ---- networks whose classes nobody has named

UNNAMED = """
schema_version = 1

[networks.unnamed]
architecture = "test_efficientnet"
license = "MIT"
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]
interpolation = "bicubic"
crop = 0.9

[[networks.unnamed.sources]]
kind = "package"
distribution = "made-weights"
module = "made_weights"
file = "seven.safetensors"
sha256 = "SHA256"

[checkpoints.pair]
description = "a preview that only looks"
license = "MIT"
preview = { network = "unnamed", size_px = 64 }
recogniser = { network = "efficientnet-lite2", size_px = 256 }
"""


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's registry with a network of seven classes that have no names, its weights in a package."""
    timm = pytest.importorskip("timm")
    package = tmp_path / "made_weights"
    package.mkdir()
    (package / "__init__.py").touch()
    state = timm.create_model("test_efficientnet", num_classes=7).state_dict()
    save_file({key: value.numpy() for key, value in state.items()}, package / "seven.safetensors")
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "weights.toml"
    path.write_text(UNNAMED.replace("SHA256", sha256_of(package / "seven.safetensors")))
    monkeypatch.setenv("NSNET_WEIGHTS", str(path))
    return path


@pytest.mark.torch
@pytest.mark.usefixtures("registry")
def test_a_preview_network_needs_no_vocabulary(cat_video: Path) -> None:
    """Its weights file gives the number of classes. A frame then has a confidence but no tag."""
    found = Tagger.from_checkpoint("pair", TagOptions(preview=24), device="torch-cpu")
    assert found.engine.preview(np.zeros((2, 256, 256, 3), np.uint8))[1].shape == (2, 7)
    result = found.tag(cat_video)
    assert found.options.policy == "confidence" and len(found.checkpoint.vocabulary) == 1000
    assert len(result.frames) == 24 and {frame.tag for frame in result.frames} == {None}
    assert all(frame.confidence is not None for frame in result.frames) and len(result.tags) == 5


@pytest.mark.torch
def test_a_checkpoint_that_takes_its_tags_from_the_recogniser_needs_their_names(registry: Path, tmp_path: Path) -> None:
    fixed = {"kind": "fixed-vocabulary", "vocabulary": "imagenet-1k", "sampler": {"features": 1280}}
    unnamed = {"network": "unnamed", "size_px": 64}
    only_sampler = {key: value for key, value in tensors().items() if key.startswith("sampler.")}
    write_checkpoint(tmp_path / "fixed", {**CONFIG, **fixed, "recogniser": unnamed}, only_sampler, CARD)
    with pytest.raises(WeightsError, match=r"config.json: recogniser.network: the row networks.unnamed has no vocab"):
        read_checkpoint(tmp_path / "fixed")
    own = read_checkpoint(written(tmp_path / "own", recogniser=unnamed))  # own tags: no names are needed
    assert isinstance(own.head, LinearHead)
    registry.write_text(registry.read_text().replace('"efficientnet-lite2", size_px = 256', '"unnamed", size_px = 64'))
    load_registry.__globals__["_load"].cache_clear()
    with pytest.raises(WeightsError, match=r"checkpoints.pair.recogniser.network: the row networks.unnamed has no voc"):
        load_registry()
