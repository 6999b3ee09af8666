"""Training on labels as people have them: rare classes, one clip of a class, wrong labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from nsnet_cli.evaluation.policies import video_scores
from nsnet_cli.labelled.labels import Split
from nsnet_cli.nets.threads import one_thread
from nsnet_cli.training.dataset import Dataset, Example, deal
from nsnet_cli.training.fit import EVEN, MOST_TIMES, epoch_rows
from nsnet_cli.training.scored import Scored
from nsnet_cli.training.train import TrainOptions, fit_all
from nsnet_cli.types import TagName

CLASSES, DIM, FRAMES = 3, 24, 12


def videos(labels: Sequence[int], seed: int, split: Split | None = None) -> list[Example]:
    """Four frames of each video show its class, weakly; the others one of four backgrounds that all share."""
    rng = np.random.default_rng(seed)
    made = []
    for index, label in enumerate(labels):
        features = rng.normal(0, 0.5, (FRAMES, DIM)).astype(np.float32)
        features[:, CLASSES + int(rng.integers(4))] += 2
        start = int(rng.integers(0, FRAMES - 4))
        features[start : start + 4, label] += 2
        times = (np.arange(FRAMES, dtype=np.float32) + 0.5) / FRAMES
        made.append(Example(f"{split} {index}", (label,), times, features, None, features, split=split))
    return made


def recall(trained_on: Sequence[Example]) -> np.ndarray:
    """(C,) share of 20 new videos of each class whose first tag is right."""
    test = videos(np.repeat(np.arange(CLASSES), 20).tolist(), 99, "test")
    names = tuple(TagName(str(i), str(i)) for i in range(CLASSES))
    dataset = deal(Dataset((*trained_on, *test), names, "made up", False), 0.2, 0)
    with one_thread():
        made = fit_all(dataset, TrainOptions(epochs=6))
    assert made.head is not None
    scored = Scored(dataset.of("test"), made.sampler, made.head, False)
    right = np.array([video_scores(video, "nsnet", 4).argmax() in video.labels for video in scored])
    return right.reshape(CLASSES, 20).mean(1)


def test_a_class_ten_times_as_frequent_does_not_swallow_a_rare_one() -> None:
    found = recall(videos([0] * 60 + [1] * 60 + [2] * 6, 0))
    assert found[:2].min() >= 0.9 and found[2] >= 0.8, found


def test_a_class_with_one_clip_is_learned_and_the_others_stay() -> None:
    found = recall(videos([0] * 20 + [1] * 20 + [2], 0))
    assert found[:2].min() >= 0.9 and found[2] >= 0.5, found


def test_a_fifth_of_wrong_labels_costs_little() -> None:
    rng, right = np.random.default_rng(0), np.arange(90) % CLASSES
    made = videos(right.tolist(), 0)
    wrong = rng.permutation(90)[:18]
    for index in wrong:
        label = int((right[index] + rng.integers(1, CLASSES)) % CLASSES)
        old = made[index]
        made[index] = Example(old.name, (label,), old.times, old.features, None, old.recogniser)
    found = recall(made)
    assert found.mean() >= 0.9, found


# ---- which videos an epoch takes ------------------------------------------------------------------------------------


def test_an_epoch_takes_each_video_once_where_classes_are_about_even() -> None:
    labels = [(0,)] * 10 * EVEN + [(1,)] * 10
    rows = epoch_rows(labels, np.random.default_rng(0))
    assert sorted(rows.tolist()) == list(range(len(labels)))
    np.testing.assert_array_equal(rows, np.random.default_rng(0).permutation(len(labels)))


def test_an_epoch_takes_rare_classes_as_often_as_frequent_ones() -> None:
    labels = [(0,)] * 1000 + [(1,)] * 100 + [(2,)]
    rows = epoch_rows(labels, np.random.default_rng(0))
    times = np.bincount(rows, minlength=len(labels))
    assert abs(times[:1000].sum() - 367) < 30 and abs(times[1000:1100].sum() - 367) < 30
    assert times[1100] == MOST_TIMES and times[:1000].max() == 1
    other = epoch_rows(labels, np.random.default_rng(1))
    assert set(rows) != set(other)  # another epoch takes others of the frequent class


@pytest.mark.parametrize("several", [[(0, 1)] * 50 + [(1, 2)] * 2, [(0,), (0, 2), *[(0,)] * 40]])
def test_of_several_labels_the_rarest_counts(several: list[tuple[int, ...]]) -> None:
    times = np.bincount(epoch_rows(several, np.random.default_rng(0)), minlength=len(several))
    rare = [row for row, labels in enumerate(several) if 2 in labels]
    assert min(times[rare]) > max(np.delete(times, rare))
