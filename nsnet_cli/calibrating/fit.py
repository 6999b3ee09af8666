"""Fits the calibration: a logistic regression with monotone signs and a little trust per node.

The trust of a node is held near zero by a penalty, and a node that the videos never show has none. So some hundred
videos are enough. Each video weighs the same, however many nodes it has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch

from nsnet_cli.calibrating.examples import Examples
from nsnet_cli.calibration import Calibration
from nsnet_cli.hierarchy import Hierarchy

WEIGHT_PENALTY = 1e-2
TRUST_PENALTY = 3e-3
MOST_STEPS = 300


def fit(videos: Sequence[Examples], names: tuple[str, ...], hierarchy: Hierarchy) -> Calibration:
    """Returns the calibration that fits these videos best. `names` are the columns of their signs."""
    torch.set_num_threads(max(1, torch.get_num_threads()))
    signs = np.concatenate([video.signs for video in videos])
    nodes = np.concatenate([video.nodes for video in videos])
    right = torch.tensor(np.concatenate([video.right for video in videos]), dtype=torch.float64)
    share = torch.tensor(np.concatenate([np.full(len(v.nodes), 1 / max(1, len(v.nodes))) for v in videos]))
    mean, spread = signs.mean(0), signs.std(0) + 1e-6
    scaled = torch.tensor((signs - mean) / spread)
    free = torch.tensor([name == "leaves" for name in names])
    known, column = np.unique(nodes, return_inverse=True)
    index = torch.tensor(column)
    raw = torch.zeros(len(names), dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    trust = torch.zeros(len(known), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([raw, bias, trust], max_iter=MOST_STEPS, line_search_fn="strong_wolfe")

    def weights() -> torch.Tensor:
        return torch.where(free, raw, torch.nn.functional.softplus(raw))

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        logits = scaled @ weights() + bias + trust[index]
        wrong = torch.nn.functional.binary_cross_entropy_with_logits(logits, right, reduction="none")
        total = (share * wrong).sum() / share.sum()
        total = total + WEIGHT_PENALTY * (weights() ** 2).sum() + TRUST_PENALTY * (trust**2).sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    slopes = weights().detach().numpy() / spread
    given = {hierarchy.nodes[row].id: round(float(t), 4) for row, t in zip(known, trust.detach().numpy(), strict=True)}
    return Calibration(
        names,
        tuple(round(float(slope), 6) for slope in slopes),
        round(float(bias.detach()[0] - slopes @ mean), 6),
        {node: t for node, t in given.items() if t},
    )


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
