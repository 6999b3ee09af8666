"""How good is a sampler on a source of footage that it never saw? Leave-one-source-out over five sources.

    python benchmarks/loso.py --shared ../shared/data --work ../build/loso --extract --processes 2
    python benchmarks/loso.py --work ../build/loso --part report --seeds 1,2 shipped 0.1 known+mixed

For each source (traffic, hands, street, skate, dark) a sampler is trained on the footage of all others and on photos of
folds 0 to 2, and judged on composites of photos of another fold in that source's clips: features of frames that were
rendered as composites are, cut and previewed as composites are. Recipes are chosen with `--part choose` (photos of fold
3, one half of the source's clips) and reported with `--part report` (photos of fold 4, the other half). `shipped` is
the file of the package, which has seen part of traffic, hands and street. `--out` trains a recipe on all sources and on
photos of folds 0 to 3, and writes the checkpoint.

Samplers are kept in WORK/samplers, so a second run only judges.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from as_composites import Composer
from composites import policies_table, scored
from loso_bank import CHOICE_FOLD, REPORT_FOLD, SOURCES, TRAIN_FOLDS, Columns, make_parts, read_parts
from train_default import CONFIG, OPTIONS, SEQUENCES

from nsnet_cli.nets.sampler import Sampler, SamplerConfig
from nsnet_cli.nets.threads import one_thread
from nsnet_cli.nets.torch_engine import load_sampler
from nsnet_cli.training.fit import FitResult, fit
from nsnet_cli.training.sequences import FeatureSequence
from nsnet_cli.training.splice import Splicer
from nsnet_cli.weights.checkpoint import resolve_checkpoint
from nsnet_cli.weights.registry import load_registry

SHOWN = ("roc_auc nsnet", "top1 nsnet", "top1 confidence", "top1 oracle", "top1 uniform")
JUDGED = 260
PARTS = {"choose": (CHOICE_FOLD, 0), "report": (REPORT_FOLD, 1)}
"""Fold of the photos, and which half of the source's clips."""


@dataclass(frozen=True)
class Recipe:
    """What differs from version 0.1's recipe, except for its footage, which is that of all sources."""

    config: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    mixed: float = 0.0
    hard: bool = False


RECIPES = {
    "0.1": Recipe(),
    "hard": Recipe(hard=True),
    "mixed": Recipe(mixed=0.7),
    "known": Recipe(options={"known": True, "attention_weight": 1.0}),
    "known+mixed": Recipe(options={"known": True, "attention_weight": 1.0}, mixed=0.7),
    "known+mixed+hard": Recipe(options={"known": True, "attention_weight": 1.0}, mixed=0.7, hard=True),
}


def train(recipe: Recipe, columns: Columns, photos: np.ndarray, footage: np.ndarray, seed: int) -> FitResult:
    """Trains on the photos and the footage of these rows (S,) of the bank."""
    allowed = np.ones(len(photos), bool) if recipe.hard else ~columns.hard
    bank = columns.bank
    objects, scenery = bank.where(photos & allowed), bank.where(footage & allowed)
    splicer = Splicer(objects, scenery, mixed=recipe.mixed)
    watched = splicer.sequences(32, [seed, 1_000_003])  # decides nothing: training runs to its end
    options = replace(OPTIONS, seed=seed, **recipe.options)
    return fit(
        lambda epoch: splicer.sequences(SEQUENCES, [seed, epoch]),
        SamplerConfig(**{**CONFIG.to_dict(), **recipe.config}), options, held_out=watched,
    )  # fmt: skip


def trained(name: str, source: str, seed: int, columns: Columns, work: Path) -> Sampler:
    """The sampler of a recipe that never saw a source, from WORK/samplers or trained now."""
    if name == "shipped":
        return load_sampler(resolve_checkpoint("imagenet-lite"))
    recipe, path = RECIPES[name], work / "samplers" / f"{name}~{source}~{seed}.pt"
    if path.exists():
        sampler = Sampler(SamplerConfig(**{**CONFIG.to_dict(), **recipe.config}))
        sampler.load_state_dict(torch.load(path, weights_only=True))
        return sampler.eval()
    started = time.perf_counter()
    bank = columns.bank
    footage = (bank.label < 0) & ~columns.left_out(source)
    footage &= (bank.kind != "scrap") | np.isin(columns.fold, TRAIN_FOLDS)
    photos = (bank.label >= 0) & np.isin(columns.fold, TRAIN_FOLDS)
    sampler = train(recipe, columns, photos, footage, seed).sampler
    path.parent.mkdir(exist_ok=True)
    torch.save(sampler.state_dict(), path)
    print(f"{name}, {source} left out, seed {seed}: {time.perf_counter() - started:.0f} s", flush=True)
    return sampler


def judged_on(columns: Columns, source: str, part: str, count: int) -> list[FeatureSequence]:
    fold, half = PARTS[part]
    bank = columns.bank
    clips = np.unique(bank.source[bank.kind == source])[half::2]
    objects = bank.where((bank.label >= 0) & (columns.fold == fold))
    return Composer(objects, bank.where((bank.kind == source) & np.isin(bank.source, clips))).sequences(count, [fold])


def table(rows: dict[str, dict[str, float]]) -> str:
    """Markdown: one row per source, then the means; and the least ROC-AUC."""
    lines = ["| source | " + " | ".join(SHOWN) + " |", "| --- " * (len(SHOWN) + 1) + "|"]
    means = {name: float(np.mean([row[name] for row in rows.values()])) for name in SHOWN}
    for source, row in {**rows, "mean": means}.items():
        lines.append(f"| {source} | {row[SHOWN[0]]:.4f} | " + " | ".join(f"{row[n]:.1f}" for n in SHOWN[1:]) + " |")
    return "\n".join([*lines, f"least ROC-AUC {min(row[SHOWN[0]] for row in rows.values()):.4f}"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", nargs="*", help=f"of shipped, {', '.join(RECIPES)}")
    parser.add_argument("--shared", type=Path, help="the folder with photos and footage")
    parser.add_argument("--work", type=Path, required=True, help="features and samplers are kept here")
    parser.add_argument("--extract", action="store_true", help="only make the features")
    parser.add_argument("--processes", type=int, default=1, help="that render")
    parser.add_argument("--part", choices=PARTS, default="choose")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--sources", default=",".join(SOURCES))
    parser.add_argument("--count", type=int, default=JUDGED, help="sequences per source")
    parser.add_argument("--out", type=Path, help="train the recipe on all sources and write its checkpoint")
    args = parser.parse_args()
    if args.extract:
        make_parts(args.shared, args.work, load_registry().checkpoint("imagenet-lite"), args.processes)
        return
    train_columns, judge_columns = read_parts(args.work / "train"), read_parts(args.work / "judge")
    with one_thread():
        for name in args.recipe:
            every: dict[str, dict[str, float]] = {}
            for seed in map(int, args.seeds.split(",")):
                for source in args.sources.split(","):
                    sampler = trained(name, source, seed, train_columns, args.work)
                    found = policies_table(scored(sampler, judged_on(judge_columns, source, args.part, args.count)))
                    every[f"{source}, seed {seed}"] = found
                    print(json.dumps({"recipe": name, "source": source, "seed": seed, **found}), flush=True)
            print(f"{name}, part {args.part}\n{table(every)}", flush=True)


if __name__ == "__main__":
    main()
