"""The training loop of the sampler, over cached preview features: seconds to minutes on a CPU.

The same seed gives the same sampler. An interrupted run resumes and gives the same result as one without a break.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from nsnet_cli.nets.sampler import Sampler, SamplerConfig, SamplerOutput
from nsnet_cli.records import dataclass
from nsnet_cli.training import prototypes
from nsnet_cli.training.losses import Losses, sampler_loss
from nsnet_cli.training.measure import known_answers, saliency
from nsnet_cli.training.prototypes import PseudoLabels
from nsnet_cli.training.sequences import Batch, FeatureSequence, collate
from nsnet_cli.training.state import EpochReport, FitOptions, State, load_state, save_state

EVEN = 3
"""Up to this ratio of the most frequent to the rarest class, an epoch takes each video once."""
MOST_TIMES = 10
"""How often one video comes in an epoch at most."""


@dataclass(frozen=True, slots=True)
class FitResult:
    sampler: Sampler
    history: tuple[EpochReport, ...]
    metrics: dict[str, float]


Sequences = Sequence[FeatureSequence]


def fit(
    sequences: Sequences | Callable[[int], Sequences],
    config: SamplerConfig,
    options: FitOptions | None = None,
    *,
    held_out: Sequences | None = None,
    progress: Callable[[EpochReport], None] | None = None,
    resume: Path | None = None,
    start: Sampler | None = None,
) -> FitResult:
    """Trains a sampler and returns it in eval mode, with the weights of the best epoch.

    The best epoch has the lowest held-out loss; with `patience` 0 it is the last epoch.
    `sequences`: videos, or a function from an epoch to fresh ones (fixed vocabulary only; needs `held_out`).
    `resume`: the file that keeps the state after each epoch. It is removed at the end.
    `start`: a trained sampler of this config to go on from. It is not changed.
    Raises ValueError for empty or unfit data, RuntimeError for a state of another run.
    """
    options = options or FitOptions()
    fresh = sequences if callable(sequences) else None
    if fresh is None:
        train, held_out = _split(sequences, held_out, options)  # type: ignore[arg-type]
    elif held_out is None or config.classes:
        raise ValueError("fresh sequences each epoch need the fixed vocabulary and a held-out set")
    else:
        train = fresh(0)
    _check([*train, *held_out], config)
    with torch.random.fork_rng():
        state = _begin(train, config, options, resume, start)
        watched = _held_out_labels(train, held_out, config, options)
        while state.epoch < options.epochs and (not options.patience or state.stale < options.patience):
            torch.manual_seed(options.seed * 100_003 + state.epoch + 1)
            if fresh is not None and state.epoch:
                train = fresh(state.epoch)
            _relabel(state, train, config, options, fresh is not None)
            report = _epoch(state, train, (held_out, watched), config, options)
            if progress is not None:
                progress(report)
            save_state(state, config, options, resume)
    state.sampler.load_state_dict(state.best)
    state.sampler.eval()
    if resume is not None:
        resume.unlink(missing_ok=True)
    metrics = _metrics(state, train, held_out, config)
    return FitResult(state.sampler.cpu(), tuple(state.history), metrics)


def _split(sequences: Sequences, held_out: Sequences | None, options: FitOptions) -> tuple[Sequences, Sequences]:
    """Holds out a share of the videos of each (first) label, at least one if the label has three or more."""
    if held_out is not None:
        return sequences, held_out
    if len(sequences) < 2:
        raise ValueError(f"training needs at least two videos, got {len(sequences)}")
    rng = np.random.default_rng(options.seed)
    by_label: dict[int, list[int]] = {}
    for index, sequence in enumerate(sequences):
        by_label.setdefault(sequence.labels[0], []).append(index)
    chosen: set[int] = set()
    for label in sorted(by_label):
        rows = by_label[label]
        count = max(round(len(rows) * options.held_out), 1 if len(rows) >= 3 else 0)
        chosen.update(int(i) for i in rng.permutation(rows)[:count])
    chosen = chosen or {int(rng.integers(len(sequences)))}
    return [s for i, s in enumerate(sequences) if i not in chosen], [s for i, s in enumerate(sequences) if i in chosen]


def _check(sequences: Sequences, config: SamplerConfig) -> None:
    for sequence in sequences:
        where = sequence.name or "a sequence"
        if sequence.features.shape[1] != config.features:
            raise ValueError(
                f"{where} has {sequence.features.shape[1]} features per frame, the sampler takes {config.features}"
            )
        if not config.classes and sequence.logits is None:
            raise ValueError(f"{where} has no logits; the fixed vocabulary needs them")
        classes = config.classes or np.asarray(sequence.logits).shape[1]
        if not all(0 <= label < classes for label in sequence.labels):
            raise ValueError(f"{where} has labels {sequence.labels}; the vocabulary has {classes} classes")


def _classes(sequences: Sequences, config: SamplerConfig) -> int:
    return config.classes or int(np.asarray(sequences[0].logits).shape[1])


def _begin(
    train: Sequences, config: SamplerConfig, options: FitOptions, resume: Path | None, start: Sampler | None
) -> State:
    torch.manual_seed(options.seed)
    sampler = Sampler(config)
    if start is None:
        sample = train[:256]
        batch = collate(sample, _classes(train, config), [np.zeros(len(s), dtype=np.int64) for s in sample])
        sampler.calibrate(batch.features, batch.logits, batch.times, batch.mask)
    else:
        sampler.load_state_dict(start.state_dict())
    sampler.to(options.device)
    optimizer = torch.optim.AdamW(sampler.parameters(), options.learning_rate, weight_decay=options.weight_decay)
    mean = AveragedModel(sampler, multi_avg_fn=get_ema_multi_avg_fn(options.average)) if options.average else None
    state = State(sampler, optimizer, mean, best={k: v.clone() for k, v in sampler.state_dict().items()})
    if resume is not None and resume.exists():
        load_state(state, config, options, resume)
    return state


def _pseudo(sequences: Sequences, config: SamplerConfig, options: FitOptions) -> PseudoLabels:
    if config.classes:
        return prototypes.label_frames(sequences, config.classes)
    return prototypes.known_labels(sequences) if options.known else prototypes.fixed_vocabulary_labels(sequences)


def _relabel(state: State, train: Sequences, config: SamplerConfig, options: FitOptions, fresh: bool) -> None:
    """Makes the first pseudo labels and those of fresh sequences, or refines them when a round is due."""
    if state.pseudo is None or fresh:
        state.pseudo = _pseudo(train, config, options)
    elif config.classes and state.epoch in {round(share * options.epochs) for share in options.refine_at}:
        current = [found.combined for found in saliency(state.sampler, train)]
        state.pseudo = prototypes.refine(train, config.classes, current, state.pseudo)


def _held_out_labels(
    train: Sequences, held_out: Sequences, config: SamplerConfig, options: FitOptions
) -> tuple[np.ndarray, ...]:
    """Pseudo labels of held-out videos, from prototypes of the training videos and of each other."""
    if config.classes:
        return prototypes.label_frames([*train, *held_out], config.classes).labels[len(train) :]
    return _pseudo(held_out, config, options).labels


def _epoch(
    state: State,
    train: Sequences,
    held_out: tuple[Sequences, Sequence[np.ndarray]],
    config: SamplerConfig,
    options: FitOptions,
) -> EpochReport:
    """One epoch. `held_out`: videos and their pseudo labels."""
    assert state.pseudo is not None
    rng = np.random.default_rng([options.seed, state.epoch])
    rows = epoch_rows([s.labels for s in train], rng) if config.classes else rng.permutation(len(train))
    batches, classes = _batches(rows, [len(s) for s in train], options.batch, rng), _classes(train, config)
    steps = len(batches)
    sums, sampler = np.zeros(5), state.sampler.train()
    for step, part in enumerate(batches):
        thinned = [_thin(train[i], state.pseudo.labels[i], rng, options.thin) for i in part]
        batch = collate([s for s, _ in thinned], classes, [p for _, p in thinned])
        for group in state.optimizer.param_groups:
            group["lr"] = options.learning_rate * _schedule((state.epoch + step / steps) / options.epochs)
        losses = _losses(sampler, batch, config, options)
        state.optimizer.zero_grad()
        losses.total.backward()
        torch.nn.utils.clip_grad_norm_(sampler.parameters(), 1.0)
        state.optimizer.step()
        if state.mean is not None:
            state.mean.update_parameters(sampler)
        sums += np.array([float(x.detach()) for x in losses])
    kept = sampler if state.mean is None else state.mean.module
    assert isinstance(kept, Sampler)
    loss = _held_out_loss(kept, *held_out, config, options)
    best = loss < state.best_loss or not options.patience
    if best:
        state.best_loss, state.best = loss, {k: v.clone() for k, v in kept.state_dict().items()}
    state.stale = 0 if best else state.stale + 1
    state.epoch += 1
    means: tuple[float, float, float, float, float] = tuple((sums / steps).tolist())
    report = EpochReport(state.epoch, options.epochs, *means, loss, best, state.pseudo.rounds)
    state.history.append(report)
    return report


def epoch_rows(labels: Sequence[tuple[int, ...]], rng: np.random.Generator) -> np.ndarray:
    """Which videos an epoch takes, in random order: each once, if no class has more than EVEN times those of another.

    Otherwise all classes come equally often, so that frequent ones do not swallow rare ones: of frequent classes some
    videos are left out, of rare ones videos come again, at most MOST_TIMES. Of several labels the rarest counts.
    """
    counts = np.bincount([label for own in labels for label in own])
    order = rng.permutation(len(labels))
    present = counts[counts > 0]
    if present.max() <= EVEN * present.min():
        return order
    rarest = np.array([min(counts[list(own)]) for own in labels])
    times = np.minimum(len(labels) / len(present) / rarest, MOST_TIMES)[order]
    ends = np.floor(np.cumsum(times) + rng.random()).astype(int)
    return rng.permutation(np.repeat(order, np.diff(ends, prepend=0)))


def _batches(order: np.ndarray, lengths: Sequence[int], size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Random batches of sequences of similar length, to save padding: sorted by length within each eight batches."""
    batches: list[np.ndarray] = []
    for start in range(0, len(order), 8 * size):
        group = order[start : start + 8 * size]
        group = group[np.argsort(np.asarray(lengths)[group], kind="stable")]
        batches += [group[i : i + size] for i in range(0, len(group), size)]
    return [batches[i] for i in rng.permutation(len(batches))]


def _schedule(done: float) -> float:
    """Factor on the learning rate: a short rise, then a cosine."""
    return min(1.0, done / 0.05 + 0.05) * 0.5 * (1 + math.cos(math.pi * done))


def _thin(
    sequence: FeatureSequence, pseudo: np.ndarray, rng: np.random.Generator, most: float
) -> tuple[FeatureSequence, np.ndarray]:
    """Leaves out up to `most` of the frames, never all the salient ones."""
    keep = rng.random(len(sequence)) >= rng.uniform(0, most)
    labelled = np.flatnonzero((pseudo >= 0) & np.isin(pseudo, sequence.labels))
    if len(labelled) and not keep[labelled].any():
        keep[rng.choice(labelled)] = True
    if not keep.any():
        return sequence, pseudo
    logits = None if sequence.logits is None else np.asarray(sequence.logits)[keep]
    return FeatureSequence(sequence.features[keep], sequence.times[keep], sequence.labels, logits), pseudo[keep]


def _losses(sampler: Sampler, batch: Batch, config: SamplerConfig, options: FitOptions) -> Losses:
    batch = batch.to(torch.device(options.device))
    with torch.autocast("cuda", torch.bfloat16, enabled=options.device == "cuda"):
        output = sampler(batch.features, batch.logits, batch.times, batch.mask)
    output = SamplerOutput(*(values.float() for values in output))
    attention_weight = options.attention_weight if config.classes or options.known else 0.0
    return sampler_loss(output, batch, options.video_weight, attention_weight)


@torch.no_grad()
def _held_out_loss(
    sampler: Sampler, videos: Sequences, labels: Sequence[np.ndarray], config: SamplerConfig, options: FitOptions
) -> float:
    sampler.eval()
    classes, total = _classes(videos, config), 0.0
    for start in range(0, len(videos), options.batch):
        rows = slice(start, start + options.batch)
        batch = collate(videos[rows], classes, labels[rows])
        total += float(_losses(sampler, batch, config, options).total) * len(batch.mask)
    return total / len(videos)


def _metrics(state: State, train: Sequences, held_out: Sequences, config: SamplerConfig) -> dict[str, float]:
    found = saliency(state.sampler, held_out)
    right = [int(f.video[:-1].argmax()) in s.labels for f, s in zip(found, held_out, strict=True)]
    metrics = {
        "epochs": float(state.epoch),
        "held_out_loss": state.best_loss,
        "held_out_top1_preview": float(np.mean(right)),
    }
    if state.pseudo is not None and all(s.salient is not None for s in train):
        kinds, truth = np.concatenate(state.pseudo.labels), np.concatenate([np.asarray(s.salient) for s in train])
        last = _classes(train, config)
        metrics["pseudo_salient_right"] = float(truth[(kinds >= 0) & (kinds < last)].mean())
        metrics["pseudo_non_salient_right"] = (
            float((~truth[kinds == last]).mean()) if (kinds == last).any() else float("nan")
        )
    return {**metrics, **known_answers(state.sampler, held_out)}
