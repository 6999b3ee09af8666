"""Folds of a data set. Videos of one source share a fold, so that no video is judged by a model that saw its source."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def fold_of(path: Path, folds: int = 5) -> int:
    """The fold of a file, from a hash of its name: the same on every machine and in every run."""
    return int(hashlib.sha1(path.stem.encode()).hexdigest(), 16) % folds


def deal_folds(labels: Sequence[int], sources: Sequence[str], folds: int, seed: int) -> np.ndarray:
    """Deals N videos into folds and returns the fold of each, (N,).

    `labels`: the class of each video. `sources`: what was filmed; videos of one source share a fold, whatever their
    class. Big sources go first, each to the fold that has the fewest videos of its classes.
    """
    groups: dict[str, list[int]] = {}
    for row, source in enumerate(sources):
        groups.setdefault(source, []).append(row)
    order, rng = sorted(groups), np.random.default_rng(seed)
    order = sorted((order[i] for i in rng.permutation(len(order))), key=lambda source: -len(groups[source]))
    fold = np.zeros(len(labels), dtype=int)
    load = np.zeros((folds, 1 + max(labels)))
    for source in order:
        rows = groups[source]
        own = np.bincount([labels[row] for row in rows], minlength=load.shape[1])  # (C,)
        chosen = int(np.argmin(load @ own / len(rows) * len(labels) + load.sum(1)))
        fold[rows] = chosen
        load[chosen] += own
    return fold
