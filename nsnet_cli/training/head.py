"""The tag head of an own vocabulary: a linear classifier over the recogniser's features, frames weighted by saliency.

Made for little data: features are standardised, the weights are pulled to zero, and how strongly is chosen on videos
that the candidate has not seen. The fit is convex and runs to its end, so there is no seed in it but that of the folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

DECAYS = (1.0, 0.3, 0.1, 0.03, 0.01)
FOLDS = 4
STEPS = 100


@dataclass(frozen=True, slots=True)
class FittedHead:
    """weight (C, D2), bias (C,) over raw features (the standardisation is folded in); `decay` as chosen."""

    weight: np.ndarray
    bias: np.ndarray
    decay: float
    inner_loss: float
    """Mean loss of a video in the folds that chose the decay; nan where there were too few videos to choose."""


def fit_head(
    features: Sequence[np.ndarray],
    saliency: Sequence[np.ndarray],
    targets: np.ndarray,
    *,
    multi_label: bool,
    seed: int = 0,
    decays: Sequence[float] = DECAYS,
) -> FittedHead:
    """features: (T, D2) a video; saliency: (T,) a video; targets (N, C) in {0, 1} -> FittedHead.

    A frame counts in proportion to its saliency, a video as any other of its class, a class as any other.
    """
    data = _Data.of(features, saliency, targets, multi_label)
    folds = _folds(targets, seed)
    losses = np.full(len(decays), np.nan)
    if folds is not None:
        for row, decay in enumerate(decays):
            losses[row] = np.mean([_held_out(data, folds == fold, decay) for fold in range(folds.max() + 1)])
    chosen = len(decays) // 2 if folds is None else int(np.nanargmin(losses))
    weight, bias = _solve(data, np.ones(len(targets), dtype=bool), decays[chosen])
    folded = weight / data.std
    return FittedHead(
        weight=folded.numpy().astype(np.float32),
        bias=(bias - folded @ data.mean).numpy().astype(np.float32),
        decay=float(decays[chosen]),
        inner_loss=float(losses[chosen]),
    )


@dataclass(frozen=True, slots=True)
class _Data:
    """All frames side by side. x (F, D2) standardised, share (F,) of its video, owner (F,), targets (N, C), float64."""

    x: Tensor
    share: Tensor
    owner: Tensor
    targets: Tensor
    mean: Tensor
    std: Tensor
    multi_label: bool

    @classmethod
    def of(
        cls, features: Sequence[np.ndarray], saliency: Sequence[np.ndarray], targets: np.ndarray, multi_label: bool
    ) -> _Data:
        x = torch.from_numpy(np.concatenate(features).astype(np.float64))
        share = np.concatenate([s / s.sum() if s.sum() > 0 else np.full(len(s), 1 / len(s)) for s in saliency])
        owner = np.repeat(np.arange(len(features)), [len(f) for f in features])
        mean, std = x.mean(0), x.std(0)
        std = std.clamp_min(0.05 * float(std.mean()) + 1e-9)  # a feature that hardly moves must not be blown up
        return cls(
            (x - mean) / std,
            torch.from_numpy(share.astype(np.float64)),
            torch.from_numpy(owner),
            torch.from_numpy(targets.astype(np.float64)),
            mean,
            std,
            multi_label,
        )

    def losses(self, weight: Tensor, bias: Tensor, videos: Tensor) -> Tensor:
        """Saliency-weighted loss of each video in `videos` (N,) bool -> (videos,)."""
        frames = videos[self.owner]
        logits = self.x[frames] @ weight.T + bias  # (f, C)
        targets = self.targets[self.owner[frames]]
        if self.multi_label:
            each = binary_cross_entropy_with_logits(logits, targets, reduction="none").sum(1)
        else:
            each = -(targets / targets.sum(1, keepdim=True) * logits.log_softmax(1)).sum(1)
        total = torch.zeros(len(self.targets), dtype=each.dtype).index_add(
            0, self.owner[frames], each * self.share[frames]
        )
        return total[videos]

    def balance(self, videos: Tensor) -> Tensor:
        """(videos,) weights, mean 1, that give every class the same say."""
        targets = self.targets[videos]
        per_class = targets.sum(0).clamp_min(1)
        weight = (targets / per_class).sum(1) / targets.sum(1).clamp_min(1)
        return weight / weight.mean()


def _solve(data: _Data, chosen: np.ndarray, decay: float) -> tuple[Tensor, Tensor]:
    """Minimise mean loss + decay / 2 * |W|^2 / D2 * 100 by L-BFGS; the bias is free."""
    videos = torch.from_numpy(chosen)
    classes, dim = data.targets.shape[1], data.x.shape[1]
    weight = torch.zeros(classes, dim, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    balance = data.balance(videos)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=STEPS, history_size=10, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (data.losses(weight, bias, videos) * balance).mean() + decay / 2 * weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[arg-type]
    return weight.detach(), bias.detach()


def _held_out(data: _Data, held_out: np.ndarray, decay: float) -> float:
    weight, bias = _solve(data, ~held_out, decay)
    videos = torch.from_numpy(held_out)
    return float((data.losses(weight, bias, videos) * data.balance(videos)).mean())


def _folds(targets: np.ndarray, seed: int) -> np.ndarray | None:
    """(N,) fold of each video, dealt class by class; None where a class has fewer than two videos in all."""
    fewest = int(targets.sum(0).min())
    if fewest < 2:
        return None
    count = min(FOLDS, fewest)
    rng = np.random.default_rng(seed)
    folds = np.zeros(len(targets), dtype=int)
    by_class = sorted(rng.permutation(len(targets)), key=lambda row: int(targets[row].argmax()))
    folds[by_class] = np.arange(len(targets)) % count
    return folds
