"""The options of a training run, its reports, and the state that an interrupted run resumes from."""

from __future__ import annotations

import io
import math
from dataclasses import asdict, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel

from nsnet_cli.atomic import write_whole
from nsnet_cli.nets.sampler import Sampler, SamplerConfig
from nsnet_cli.records import dataclass
from nsnet_cli.training.prototypes import PseudoLabels

STATE_VERSION = 4


@dataclass(frozen=True, slots=True)
class FitOptions:
    epochs: int = 40
    batch: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    video_weight: float = 1.0
    """Weight of the video-level losses relative to the frame-level one."""
    attention_weight: float = 1.0
    """Weight of the attention's own loss on the frames' labels. Own vocabulary, or `known`, only."""
    known: bool = False
    """Made sequences: the frames' labels are the known answers, not pseudo labels. Fixed vocabulary only."""
    patience: int = 10
    """Training stops after this many epochs without a better held-out loss and keeps the best. 0: keeps the last."""
    held_out: float = 0.2
    """Share of the videos held out of training if no held-out set is given."""
    refine_at: tuple[float, ...] = (0.25, 0.5)
    """When the prototypes are refined with the current saliency, as shares of `epochs`. Own vocabulary only."""
    thin: float = 0.5
    """At most this share of a sequence's frames is left out at random per epoch, so that no frame rate is special."""
    average: float = 0.0
    """Share of the past in the running mean of the weights; the mean is measured and kept. 0: no mean."""
    seed: int = 0
    device: str = "cpu"
    """'cuda': on an NVIDIA GPU, with half precision where that is good enough."""


@dataclass(frozen=True, slots=True)
class EpochReport:
    """One epoch: mean losses in training, the held-out loss, and whether the epoch is the best so far."""

    epoch: int
    epochs: int
    loss: float
    frame: float
    salient: float
    non_salient: float
    attention: float
    held_out_loss: float
    best: bool
    refinements: int


@dataclass(slots=True)
class State:
    """Everything that a resumed run needs."""

    sampler: Sampler
    optimizer: torch.optim.Optimizer
    mean: AveragedModel | None = None
    pseudo: PseudoLabels | None = None
    epoch: int = 0  # epochs done
    best_loss: float = math.inf
    best: dict[str, torch.Tensor] = field(default_factory=dict)
    stale: int = 0
    history: list[EpochReport] = field(default_factory=list)


def _identity(config: SamplerConfig, options: FitOptions) -> dict[str, Any]:
    return {
        "version": STATE_VERSION,
        "config": config.to_dict(),
        "options": {**asdict(options), "refine_at": list(options.refine_at)},
    }


def save_state(state: State, config: SamplerConfig, options: FitOptions, path: Path | None) -> None:
    """Writes the state whole: an interrupt leaves that of the epoch before."""
    if path is None or state.pseudo is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    pseudo, buffer = state.pseudo, io.BytesIO()  # on a full disk torch raises a RuntimeError that names no file
    torch.save(
        {
            "identity": _identity(config, options),
            "sampler": state.sampler.state_dict(),
            "optimizer": state.optimizer.state_dict(),
            "mean": None if state.mean is None else state.mean.state_dict(),
            "best": state.best,
            "pseudo": torch.as_tensor(np.concatenate(pseudo.labels, dtype=np.int32)) if config.classes else None,
            "lengths": [len(labels) for labels in pseudo.labels],
            "pseudo_state": (pseudo.told_apart, pseudo.rounds),
            "counters": (state.epoch, state.best_loss, state.stale),
            "history": [asdict(report) for report in state.history],
        },
        buffer,
    )
    write_whole(path, buffer.getvalue())


def load_state(state: State, config: SamplerConfig, options: FitOptions, path: Path) -> None:
    saved = torch.load(path, weights_only=True, map_location="cpu")
    if saved["identity"] != _identity(config, options):
        raise RuntimeError(
            f"{path} is the state of a run with other settings; delete it or train with the same settings"
        )
    state.sampler.load_state_dict(saved["sampler"])
    state.optimizer.load_state_dict(saved["optimizer"])
    if state.mean is not None:
        state.mean.load_state_dict(saved["mean"])
    state.best = saved["best"]
    state.epoch, state.best_loss, state.stale = saved["counters"]
    state.history = [EpochReport(**report) for report in saved["history"]]
    if saved["pseudo"] is not None:
        labels = np.split(saved["pseudo"].numpy().astype(np.int64), np.cumsum(saved["lengths"])[:-1])
        state.pseudo = PseudoLabels(tuple(labels), *saved["pseudo_state"])
    elif not config.classes:
        state.pseudo = None  # the frozen classifier makes them again
