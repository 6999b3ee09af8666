"""Own tags, cross-validated: sampler and head trained on four fifths of the videos, judged on the rest.

    python benchmarks/own_tags.py ../shared/data/fight ../shared/data/workout --repeats 3 --json own_tags.json

Features come from the cache that `nsnet train` fills. Clips of one source never stand on both sides of a fold, even if
they have different tags; real_footage.csv has the sources. Spreads are standard deviations: over the repeats, which
differ in folds and seed, and over all folds of all repeats. `less dense` is top-1 minus that of dense, per repeat.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from dataclasses import replace
from functools import cache
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
from nsnet_cli.nets.cost import sampler_gflops
from nsnet_cli.nets.sampler_config import SamplerConfig
from nsnet_cli.nets.threads import one_thread
from nsnet_cli.training.dataset import Dataset, deal, from_videos
from nsnet_cli.training.scored import Scored
from nsnet_cli.training.train import TrainOptions, fit_all
from nsnet_cli.types import TagName
from nsnet_cli.weights.checkpoint import Checkpoint, resolve_checkpoint

FOLDS = 5
POLICIES = ("nsnet", "nsnet-fsm", "nsnet-vgm", "confidence", "uniform", "random", "dense")
KS = (1, 2, 4, 8)
SOURCES = Path(__file__).with_name("real_footage.csv")


@cache
def known_sources() -> dict[str, str]:
    """What each clip of ../shared/data shows, by its folder and name: clips of one source have one place or person."""
    with SOURCES.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return {short(row["path"]): row["source"] for row in rows}


def short(path: str) -> str:
    return "/".join(Path(path).parts[-2:])


def source_of(name: str) -> str:
    """The source of a clip. One that is not in the file is its own source."""
    return known_sources().get(short(name), name)


def folds_of(dataset: Dataset, seed: int) -> np.ndarray:
    """The fold of each video, (N,). All videos of a source have the same one, whatever their tags."""
    sources = [source_of(example.name) for example in dataset.examples]
    return deal_folds([example.labels[0] for example in dataset.examples], sources, FOLDS, seed)


def held_out(dataset: Dataset, fold: np.ndarray, k: int, seed: int) -> Dataset:
    """The dataset with fold `k` as test videos. A fifth of the others says when to stop."""
    examples = tuple(replace(e, split="test" if fold[i] == k else None) for i, e in enumerate(dataset.examples))
    return deal(replace(dataset, examples=examples), 0.2, seed)


def cross_validate(dataset: Dataset, seed: int, epochs: int) -> list[tuple[ScoredVideo, ...]]:
    """Every video once, fold by fold, scored by a sampler and head that saw none of its source."""
    fold, scored = folds_of(dataset, seed), []
    for k in range(FOLDS):
        dealt = held_out(dataset, fold, k, seed)
        with one_thread():  # as in `nsnet train`: the same figures on any number of cores
            made = fit_all(dealt, TrainOptions(seed=seed, epochs=epochs))
        assert made.head is not None
        scored.append(tuple(Scored(dealt.of("test"), made.sampler, made.head, dataset.multi_label)))
        print(f"  repeat {seed} fold {k}: head decay {made.head.decay:g}", file=sys.stderr, flush=True)
    return scored


def load(source: Path, base: Checkpoint, preview: int = 128) -> Dataset:
    console = Console()
    labels = read_label_file(source, console)
    vocabulary = tuple(TagName(name, name) for name in labels.names)
    found = gather(labels, base, ReadSettings(preview, "auto", "auto", 0), console)
    indices = label_indices([video for video, _ in found], vocabulary)
    rows = [(video, own, features) for (video, features), own in zip(found, indices, strict=True)]
    return from_videos(rows, vocabulary, str(source))


def run(source: Path, repeats: int, epochs: int) -> dict[str, object]:
    base = resolve_checkpoint("imagenet-lite")
    dataset = load(source, base)
    config = SamplerConfig(dataset.examples[0].features.shape[1], len(dataset.vocabulary))
    cost = replace(build_engine(headless(base)).cost, sampler=sampler_gflops(config))
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
