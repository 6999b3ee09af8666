"""Made sequences and made footage: mixed scenes, harder pictures, and composites as features."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nsnet_cli.training import synthetic
from nsnet_cli.training.prototypes import known_labels
from nsnet_cli.training.sequences import FeatureSequence
from nsnet_cli.training.splice import Bank, Splicer

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

DIM, CLASSES = 12, 9
WEIGHTS = np.random.default_rng(5).normal(size=(DIM, CLASSES))
"""A linear classifier."""


def bank(names: list[str], kind: str, first_label: int = -1) -> Bank:
    """Two stretches of four frames of each source, whose logits follow from their features."""
    rng = np.random.default_rng(len(names))
    features = np.repeat(rng.normal(size=(len(names), 1, DIM)), 2, 0) + rng.normal(0, 0.1, (2 * len(names), 4, DIM))
    labels = np.repeat(np.arange(len(names)) + first_label if first_label >= 0 else np.full(len(names), -1), 2)
    sources = np.repeat(np.array(names), 2)
    return Bank(features, features @ WEIGHTS, features @ WEIGHTS, sources, np.full(len(sources), kind), labels)


PHOTOS, CLIPS = bank(["p0", "p1", "p2"], "photo", 0), bank([f"c{i}" for i in range(6)], "street")


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
    for s in Splicer(PHOTOS, bank(["only"], "street"), mixed=1.0).sequences(6, [3]):
        assert s.salient is not None
        assert s.features[~s.salient].std(0).max() < 0.5, "frames of one clip got different partners"


def test_known_labels_mark_what_was_put_in_whatever_the_network_says() -> None:
    salient = np.array([False, True, True, False])
    blank = FeatureSequence(np.ones((4, 2)), np.arange(4) / 4, (7,), np.zeros((4, 9)), salient)
    assert known_labels([blank]).labels[0].tolist() == [9, 7, 7, 9]
    with pytest.raises(ValueError, match="seq has no known answers"):
        known_labels([FeatureSequence(np.ones((4, 2)), np.arange(4) / 4, (7,), np.zeros((4, 9)), name="seq")])


@pytest.mark.parametrize("change", ["_darken", "_shake", "_fade", "_title", "_inset"])
def test_harder_pictures_differ_and_keep_their_size(change: str) -> None:
    rng = np.random.default_rng(0)
    frames = [Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)) for _ in range(3)]
    made = getattr(synthetic, change)(frames, random.Random(4))
    assert [image.size for image in made] == [(64, 64)] * 3
    assert all(np.asarray(a).tobytes() != np.asarray(b).tobytes() for a, b in zip(frames, made, strict=True))
    again = getattr(synthetic, change)(frames, random.Random(4))
    assert all(np.asarray(a).tobytes() == np.asarray(b).tobytes() for a, b in zip(made, again, strict=True))


def test_harden_draws_one_or_two_of_them() -> None:
    frames = [Image.new("RGB", (48, 48), (90, 120, 60))] * 2
    for seed in range(12):
        made = synthetic.harden(frames, random.Random(seed))
        assert len(made) == 2 and made[0].size == (48, 48) and made[0].mode == "RGB"


def test_composites_as_features_have_a_photo_of_a_few_seconds() -> None:
    from as_composites import Composer

    for s in Composer(PHOTOS, CLIPS).sequences(9, [0]):
        assert s.salient is not None and s.recogniser is not None and len(s.recogniser) == len(s)
        assert 0.03 < s.salient.mean() < 0.4 and 24 <= len(s) <= 128
        assert (np.diff(s.times) > 0).all() and s.times[0] == 0 and s.times[-1] < 1
        label = int(PHOTOS.label[PHOTOS.source == s.name][0])
        assert s.labels == (label,)


def test_a_source_is_left_out_with_what_was_filmed_by_the_same_people() -> None:
    from loso_bank import Columns

    kinds = np.array(["street", "fight", "clips", "clips", "traffic", "slate"])
    sources = np.array(["nofi004", "fi001", "car-detection", "mm_test", "choque1", "slate 1"])
    shown = np.zeros((6, 1, 1), np.float16)
    columns = Columns(Bank(shown, shown, shown, sources, kinds, np.full(6, -1)), *np.zeros((3, 6)))
    assert columns.left_out("street").tolist() == [True, True, True, False, False, False]
    assert columns.left_out("traffic").tolist() == [False, False, False, False, True, False]
