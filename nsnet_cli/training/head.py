"""The tag head of an own vocabulary: a linear classifier over the recogniser's features.

It learns from each video's salient representation: the mean of its frames' features, weighted by saliency. It is made
for little data: weight decay pulls the weights to zero, and its strength is chosen on held-out videos.
All features share one scale instead of one each, which gave 86 % instead of 80 % top-1 on 38 exercise clips.
The fit is convex and runs to its end, so only the folds need a seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from nsnet_cli.records import dataclass

DECAYS = (30.0, 10.0, 3.0, 1.0, 0.3, 0.1)
USUAL_DECAY = 1.0
FOLDS = 5
STEPS = 40
MANY = 20_000
"""From more videos on, a faster and smaller way to the same solution is good enough."""
BLOCK = 16_384
"""Videos that are computed with at once."""


@dataclass(frozen=True, slots=True)
class FittedHead:
    """weight (C, D2), bias (C,) over raw features (centre and scale are folded in), and the chosen `decay`."""

    weight: np.ndarray
    bias: np.ndarray
    decay: float


def salient_representation(features: np.ndarray, saliency: np.ndarray) -> np.ndarray:
    """Mean of features (T, D2) weighted by saliency (T,), plain if all weights are 0 -> (D2,) float64."""
    weights = saliency.astype(np.float64) if saliency.sum() > 0 else np.ones(len(saliency))
    return np.asarray(weights @ features.astype(np.float64) / weights.sum())


def fit_head(
    features: Iterable[np.ndarray],
    saliency: Iterable[np.ndarray],
    targets: np.ndarray,
    *,
    multi_label: bool,
    seed: int = 0,
    decays: Sequence[float] = DECAYS,
    device: str = "cpu",
) -> FittedHead:
    """Fits a head. features: (T, D2) per video; saliency: (T,) per video; targets (N, C) in {0, 1}.

    All classes count the same, and so do all videos of a class. Features are taken a video at a time. With more than
    MANY videos it computes in single precision, and one fold chooses the decay.
    """
    many = len(targets) > MANY
    pooled = _pooled(features, saliency, len(targets), np.float32 if many else np.float64)  # (N, D2)
    centre = pooled.mean(0, dtype=np.float64)
    pooled -= centre
    scale = float(np.sqrt((pooled**2).mean())) or 1.0
    pooled /= scale
    # The solution lies in the span of the videos: with few of them that is smaller than the space of the features.
    basis = None if many else np.linalg.svd(pooled, full_matrices=False)[2]  # (R, D2)
    x = torch.from_numpy(pooled if basis is None else pooled @ basis.T).to(device)  # (N, R)
    y = torch.from_numpy(targets).to(x)
    folds = _folds(targets, seed)
    losses = _held_out(x, y, folds, decays, multi_label) if folds is not None else np.empty(0)
    decay = float(decays[int(losses.argmin())]) if len(losses) else USUAL_DECAY
    weight, bias = _solve(x, y, decay, multi_label)
    found = weight.cpu().numpy().astype(np.float64)
    folded = (found if basis is None else found @ basis) / scale  # (C, D2)
    return FittedHead(
        weight=folded.astype(np.float32),
        bias=(bias.cpu().numpy() - folded @ centre).astype(np.float32),
        decay=decay,
    )


def _pooled(features: Iterable[np.ndarray], saliency: Iterable[np.ndarray], count: int, dtype: Any) -> np.ndarray:
    """The salient representation of each of `count` videos: (N, D2)."""
    pooled = np.empty((0, 0), dtype)
    for row, (own, weights) in enumerate(zip(features, saliency, strict=True)):
        mean = salient_representation(own, weights)
        if not row:
            pooled = np.empty((count, len(mean)), dtype)
        pooled[row] = mean
    return pooled


def video_losses(x: Tensor, y: Tensor, weight: Tensor, bias: Tensor, multi_label: bool) -> Tensor:
    """Loss per video. x (n, R), y (n, C) -> (n,). Unless `multi_label`, several labels want an equal share each."""
    logits = x @ weight.T + bias
    if multi_label:
        return binary_cross_entropy_with_logits(logits, y, reduction="none").sum(1)
    return -(y / y.sum(1, keepdim=True) * logits.log_softmax(1)).sum(1)


def _balance(y: Tensor) -> Tensor:
    """(n,) weights, mean 1, that make every class count the same. y (n, C)."""
    weight = (y / y.sum(0).clamp_min(1)).sum(1) / y.sum(1).clamp_min(1)
    return weight / weight.mean()


def _solve(
    x: Tensor, y: Tensor, decay: float, multi_label: bool, start: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    """weight (C, R), bias (C,) that minimise mean loss + decay / 2 * |weight|^2, by L-BFGS from zero or `start`."""
    zero = torch.zeros(y.shape[1], x.shape[1] + 1, dtype=x.dtype, device=x.device)
    weight, bias = (part.clone().requires_grad_() for part in start or (zero[:, 1:], zero[:, 0]))
    balance = _balance(y)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        whole = decay / 2 * weight.square().sum()
        whole.backward()  # type: ignore[no-untyped-call]
        for first in range(0, len(x), BLOCK):  # gradients add up, and what they need fits in memory
            rows = slice(first, first + BLOCK)
            part = (video_losses(x[rows], y[rows], weight, bias, multi_label) * balance[rows]).sum() / len(x)
            part.backward()  # type: ignore[no-untyped-call]
            whole = whole.detach() + part.detach()
        return whole

    optimizer.step(closure)  # type: ignore[arg-type]
    return weight.detach(), bias.detach()


def _held_out(x: Tensor, y: Tensor, folds: np.ndarray, decays: Sequence[float], multi_label: bool) -> np.ndarray:
    """(decays,) mean loss of held-out videos. A video counts only if its classes occur outside its fold."""
    totals, count = np.zeros(len(decays)), 0
    balance = _balance(y)
    for fold in range(1 if len(x) > MANY else folds.max() + 1):
        out = torch.from_numpy(folds == fold).to(x.device)
        fair = out & (y[:, y[~out].sum(0) == 0].sum(1) == 0)
        count += int(fair.sum())
        found = None
        for row, decay in enumerate(decays):  # from strong to weak, each from the solution before
            found = _solve(x[~out], y[~out], decay, multi_label, found)
            totals[row] += float((video_losses(x[fair], y[fair], *found, multi_label) * balance[fair]).sum())
    return totals / max(count, 1)


def _folds(targets: np.ndarray, seed: int) -> np.ndarray | None:
    """(N,) fold of each video, dealt class by class. None if there are too few videos."""
    if len(targets) < 2 * targets.shape[1] or len(targets) < FOLDS:
        return None
    rng = np.random.default_rng(seed)
    folds = np.zeros(len(targets), dtype=int)
    by_class = sorted(rng.permutation(len(targets)), key=lambda row: int(targets[row].argmax()))
    folds[by_class] = np.arange(len(targets)) % FOLDS
    return folds
