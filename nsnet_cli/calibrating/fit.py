"""Fits the calibration: a logistic regression with monotone signs and a little trust per node.

Weights and trust are held near zero by Gaussian priors, and a node that the videos never show has no trust. So some
hundred videos are enough. Videos of one source say nearly the same: n of them count as much as the square root of n.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch

from nsnet_cli.calibrating.examples import Examples
from nsnet_cli.calibration import Calibration
from nsnet_cli.hierarchy import Hierarchy

WEIGHT_SPREAD = 3.0
"""Standard deviation of the prior of a sign's weight, for signs with a standard deviation of one."""
TRUST_SPREAD = 1.5
"""Standard deviation of the prior of a node's trust, in log-odds."""
LEAST_SPREAD = 0.05
"""A sign that varies less than this over the videos says nothing; its weight must not become huge."""
MOST_STEPS = 300


def fit(videos: Sequence[Examples], names: tuple[str, ...], hierarchy: Hierarchy) -> Calibration:
    """Returns the calibration that fits these videos best. `names` are the columns of their signs."""
    signs = np.concatenate([video.signs for video in videos])
    rows, index = np.unique(np.concatenate([video.nodes for video in videos]), return_inverse=True)
    mean, spread = signs.mean(0), np.maximum(signs.std(0), LEAST_SPREAD)
    weights, bias, trust = _most_likely(
        torch.tensor((signs - mean) / spread),
        torch.tensor(index),
        torch.tensor(np.concatenate([video.right for video in videos]).astype(np.float64)),
        torch.tensor(_counts(videos)),
        torch.tensor([name == "leaves" for name in names]),
    )
    slopes = weights / spread
    given = {hierarchy.nodes[row].id: round(float(t), 3) for row, t in zip(rows, trust, strict=True)}
    return Calibration(
        names,
        tuple(round(float(slope), 5) for slope in slopes),
        round(float(bias - slopes @ mean), 5),
        {node: t for node, t in given.items() if t},
    )


def _counts(videos: Sequence[Examples]) -> np.ndarray:
    """How much each node of each video counts."""
    sources = Counter(source for source, _ in {(video.truth.source, video.truth.path) for video in videos})
    each = [video.truth.weight * video.count / math.sqrt(sources[video.truth.source]) for video in videos]
    return np.concatenate([np.full(len(video.nodes), count) for video, count in zip(videos, each, strict=True)])


def _most_likely(
    signs: torch.Tensor, node: torch.Tensor, right: torch.Tensor, counts: torch.Tensor, free: torch.Tensor
) -> tuple[np.ndarray, float, np.ndarray]:
    """Returns weights (S,), bias and trust per node. Weights are not negative, but for those that are `free` (S,)."""
    raw = torch.zeros(signs.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    trust = torch.zeros(int(node.max()) + 1, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([raw, bias, trust], max_iter=MOST_STEPS, line_search_fn="strong_wolfe")

    def weights() -> torch.Tensor:
        return torch.where(free, raw, torch.nn.functional.softplus(raw))

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        logits = signs @ weights() + bias + trust[node]
        each = torch.nn.functional.binary_cross_entropy_with_logits(logits, right, reduction="none")
        prior = (weights() ** 2).sum() / WEIGHT_SPREAD**2 + (trust**2).sum() / TRUST_SPREAD**2
        total = (counts * each).sum() + prior / 2
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    return weights().detach().numpy(), float(bias.detach()), trust.detach().numpy()


def cross_validated(
    videos: Sequence[Examples], names: tuple[str, ...], hierarchy: Hierarchy, folds: int = 5
) -> list[Calibration]:
    """Returns for each video a calibration that was fitted without its source."""
    fold = {video.truth.source: fold_of(video.truth.source, folds) for video in videos}
    fitted = {}
    for left_out in sorted(set(fold.values())):
        rest = [video for video in videos if fold[video.truth.source] != left_out]
        fitted[left_out] = fit(rest, names, hierarchy)
    return [fitted[fold[video.truth.source]] for video in videos]


def fold_of(source: str, folds: int) -> int:
    """Returns the fold of a source: the same on every machine."""
    return int(hashlib.sha256(source.encode()).hexdigest(), 16) % folds
