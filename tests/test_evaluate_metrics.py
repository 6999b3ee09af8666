"""Metrics against cases worked out by hand and against slow, literal definitions."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from nsnet_cli.labelled.metrics import average_precision, inside, mean_average_precision, roc_auc, top_k_accuracy


def slow_auc(scores: np.ndarray, positive: np.ndarray) -> float:
    pairs = list(product(scores[positive], scores[~positive]))
    return sum(1.0 if p > n else 0.5 if p == n else 0.0 for p, n in pairs) / len(pairs)


def slow_ap(scores: np.ndarray, positive: np.ndarray) -> float:
    total, recall_before = 0.0, 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        taken = scores >= threshold
        recall, precision = (taken & positive).sum() / positive.sum(), (taken & positive).sum() / taken.sum()
        total += (recall - recall_before) * precision
        recall_before = recall
    return total


def test_average_precision_by_hand() -> None:
    # ranked: + - + -  -> 1/2 * 1/1 + 1/2 * 2/3
    assert average_precision(np.array([0.9, 0.8, 0.7, 0.1]), np.array([1, 0, 1, 0])) == pytest.approx(5 / 6)
    assert average_precision(np.array([0.9, 0.1]), np.array([1, 0])) == 1.0
    assert average_precision(np.array([0.5, 0.5, 0.5, 0.5]), np.array([1, 0, 0, 0])) == pytest.approx(0.25)
    assert math.isnan(average_precision(np.array([0.5]), np.array([0])))


def test_order_does_not_matter_between_equal_scores() -> None:
    scores = np.array([0.9, 0.5, 0.5, 0.5, 0.1])
    first, last = np.array([0, 1, 0, 0, 0], dtype=bool), np.array([0, 0, 0, 1, 0], dtype=bool)
    assert average_precision(scores, first) == average_precision(scores, last) == pytest.approx(1 / 4)
    assert roc_auc(scores, first) == roc_auc(scores, last) == pytest.approx((0 + 0.5 + 0.5 + 1) / 4)


def test_roc_auc_by_hand() -> None:
    assert roc_auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1])) == pytest.approx(0.75)
    assert roc_auc(np.array([0.2, 0.1]), np.array([1, 0])) == 1.0
    assert roc_auc(np.array([0.1, 0.2]), np.array([1, 0])) == 0.0
    assert math.isnan(roc_auc(np.array([0.1, 0.2]), np.array([1, 1])))


@pytest.mark.parametrize("seed", range(20))
def test_against_the_slow_definitions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 8, 40) / 8 if seed % 2 else rng.random(40)
    positive = rng.random(40) < 0.3
    positive[0], positive[1] = True, False
    assert roc_auc(scores, positive) == pytest.approx(slow_auc(scores, positive))
    assert average_precision(scores, positive) == pytest.approx(slow_ap(scores, positive))


def test_top_k_counts_any_of_a_videos_labels() -> None:
    scores = np.array([[0.5, 0.3, 0.2], [0.1, 0.7, 0.2], [0.2, 0.2, 0.6]])
    labels = [(0,), (2,), (0, 1)]
    assert top_k_accuracy(scores, labels, 1) == pytest.approx(1 / 3)
    assert top_k_accuracy(scores, labels, 2) == 1.0
    assert top_k_accuracy(scores, labels, 5) == 1.0


def test_mean_average_precision_is_over_the_classes_that_occur() -> None:
    scores = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.6, 0.4, 0.0]])
    labels = [(0,), (1,), (1,)]  # class 0: ranked + - - -> 1; class 1: 0.8 + 0.4 + 0.1 - -> 1; class 2 never occurs
    assert mean_average_precision(scores, labels) == 1.0
    assert mean_average_precision(scores, [(1,), (1,), (0,)]) == pytest.approx(
        (1 / 2 + (1 / 2 * 1 + 1 / 2 * 2 / 3)) / 2
    )


def tied_scores(seed: int) -> tuple[np.ndarray, list[tuple[int, ...]]]:
    """30 videos, 8 classes: few distinct scores, some videos with two labels, and class 5 in none."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(1, 6, (30, 8)).astype(float)
    present = np.array([0, 1, 2, 3, 4, 6, 7])
    labels = [tuple(sorted(rng.choice(present, 1 + (row % 4 == 0), replace=False).tolist())) for row in range(30)]
    return scores / scores.sum(1, keepdims=True) if seed % 2 else scores / 8, labels


@pytest.mark.parametrize("seed", range(6))
def test_map_is_that_of_scikit_learn(seed: int) -> None:
    """With ties, several labels and a class that no video shows: left out, or 0 as AR-Net counts it."""
    sklearn = pytest.importorskip("sklearn.metrics", reason="needs scikit-learn, of the test group")
    scores, labels = tied_scores(seed)
    targets = np.array([[c in own for c in range(8)] for own in labels])
    shown = targets.any(0)
    assert not shown.all()
    theirs = sklearn.average_precision_score(targets[:, shown], scores[:, shown], average="macro")
    assert mean_average_precision(scores, labels) == pytest.approx(theirs)
    each = [sklearn.average_precision_score(targets[:, c], scores[:, c]) if shown[c] else 0.0 for c in range(8)]
    assert mean_average_precision(scores, labels) * shown.mean() == pytest.approx(np.mean(each))
    rng = np.random.default_rng(seed)
    distinct, first = rng.permutation(scores.size).reshape(scores.shape), np.array([own[0] for own in labels])
    single = [(int(label),) for label in first]
    for k in (1, 5):
        theirs = sklearn.top_k_accuracy_score(first, distinct, k=k, labels=range(8))
        assert top_k_accuracy(distinct, single, k) == pytest.approx(theirs)


@pytest.mark.parametrize("seed", range(6))
def test_map_is_that_of_torchmetrics(seed: int) -> None:
    torchmetrics = pytest.importorskip("torchmetrics.classification", reason="needs torchmetrics, of no group")
    import torch

    scores, labels = tied_scores(seed)
    targets = torch.tensor([[int(c in own) for c in range(8)] for own in labels])
    shown = np.flatnonzero(targets.any(0).numpy())
    made = torchmetrics.MultilabelAveragePrecision(8, average=None)(torch.from_numpy(scores), targets).numpy()
    assert mean_average_precision(scores, labels) == pytest.approx(float(np.mean(made[shown])), abs=1e-6)


def test_inside_counts_the_start_and_not_the_end() -> None:
    marks = inside(np.array([0.0, 1.0, 1.5, 2.0, 2.1, 5.0]), [(1.0, 2.0), (5.0, 6.0)])
    assert marks.tolist() == [False, True, True, False, False, True]
    assert inside(np.array([9 + 11 / 12, 15.0 - 1e-9]), [(9.917, 15.0)]).tolist() == [True, False]  # milliseconds
    assert not inside(np.array([0.0]), []).any()
