"""Own tags, cross-validated: sampler and head trained on four fifths of the videos, judged on the rest.

    python benchmarks/own_tags.py ../shared/data/fight ../shared/data/workout --repeats 3 --json own_tags.json

Features come from the cache that `nsnet train` fills. Clips of one source never stand on both sides of a fold; the
sources of the exercise clips were found by eye (SOURCES). Spreads are standard deviations: over the repeats, which
differ in folds and seed, and over all folds of all repeats. `less dense` is top-1 minus that of dense, per repeat.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from nsnet_cli.cli.console import Console
from nsnet_cli.cli.labelled import gather, read_label_file
from nsnet_cli.evaluation.policies import ScoredVideo, accuracy, frames_used
from nsnet_cli.labelled.features import headless
from nsnet_cli.labelled.folds import deal_folds
from nsnet_cli.labelled.gather import ReadSettings
from nsnet_cli.labelled.labels import label_indices
from nsnet_cli.nets.build import build_engine
from nsnet_cli.nets.flops import sampler_gflops
from nsnet_cli.nets.sampler import Sampler, SamplerConfig
from nsnet_cli.nets.threads import one_thread
from nsnet_cli.training.dataset import Dataset, deal, from_videos
from nsnet_cli.training.train import TrainOptions, fit_all, score
from nsnet_cli.types import TagName
from nsnet_cli.weights.checkpoint import resolve_checkpoint

FOLDS = 5
POLICIES = ("nsnet", "nsnet-fsm", "nsnet-vgm", "confidence", "uniform", "random", "dense")
KS = (1, 2, 4, 8)
SOURCES = {  # ../shared/data/workout: clips that show the same person in the same place
    "push-up": [(1, 2, 4, 5, 6, 9, 11, 12, 14), (15, 16, 17, 24, 25), (36, 40), (42, 47)],
    "squat": [(11, 14, 16), (18, 19)],
    "pull-up": [(14, 18, 19), (5, 7), (9, 10)],
}


def source_of(name: str) -> str:
    """The source of a clip. Clips of one source share a fold; a clip in no group is its own source."""
    kind, _, number = Path(name).stem.partition("_")
    for group in SOURCES.get(kind, []):
        if number.isdigit() and int(number) in group:
            return f"{kind}_{group[0]}"
    return Path(name).stem


def cross_validate(dataset: Dataset, seed: int, epochs: int) -> list[tuple[ScoredVideo, ...]]:
    """Every video once, fold by fold, scored by a sampler and head that saw none of its source."""
    examples = dataset.examples
    sources = [source_of(example.name) for example in examples]
    fold, scored = deal_folds([example.labels[0] for example in examples], sources, FOLDS, seed), []
    for k in range(FOLDS):
        examples = tuple(replace(e, split="test" if fold[i] == k else None) for i, e in enumerate(dataset.examples))
        dealt = deal(replace(dataset, examples=examples), 0.2, seed)
        with one_thread():  # as in `nsnet train`: the same figures on any number of cores
            made = fit_all(dealt, TrainOptions(seed=seed, epochs=epochs))
        assert made.head is not None
        scored.append(score(dealt.of("test"), made.sampler, made.head, dataset.multi_label))
        print(f"  repeat {seed} fold {k}: head decay {made.head.decay:g}", file=sys.stderr, flush=True)
    return scored


def load(source: Path) -> Dataset:
    console = Console()
    base = resolve_checkpoint("imagenet-lite")
    labels = read_label_file(source, console)
    vocabulary = tuple(TagName(name, name) for name in labels.names)
    found = gather(labels, base, ReadSettings(128, "auto", "auto", 0), console)
    indices = label_indices([video for video, _ in found], vocabulary)
    rows = [(video, own, features) for (video, features), own in zip(found, indices, strict=True)]
    return from_videos(rows, vocabulary, str(source))


def run(source: Path, repeats: int, epochs: int) -> dict[str, object]:
    dataset = load(source)
    base = resolve_checkpoint("imagenet-lite")
    sampler = Sampler(SamplerConfig(dataset.examples[0].features.shape[1], len(dataset.vocabulary)))
    cost = replace(build_engine(headless(base)).cost, sampler=sampler_gflops(sampler))
    folds = [cross_validate(dataset, seed, epochs) for seed in range(repeats)]
    runs = [[video for fold in repeat for video in fold] for repeat in folds]
    dense = np.array([100 * accuracy(videos, "dense", 1).top1 for videos in runs])
    rows = []
    print(f"\n{source}: {len(dataset.examples)} videos, {len(dataset.vocabulary)} tags, {repeats} x {FOLDS} folds")
    print(
        f"{'policy':12}{'K':>4}{'top-1 %':>10}{'repeats':>9}{'folds':>7}"
        f"{'less dense':>12}{'+-':>6}{'mAP %':>8}{'GFLOPs':>8}"
    )
    for policy in POLICIES:
        for k in KS if policy != "dense" else (0,):
            found = [accuracy(videos, policy, k or 1) for videos in runs]
            top1 = [100 * each.top1 for each in found]
            used = [frames_used(video, policy, k or 1) for video in runs[0]]
            gflops = float(np.mean([cost.total(t, n, sampler=s) for t, n, s in used]))
            by_fold = [100 * accuracy(fold, policy, k or 1).top1 for repeat in folds for fold in repeat]
            row = {
                "top1": float(np.mean(top1)),
                "spread": float(np.std(top1)),
                "spread_folds": float(np.std(by_fold)),
                "less_dense": float(np.mean(top1 - dense)),
                "less_dense_spread": float(np.std(top1 - dense)),
                "map": 100 * float(np.mean([each.map for each in found])),
                "gflops": gflops,
            }
            rows.append({"policy": policy, "k": k or None, **row})
            print(
                f"{policy:12}{k or 'all':>4}{row['top1']:10.1f}{row['spread']:9.1f}{row['spread_folds']:7.1f}"
                f"{row['less_dense']:+12.1f}{row['less_dense_spread']:6.1f}{row['map']:8.1f}{gflops:8.2f}"
            )
    return {"data": str(source), "videos": len(dataset.examples), "repeats": repeats, "folds": FOLDS, "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="+", help="folders of class folders")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    args = parser.parse_args()
    found = [run(source, args.repeats, args.epochs) for source in args.data]
    if args.json:
        args.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
