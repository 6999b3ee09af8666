"""How good is a sampler on a source of footage that it never saw? Leave-one-source-out over five sources.

    python ../shared/tools/make_composites.py --photos ../shared/data/photos --backgrounds ../shared/data/backgrounds \\
        --folds 5 --only 0,1,2,3 --count 400 --seed 1 --out ../build/composites-train
    python benchmarks/loso.py --shared ../shared --work ../build/loso --composites ../build/composites-train \\
        --composites ../build/composites-dev --part report --seeds 1,2 shipped 0.1-short numbers-mixed pair

For each source (traffic, hands, street, skate, dark) a sampler is trained on all other footage and on photos of folds
0 to 2. It is judged on photos of another fold in that source's clips: features of real previews, cut and previewed as
composites are. Recipes are chosen with `--part choose` (photos of fold 3, one half of the source's clips) and reported
with `--part report` (photos of fold 4, the other half). `shipped` is the file of the package, which has seen
clips of all sources. `pair` is the mean of a sampler with appearance and one without.

`--out` trains one recipe on all sources, photos and clips of folds 0 to 3, as train_default.py does, and writes its
checkpoint. With `--first` it becomes the second sampler of a checkpoint that train_default.py made:

    python benchmarks/loso.py ... --sequences 600 --first FOLDER --out nsnet_cli/checkpoints/imagenet-lite numbers-mixed

Samplers are kept in WORK/samplers, so a second run only judges. `--folders DIR` writes them as checkpoints, which
`adapt.py --checkpoint 'DIR/{source}-1'` goes on from.
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
from checkpoint import write_checkpoint
from composites import policies_table, read_composites, scored
from loso_bank import SOURCES, Shown, bank, covered, footage, photos
from train_default import CONFIG, OPTIONS, SEQUENCES, UNSEEN_FOLD

from nsnet_cli.nets.sampler import Sampler, SamplerConfig, load_sampler
from nsnet_cli.nets.threads import one_thread
from nsnet_cli.training.fit import FitResult, fit
from nsnet_cli.training.sequences import FeatureSequence
from nsnet_cli.training.splice import Splicer
from nsnet_cli.weights.checkpoint import resolve_checkpoint
from nsnet_cli.weights.registry import load_registry

SHOWN = ("roc_auc nsnet", "top1 nsnet", "top1 confidence", "top1 oracle", "top1 uniform")
JUDGED = 240
TRAIN_FOLDS = (0, 1, 2)
PARTS = {"choose": (3, 0), "report": (4, 1)}
"""Fold of the photos, and which half of the source's clips."""


@dataclass(frozen=True)
class Recipe:
    """What differs from version 0.1's recipe, except for its footage, which is that of all sources."""

    config: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    mixed: float = 0.0
    sequences: int = SEQUENCES
    """Per epoch."""


SHORT = {"epochs": 10, "average": 0.97}
KNOWN = {**SHORT, "known": True}
NUMBERS = {"appearance": False, "elsewhere": True}
RECIPES = {
    "0.1": Recipe(),
    "0.1-short": Recipe(options=SHORT, sequences=400),
    "known": Recipe(options=KNOWN, sequences=400),
    "numbers": Recipe(NUMBERS, KNOWN, sequences=400),
    "numbers-mixed": Recipe(NUMBERS, KNOWN, mixed=0.7, sequences=400),
}
PAIRS = {"pair": ("0.1-short", "numbers-mixed")}
"""Two samplers in one (`SamplerConfig.second`)."""


def train(recipe: Recipe, objects: list[Shown], scenery: list[Shown], seed: int) -> FitResult:
    splicer = Splicer(bank(objects), bank(scenery), mixed=recipe.mixed)
    watched = splicer.sequences(32, [seed, 1_000_003])  # decides nothing: training runs to its end
    return fit(
        lambda epoch: splicer.sequences(recipe.sequences, [seed, epoch]),
        SamplerConfig(**{**CONFIG.to_dict(), **recipe.config}),
        replace(OPTIONS, seed=seed, **recipe.options),
        held_out=watched,
    )


def paired(first: Sampler, second: Sampler) -> Sampler:
    """One sampler of two that were trained apart."""
    sampler = Sampler(replace(first.config, second=True))
    assert second.config == sampler.config.of_second(), f"no second sampler of {first.config}: {second.config}"
    sampler.load_state_dict(first.state_dict() | {f"second.{k}": v for k, v in second.state_dict().items()})
    return sampler.eval()


def trained(name: str, source: str, seed: int, data: list[Shown], work: Path) -> Sampler:
    """The sampler of a recipe that never saw a source, from WORK/samplers or trained now."""
    if name == "shipped":
        return load_sampler(resolve_checkpoint("imagenet-lite"))
    if name in PAIRS:
        return paired(*(trained(member, source, seed, data, work) for member in PAIRS[name]))
    recipe, path = RECIPES[name], work / "samplers" / f"{name}~{source}~{seed}.pt"
    if path.exists():
        sampler = Sampler(SamplerConfig(**{**CONFIG.to_dict(), **recipe.config}))
        sampler.load_state_dict(torch.load(path, weights_only=True))
        return sampler.eval()
    started = time.perf_counter()
    objects = [shown for shown in data if shown.label >= 0 and shown.fold in TRAIN_FOLDS]
    left_out = source.split("+")
    scenery = [shown for shown in data if shown.label < 0 and not any(shown.is_of(s) for s in left_out)]
    sampler = train(recipe, objects, scenery, seed).sampler
    path.parent.mkdir(exist_ok=True)
    torch.save(sampler.state_dict(), path)
    print(f"{name}, {source} left out, seed {seed}: {time.perf_counter() - started:.0f} s", flush=True)
    return sampler


def judged_on(data: list[Shown], shots: list[Shown], source: str, part: str, count: int) -> list[FeatureSequence]:
    fold, half = PARTS[part]
    clips = [clip for clip in shots if clip.kind == source][half::2]
    return Composer([s for s in data if s.label >= 0 and s.fold == fold], clips).sequences(count, [fold])


def table(rows: dict[str, dict[str, float]]) -> str:
    """Markdown: one row per source, then the means; and the least ROC-AUC."""
    lines = ["| source | " + " | ".join(SHOWN) + " |", "| --- " * (len(SHOWN) + 1) + "|"]
    means = {name: float(np.mean([row[name] for row in rows.values()])) for name in SHOWN}
    for source, row in {**rows, "mean": means}.items():
        lines.append(f"| {source} | {row[SHOWN[0]]:.4f} | " + " | ".join(f"{row[n]:.1f}" for n in SHOWN[1:]) + " |")
    return "\n".join([*lines, f"least ROC-AUC {min(row[SHOWN[0]] for row in rows.values()):.4f}"])


def write(args: argparse.Namespace, data: list[Shown]) -> None:
    """Trains a recipe on all sources, pairs it if asked, measures it and writes its checkpoint."""
    known = [shown for shown in data if shown.fold != UNSEEN_FOLD]
    objects, scenery = ([s for s in known if (s.label >= 0) == photo] for photo in (True, False))
    recipe, seed = RECIPES[args.recipe[0]], int(args.seeds.split(",")[0])
    result = train(replace(recipe, sequences=args.sequences or recipe.sequences), objects, scenery, seed)
    if args.first:
        result = replace(result, sampler=paired(load_sampler(resolve_checkpoint(args.first)), result.sampler))
    metrics = {
        dev.name: policies_table(scored(result.sampler, read_composites(dev / "labels.csv"))) for dev in args.dev
    }
    print(json.dumps(metrics, indent=1))
    save(args.out, result.sampler, "0,1,2,3", seed, len(result.history), metrics)


def save(
    out: Path,
    sampler: Sampler,
    folds: str,
    seed: int,
    epochs: int | None = None,
    metrics: dict[str, dict[str, float]] | None = None,
) -> None:
    """Writes a checkpoint. `folds`: what the sampler was trained on."""
    said = argparse.Namespace(folds=folds, measure_fold=UNSEEN_FOLD, seed=seed)
    write_checkpoint(out, load_registry().checkpoint("imagenet-lite"), sampler, epochs, metrics or {}, said)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", nargs="+", help=f"of shipped, {', '.join([*RECIPES, *PAIRS])}")
    parser.add_argument("--shared", type=Path, required=True, help="the folder with data/")
    parser.add_argument("--work", type=Path, required=True, help="samplers are kept here")
    parser.add_argument("--composites", type=Path, action="append", required=True, help="folders with labels.csv")
    parser.add_argument("--part", choices=PARTS, default="choose")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--leave-out", default=",".join(SOURCES), help="a+b: both at once, to try a recipe quickly")
    parser.add_argument("--count", type=int, default=JUDGED, help="sequences per source")
    parser.add_argument("--folders", type=Path, help="write SOURCE-SEED, a checkpoint of each sampler, here")
    parser.add_argument("--out", type=Path, help="train one recipe on all sources and write its checkpoint here")
    parser.add_argument("--sequences", type=int, help="with --out: per epoch")
    parser.add_argument("--first", help="with --out: the checkpoint whose second sampler it becomes")
    parser.add_argument("--dev", type=Path, action="append", default=[], help="with --out: composites to measure on")
    args = parser.parse_args()
    if args.folders and len(args.recipe) > 1:
        parser.error("--folders is for one recipe: the next would replace its checkpoints")
    data = [*footage(args.shared / "data"), *photos(args.composites, args.shared / "data")]
    shots = covered(args.shared / "data", args.work)
    data += shots
    with one_thread():
        if args.out:
            write(args, data)
            return
        for name in args.recipe:
            every: dict[str, dict[str, float]] = {}
            for seed in map(int, args.seeds.split(",")):
                for left_out in args.leave_out.split(","):
                    sampler = trained(name, left_out, seed, data, args.work)
                    if args.folders:
                        save(args.folders / f"{left_out}-{seed}", sampler, f"0,1,2 without {left_out}", seed)
                    for source in left_out.split("+"):
                        found = policies_table(scored(sampler, judged_on(data, shots, source, args.part, args.count)))
                        every[f"{source}, seed {seed}"] = found
                        print(json.dumps({"recipe": name, "source": source, "seed": seed, **found}), flush=True)
            print(f"{name}, part {args.part}\n{table(every)}", flush=True)


if __name__ == "__main__":
    main()
