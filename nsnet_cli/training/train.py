"""`nsnet train`: a dataset in, a checkpoint folder out. First the sampler, then the tag head on what it finds salient.

An interrupted run resumes: the sampler's state is kept in the output folder after each epoch. Its name is a hash of the
data and the options, so that no other run can pick it up.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nsnet_cli.calibrating.show import card_section, with_section
from nsnet_cli.errors import DeviceError, UsageError
from nsnet_cli.labelled.labels import Split
from nsnet_cli.nets.sampler import Sampler, SamplerConfig
from nsnet_cli.nets.threads import one_thread
from nsnet_cli.progress import Progress, progress
from nsnet_cli.records import dataclass
from nsnet_cli.training.calibrated import LATER, Calibrated, calibrate_own
from nsnet_cli.training.card import model_card
from nsnet_cli.training.dataset import Dataset
from nsnet_cli.training.finetune import check_tunable, fine_tune
from nsnet_cli.training.fit import EpochReport, FitOptions, fit
from nsnet_cli.training.head import FittedHead
from nsnet_cli.training.salient_frames import Videos
from nsnet_cli.training.scored import Scored, head_of, held_out_metrics, sequence
from nsnet_cli.training.state import STATE_VERSION
from nsnet_cli.weights.checkpoint import READY_FEATURES, Checkpoint, Kind, write_checkpoint
from nsnet_cli.weights.identity import network_identity
from nsnet_cli.weights.rows import NetworkUse
from nsnet_cli.weights.tuned import place_tuned, use_config

logger = logging.getLogger(__name__)

STATE_FOLDER = ".nsnet-train"
GPU_VIDEOS = 20_000


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """What the user chose. `kind`: the vocabulary is that of the labels, or the fixed one of the preview network."""

    kind: Kind = "own-vocabulary"
    epochs: int = 40
    seed: int = 0
    frames: int = 4
    """K, the number of frames to recognise, that the checkpoint is made for."""
    preview: int = 128
    device: str = "cpu"
    """What the training computes on, 'cpu' or 'cuda': see training_device."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What training made. `head` is None for a fixed vocabulary."""

    sampler: Sampler
    head: FittedHead | None
    metrics: dict[str, float]
    calibrated: Calibrated | None = None
    """None: the vocabulary is fixed, or there are too few held-out videos."""


def train(
    dataset: Dataset,
    base: Checkpoint,
    options: TrainOptions,
    out: Path,
    *,
    command: str = "",
    videos: Videos | None = None,
) -> dict[str, Any]:
    """Trains on a dataset with splits, writes the folder `out`, returns its config. Raises UsageError, WeightsError.

    With `videos` the recogniser is fine-tuned on their salient frames, if that makes it better.
    """
    check(dataset, options)
    if videos is not None:
        check_tunable(dataset, base)
    networks = _networks(dataset, base, options.kind == "own-vocabulary")
    state = out / STATE_FOLDER / f"{_fingerprint(dataset, base, options)}.pt"
    if state.exists():
        logger.info("continuing the interrupted run in %s", out)
    with one_thread(), progress("training", options.epochs, "epochs") as bar:
        try:
            made = fit_all(dataset, options, state=state, on_epoch=partial(_show_epoch, bar))
        except OSError as error:
            raise UsageError(f"cannot write to {out}: {error}", "choose another folder with -o") from error
    if videos is not None:
        base, made = _tuned(dataset, base, options, made, out, videos)
        networks["recogniser"] = use_config(base.recogniser)
    config = {
        "name": out.resolve().name,
        "kind": options.kind,
        "license": base.license,
        **networks,
        **_config(dataset, base, options, made, command),
    }
    card = model_card(config, len(dataset.examples))
    if made.calibrated:
        card = with_section(card, card_section(made.calibrated[1], ""))
    place_tuned(base.recogniser, out)
    write_checkpoint(out, config, tensors(made), card)
    shutil.rmtree(out / STATE_FOLDER, ignore_errors=True)
    return config


def _tuned(
    dataset: Dataset, base: Checkpoint, options: TrainOptions, made: Trained, out: Path, videos: Videos
) -> tuple[Checkpoint, Trained]:
    """The checkpoint and the training with a fine-tuned recogniser, or both as they were if that is no better."""
    found = fine_tune(dataset, base, made.sampler, videos, out / STATE_FOLDER, options.frames, options.seed)
    if found is None:
        return base, made
    metrics = {**made.metrics, **found.metrics}
    splits: tuple[Split, ...] = ("val", "test")
    for split in splits:
        metrics |= held_out_metrics(found.dataset, split, made.sampler, found.head, options.frames)
    val = found.dataset.of("val")
    scored = Scored(val, made.sampler, found.head, dataset.multi_label)
    calibrated = calibrate_own(found.dataset, val, scored, options.frames, options.seed)
    return found.checkpoint, replace(made, head=found.head, metrics=metrics, calibrated=calibrated)


def _show_epoch(bar: Progress, report: EpochReport) -> None:
    bar.update(done=report.epoch)
    best = ", best so far" if report.best else ""
    logger.debug("epoch %d: loss %.4f, held out %.4f%s", report.epoch, report.loss, report.held_out_loss, best)


def fit_all(
    dataset: Dataset,
    options: TrainOptions,
    *,
    state: Path | None = None,
    on_epoch: Callable[[EpochReport], None] = lambda report: None,
) -> Trained:
    """Trains on the train videos, stops early by the val videos, measures on val and test, calibrates on val.

    The head chooses its weight decay within its own data, so it needs no val videos. Once it is measured on them it is
    fitted again on train and val: with little data a fifth more is worth several points.
    """
    own = options.kind == "own-vocabulary"
    fitted, val = dataset.of("train"), dataset.of("val")
    config = SamplerConfig(int(fitted[0].features.shape[1]), len(dataset.vocabulary) if own else 0)
    result = fit(
        [sequence(example) for example in fitted],
        config,
        FitOptions(epochs=options.epochs, seed=options.seed, device=options.device),
        held_out=[sequence(example) for example in val or fitted],
        progress=on_epoch,
        resume=state,
    )
    metrics = {f"sampler_{key}": value for key, value in result.metrics.items() if np.isfinite(value)}
    if not own:
        logger.info("not calibrated: the recogniser did not run; %s", LATER)
        return Trained(result.sampler, None, metrics)
    head = head_of(result.sampler, fitted, dataset, seed=options.seed, device=options.device)
    scored = Scored(val, result.sampler, head, dataset.multi_label) if val else ()
    calibrated = calibrate_own(dataset, val, scored, options.frames, options.seed)
    if val:
        metrics |= held_out_metrics(dataset, "val", result.sampler, head, options.frames)
        both = (*fitted, *val)  # measured: now it may learn from these too
        head = head_of(result.sampler, both, dataset, seed=options.seed, device=options.device)
    metrics |= held_out_metrics(dataset, "test", result.sampler, head, options.frames)
    return Trained(result.sampler, head, metrics, calibrated)


def training_device(asked: str, videos: int) -> str:
    """What to train on: a GPU if it is asked for, or with 'auto' if there is one and enough videos to gain from it.

    With fewer videos a CPU takes minutes at most, and gives the same weights on every machine. Raises DeviceError.
    """
    if asked == "cuda" and not torch.cuda.is_available():
        raise DeviceError("--device cuda: torch sees no cuda device here", "use --device cpu")
    gains = asked == "auto" and videos >= GPU_VIDEOS and torch.cuda.is_available()
    return "cuda" if asked == "cuda" or gains else "cpu"


def check(dataset: Dataset, options: TrainOptions) -> None:
    """Raises UsageError if this dataset cannot be trained on."""
    used = {label for example in dataset.of("train") for label in example.labels}
    if options.kind == "own-vocabulary":
        if len(dataset.vocabulary) < 2:
            raise UsageError(f"{dataset.source} has one label, {dataset.vocabulary[0].name!r}", "give at least two")
        if unseen := [tag.name for i, tag in enumerate(dataset.vocabulary) if i not in used]:
            raise UsageError(f"no training video shows {unseen[0]!r}", "add one, or leave the label out")
    elif any(example.logits is None for example in dataset.examples):
        raise UsageError(f"{dataset.source} has no logits of the preview network", "--vocabulary imagenet needs them")


def tensors(made: Trained) -> dict[str, np.ndarray]:
    """The arrays of model.safetensors: `sampler.*`, and `head.weight`, `head.bias` of an own vocabulary."""
    found = {f"sampler.{key}": value.detach().cpu().numpy() for key, value in made.sampler.state_dict().items()}
    if made.head is not None:
        found |= {"head.weight": made.head.weight, "head.bias": made.head.bias}
    return found


def _config(dataset: Dataset, base: Checkpoint, options: TrainOptions, made: Trained, command: str) -> dict[str, Any]:
    own = options.kind == "own-vocabulary"
    counts = {split: len(dataset.of(split)) for split in ("train", "val", "test")}  # type: ignore[arg-type]
    return {
        "sampler": made.sampler.config.to_dict(),
        "vocabulary": [asdict(tag) for tag in dataset.vocabulary] if own else "imagenet-1k",
        "multi_label": dataset.multi_label and own,
        **({"hierarchy": [dict(row) for row in dataset.hierarchy]} if dataset.hierarchy else {}),
        **({"calibration": made.calibrated[0].to_json()} if made.calibrated else {}),
        "sampling": {"frames": options.frames, "preview": options.preview},
        "training": {
            "data": dataset.source,
            "videos": counts,
            "base": base.name,
            "seed": options.seed,
            "epochs": options.epochs,
            **({"head_decay": made.head.decay} if made.head else {}),
            "command": command,
        },
        "metrics": {key: round(float(value), 4) for key, value in made.metrics.items()},
    }


def _networks(dataset: Dataset, base: Checkpoint, own: bool) -> dict[str, Any]:
    """The networks that made the features. Ready features of another width come from an unknown network."""
    first = dataset.examples[0]
    fits = first.features.shape[1] == feature_width(base.preview)
    if own:
        fits = fits and first.recogniser is not None and first.recogniser.shape[1] == feature_width(base.recogniser)
    elif not fits:
        raise UsageError(
            f"{dataset.source} has {first.features.shape[1]} features per frame, {base.preview.network.name} has"
            f" {feature_width(base.preview)}",
            "--vocabulary imagenet needs that network's features",
        )
    if not fits:
        unknown = {"network": f"{READY_FEATURES}{dataset.source}", "size_px": 0}
        return {"preview": unknown, "recogniser": unknown}
    return {"preview": use_config(base.preview), "recogniser": use_config(base.recogniser)}


def feature_width(use: NetworkUse) -> int:
    """D of a network's features, from its architecture alone."""
    from nsnet_cli.nets.families import untrained_network

    return untrained_network(use).width


def _fingerprint(dataset: Dataset, base: Checkpoint, options: TrainOptions) -> str:
    """20 hex digits over everything that training depends on, without file names."""
    digest = hashlib.sha256()
    networks = [network_identity(base.preview)]
    parts: Mapping[str, Any] = {**asdict(options), "networks": networks, "state": STATE_VERSION}
    digest.update(json.dumps(parts, sort_keys=True).encode())
    digest.update(json.dumps([tag.id for tag in dataset.vocabulary]).encode())
    for example in dataset.examples:
        digest.update(f"{example.labels} {example.split} {example.features.shape}".encode())
        for array in (example.times, example.features, example.logits, example.recogniser):
            if array is not None:
                digest.update(np.asarray(array).tobytes())
    return digest.hexdigest()[:20]
