"""Made sequences and made footage: mixed scenes, and composites as features."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from nsnet_cli.nets.sampler import Sampler, SamplerConfig
from nsnet_cli.training.prototypes import known_labels
from nsnet_cli.training.sequences import FeatureSequence
from nsnet_cli.training.splice import Bank, Splicer

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from as_composites import Composer
from loso import paired
from loso_bank import Shown, bank

DIM, CLASSES = 12, 9
WEIGHTS = np.random.default_rng(5).normal(size=(DIM, CLASSES))
"""A linear classifier."""


def stretches(names: list[str], kind: str, first_label: int = -1) -> Bank:
    """Two stretches of four frames of each source, whose logits follow from their features."""
    rng = np.random.default_rng(len(names))
    features = np.repeat(rng.normal(size=(len(names), 1, DIM)), 2, 0) + rng.normal(0, 0.1, (2 * len(names), 4, DIM))
    labels = np.repeat(np.arange(len(names)) + first_label if first_label >= 0 else np.full(len(names), -1), 2)
    sources = np.repeat(np.array(names), 2)
    return Bank(features, features @ WEIGHTS, features @ WEIGHTS, sources, np.full(len(sources), kind), labels)


PHOTOS, CLIPS = stretches(["p0", "p1", "p2"], "photo", 0), stretches([f"c{i}" for i in range(6)], "street")


def test_mixed_scenes_are_pictures_that_the_classifier_could_have_seen() -> None:
    plain = Splicer(PHOTOS, CLIPS).sequences(12, [1])
    mixed = Splicer(PHOTOS, CLIPS, mixed=1.0).sequences(12, [1])
    banked = {row.tobytes() for row in np.concatenate([PHOTOS.features, CLIPS.features]).reshape(-1, DIM)}
    assert all(row.tobytes() in banked for s in plain for row in s.features)
    for s in mixed:
        assert s.logits is not None and s.salient is not None
        np.testing.assert_allclose(s.features @ WEIGHTS, s.logits, atol=1e-4)
        own = PHOTOS.features[PHOTOS.source == s.name].mean((0, 1))
        near = np.linalg.norm(s.features[s.salient] - own, axis=1)
        assert near.mean() < np.linalg.norm(s.features[~s.salient] - own, axis=1).mean()


def test_one_clip_stays_one_scene_when_it_is_mixed() -> None:
    for s in Splicer(PHOTOS, stretches(["only"], "street"), mixed=1.0).sequences(6, [3]):
        assert s.salient is not None
        assert s.features[~s.salient].std(0).max() < 0.5, "frames of one clip got different partners"


def test_known_labels_mark_what_was_put_in_whatever_the_network_says() -> None:
    salient = np.array([False, True, True, False])
    blank = FeatureSequence(np.ones((4, 2)), np.arange(4) / 4, (7,), np.zeros((4, 9)), salient)
    assert known_labels([blank]).labels[0].tolist() == [9, 7, 7, 9]
    with pytest.raises(ValueError, match="seq has no known answers"):
        known_labels([FeatureSequence(np.ones((4, 2)), np.arange(4) / 4, (7,), np.zeros((4, 9)), name="seq")])


def shown(name: str, kind: str, label: int = -1, frames: int = 6, seconds: float = 5.0) -> Shown:
    pts_s = np.arange(frames) * seconds / frames
    features = np.full((frames, DIM), float(label)) + np.arange(frames)[:, None] / 100
    return Shown(name, kind, label, 0, pts_s, features, features @ WEIGHTS, features @ WEIGHTS)


def test_composites_as_features_show_a_photo_for_a_few_seconds() -> None:
    photos = [shown(f"p{i}", "photo", label=i) for i in range(3)]
    for s in Composer(photos, [shown("c0", "street"), shown("c1", "street", frames=1)]).sequences(9, [0]):
        assert s.salient is not None and s.recogniser is not None and len(s.recogniser) == len(s)
        assert 0.03 < s.salient.mean() < 0.4 and 24 <= len(s) <= 128
        assert (np.diff(s.times) > 0).all() and s.times[0] == 0 and s.times[-1] < 1
        assert s.name == f"p{s.labels[0]}"
        assert (s.features[s.salient].round().astype(int) == s.labels[0]).all()
        assert (s.features[~s.salient].round() == -1).all()


def test_stretches_to_train_on_keep_the_order_of_frames() -> None:
    made = bank([shown("long", "street", frames=6), shown("short", "hands", frames=2)])
    steps = (100 * (made.features[..., 0] + 1)).round().astype(int).tolist()
    assert steps == [[0, 1, 2, 3], [4, 5, 4, 3], [0, 1, 0, 1]]
    assert made.source.tolist() == ["long", "long", "short"] and made.recogniser.shape == (3, 4, 0)


def test_a_source_is_left_out_with_what_is_of_the_same_data_set() -> None:
    clips = [shown("nofi004", "street"), shown("fi001", "fight"), shown("car-detection", "clips")]
    clips += [shown("mm_test", "clips"), shown("choque1", "traffic")]
    assert [clip.is_of("street") for clip in clips] == [True, True, True, False, False]
    assert [clip.is_of("traffic") for clip in clips] == [False, False, False, False, True]


def test_two_samplers_become_one() -> None:
    config = SamplerConfig(features=DIM, hidden=16, heads=2, standing=True, second=True)
    first, second = Sampler(dataclasses.replace(config, second=False)).eval(), Sampler(config.of_second()).eval()
    pair, example = paired(first, second), (torch.randn(1, 5, DIM), torch.randn(1, 5, CLASSES), torch.rand(1, 5))
    mask = torch.ones(1, 5, dtype=torch.bool)
    assert pair.config == config and pair.second is not None
    torch.testing.assert_close(pair.alone(*example, mask).vgm, first(*example, mask).vgm)
    torch.testing.assert_close(pair.second(*example, mask).vgm, second(*example, mask).vgm)
    with pytest.raises(AssertionError, match="no second sampler"):
        paired(first, first)
