"""Spliced UCF101: does the sampler find 4 to 10 frames of a known action inside actions that are never labelled?

    python benchmarks/ucf101_spliced.py ../shared/data/ucf101_15_features_train.npz

A sequence has 48 frames: one stretch of 4 to 10 consecutive frames of one of ten labelled classes inside stretches of
the other five.

It is cross-validated over videos (contiguous fifths of each class, so that neighbours from one source stay together)
and over which five classes are unlabelled (each class once). The recogniser is linear and trained on the training
videos' frames of the ten classes. All features share one scale: they are principal components, and on scales of their
own the last ones, mostly noise, would count as much as the first (--each-feature shows what that costs).

Prints top-1 at K = 4 and the saliency's ROC-AUC, mean and spread over the runs.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from nsnet_cli.nets.sampler import SamplerConfig
from nsnet_cli.training.fit import FitOptions, fit
from nsnet_cli.training.measure import roc_auc, saliency
from nsnet_cli.training.sequences import FeatureSequence

FRAMES = 48
FOLDS = 5
K = 4


def splice(
    video: np.ndarray, label: int, others: list[np.ndarray], rng: np.random.Generator, name: str
) -> FeatureSequence:
    """4 to 10 consecutive frames of `video` somewhere inside stretches of `others`. video (25, D)."""
    length = int(rng.integers(4, 11))
    start = int(rng.integers(0, len(video) - length + 1))
    place = int(rng.integers(0, FRAMES - length + 1))
    parts, filled = [], 0
    while filled < FRAMES - length:
        other = others[rng.integers(len(others))]
        size = min(int(rng.integers(4, 13)), FRAMES - length - filled)
        first = int(rng.integers(0, len(other) - size + 1))
        parts.append(other[first : first + size])
        filled += size
    rest = np.concatenate(parts)
    features = np.concatenate([rest[:place], video[start : start + length], rest[place:]])
    salient = np.zeros(FRAMES, dtype=bool)
    salient[place : place + length] = True
    return FeatureSequence(features, (np.arange(FRAMES) + 0.5) / FRAMES, (label,), salient=salient, name=name)


def recogniser(features: np.ndarray, labels: np.ndarray, classes: int) -> torch.nn.Linear:
    """Multinomial logistic regression on frames of unit scale. (N, D), (N,)."""
    torch.manual_seed(0)
    x, y = torch.as_tensor(features), torch.as_tensor(labels)
    net = torch.nn.Linear(x.shape[1], classes)
    optimizer = torch.optim.AdamW(net.parameters(), 1e-2, weight_decay=1e-2)
    for _ in range(12):
        for rows in torch.randperm(len(x)).split(512):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
            optimizer.step()
    return net


def top1(sequences: list[FeatureSequence], probabilities: list[np.ndarray], scores: list[np.ndarray]) -> float:
    """Share of videos whose K best frames, weighted by their score, give the right class."""
    right = []
    for sequence, p, s in zip(sequences, probabilities, scores, strict=True):
        rows = np.argsort(-s, kind="stable")[:K]
        weight = np.maximum(s[rows], 1e-6)
        right.append(int((p[rows] * weight[:, None]).sum(0).argmax()) == sequence.labels[0])
    return float(np.mean(right))


def one_run(
    data: dict[str, np.ndarray], fold: int, choice: int, options: FitOptions, args: argparse.Namespace
) -> dict[str, float]:
    rng = np.random.default_rng([fold, choice])
    features, labels = data["features"].astype(np.float32), data["labels"]
    classes = len(data["names"])
    hidden = [c for c in range(classes) if c % 3 == choice]
    known = [c for c in range(classes) if c % 3 != choice]
    part = np.empty(len(labels), dtype=int)
    for c in range(classes):
        rows = np.flatnonzero(labels == c)
        fifths = np.arange(len(rows)) * FOLDS // len(rows)
        part[rows] = np.random.default_rng(c).permutation(fifths) if args.random_split else fifths
    train, test = part != fold, part == fold
    mean, std = features[train].mean((0, 1)), features[train].std((0, 1)) + 1e-3
    features = (features - mean) / (std if args.each_feature else np.sqrt((std**2).mean()))

    def sequences(rows: np.ndarray, copies: int) -> list[FeatureSequence]:
        others = [features[i] for i in np.flatnonzero(rows & np.isin(labels, hidden))]
        own = [i for i in np.flatnonzero(rows & np.isin(labels, known)) for _ in range(copies)]
        return [splice(features[i], known.index(labels[i]), others, rng, str(data["ids"][i])) for i in own]

    training, testing = sequences(train, 2), sequences(test, 2)
    rows = train & np.isin(labels, known)
    y = np.array([known.index(c) for c in labels[rows]]).repeat(features.shape[1])
    net = recogniser(features[rows].reshape(len(y), -1), y, len(known))
    with torch.no_grad():
        p = [net(torch.as_tensor(s.features)).softmax(-1).numpy() for s in testing]

    started = time.perf_counter()
    result = fit(training, SamplerConfig(features.shape[2], len(known)), options)
    seconds = time.perf_counter() - started
    found = saliency(result.sampler, testing)
    truth = np.concatenate([np.asarray(s.salient) for s in testing])
    even = np.zeros(FRAMES)
    even[((np.arange(K) + 0.5) * FRAMES / K).astype(int)] = 1
    confidence = [x.max(1) for x in p]
    policies = {
        "uniform": [even] * len(testing),
        "confidence": confidence,
        "fsm": [f.fsm for f in found],
        "vgm": [f.vgm for f in found],
        "combined": [f.combined for f in found],
        "oracle": [np.asarray(s.salient, dtype=float) for s in testing],
    }
    out = {f"top1 {name}": top1(testing, p, scores) for name, scores in policies.items()}
    out["top1 dense mean"] = float(
        np.mean([x.mean(0).argmax() == s.labels[0] for x, s in zip(p, testing, strict=True)])
    )
    out |= {f"auc {n}": roc_auc(np.concatenate(policies[n]), truth) for n in ("confidence", "fsm", "vgm", "combined")}
    kept = {k: v for k, v in result.metrics.items() if k.startswith(("pseudo", "epochs"))}
    return {**out, **kept, "refinements": result.history[-1].refinements, "fit_s": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features", type=Path)
    parser.add_argument("--folds", default="0,2,4")
    parser.add_argument("--choices", default="0,1,2")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--attention-weight", type=float, default=FitOptions().attention_weight)
    parser.add_argument("--random-split", action="store_true", help="neighbours of one source on both sides")
    parser.add_argument("--each-feature", action="store_true", help="each feature on a scale of its own")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    data = dict(np.load(args.features))
    options = FitOptions(epochs=args.epochs, attention_weight=args.attention_weight, seed=0)
    runs = [
        one_run(data, int(fold), int(choice), options, args)
        for choice in args.choices.split(",")
        for fold in args.folds.split(",")
    ]
    table = {key: [run[key] for run in runs] for key in runs[0]}
    if args.json:
        print(json.dumps(table))
        return
    print(f"{len(runs)} runs, mean and standard deviation over runs")
    for key, values in table.items():
        scale, unit = (100, "%") if key.startswith(("top1", "pseudo")) else (1, "")
        mean, spread, least = (scale * float(of(values)) for of in (np.mean, np.std, np.min))
        print(f"{key:28} {mean:8.3f}{unit} +- {spread:.3f}  least {least:.3f}")


if __name__ == "__main__":
    main()
