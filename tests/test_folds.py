"""Folds: a source is never on both sides of one, whatever its tags, and each fold has its part of every tag."""

from __future__ import annotations

import numpy as np
import pytest

from nsnet_cli.labelled.folds import deal_folds


@pytest.mark.parametrize("seed", range(5))
def test_a_source_with_two_tags_is_in_one_fold(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sources = [f"place {n}" for n in rng.integers(0, 20, 80)]
    labels = rng.integers(0, 2, 80).tolist()
    fold = deal_folds(labels, sources, 5, seed)
    assert all(len({int(fold[i]) for i in range(80) if sources[i] == place}) == 1 for place in set(sources))
    counts = np.array([np.bincount(np.array(labels)[fold == k], minlength=2) for k in range(5)])
    assert counts.min() >= 4 and np.ptp(counts.sum(1)) <= 8


def test_videos_of_their_own_are_dealt_evenly_tag_by_tag() -> None:
    labels = [0] * 10 + [1] * 10 + [2] * 2
    fold = deal_folds(labels, [f"{n}.mp4" for n in range(22)], 5, 0)
    counts = np.array([np.bincount(np.array(labels)[fold == k], minlength=3) for k in range(5)])
    assert counts[:, :2].tolist() == [[2, 2]] * 5 and counts[:, 2].max() == 1
    assert not np.array_equal(fold, deal_folds(labels, [f"{n}.mp4" for n in range(22)], 5, 1))
