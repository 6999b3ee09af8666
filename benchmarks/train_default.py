"""Makes the shipped sampler, `imagenet-lite`: renders, extracts, splices, trains, measures, writes the checkpoint.

    python benchmarks/train_default.py --shared ../shared/data --work ../build/sampler \\
        --dev ../build/composites-dev --dev ../build/composites-dev2 --out nsnet_cli/checkpoints/imagenet-lite

Photos and clips whose name hashes into fold 4 of 5 are never trained on; the dev composites are made of them. Features
are made once and kept in --work (`--extract` stops there). Training takes minutes and runs to its end, so the fold that
is measured decides nothing. Choices were made with cross_folds.py. `--folds 0,1,2 --measure-fold 3 --hold-out-kinds
clips,hands` leaves whole kinds of footage out of training and measures on them.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from composites import policies_table, read_composites, scored
from render import make_bank
from spliced import held_out

from nsnet_cli.nets.sampler import SamplerConfig
from nsnet_cli.nets.threads import one_thread
from nsnet_cli.training.fit import EpochReport, FitOptions, FitResult, fit
from nsnet_cli.training.splice import Bank, Splicer
from nsnet_cli.weights.registry import load_registry

UNSEEN_FOLD = 4
CONFIG = SamplerConfig(features=1280, standing=True, feature_dropout=0.3, combination="product")
OPTIONS = FitOptions(epochs=12, learning_rate=2e-3, patience=0, thin=0.3, average=0.995, seed=0)
SEQUENCES = 800


def train(
    bank: Bank,
    folds: np.ndarray,
    work: Path,
    learn: Sequence[int],
    watch: int,
    *,
    without: Collection[str] = (),
    seed: int = 0,
    epochs: int = OPTIONS.epochs,
) -> FitResult:
    """Trains on objects and footage of the folds `learn` without the kinds `without`, and watches those of `watch`.

    An interrupted training resumes from its state in `work`, which belongs to these folds and kinds.
    """
    learns = np.isin(folds, list(learn))
    footage = learns & (bank.label < 0) & ~np.isin(bank.kind, sorted(without))
    splicer = Splicer(bank.where(learns & (bank.label >= 0)), bank.where(footage))
    watched = held_out((bank, folds), watch, 200, seed)

    def show(report: EpochReport) -> None:
        print(json.dumps({k: round(v, 4) for k, v in asdict(report).items()}), flush=True)

    started = time.perf_counter()
    result = fit(
        lambda epoch: splicer.sequences(SEQUENCES, [seed, epoch]), CONFIG, replace(OPTIONS, seed=seed, epochs=epochs),
        held_out=watched, progress=show, resume=work / f"fit-{'-'.join(map(str, [*learn, *sorted(without)]))}.state",
    )  # fmt: skip
    print(f"trained in {time.perf_counter() - started:.0f} s: {json.dumps(result.metrics)}", flush=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="features are kept here")
    parser.add_argument("--dev", type=Path, action="append", default=[], help="composites to measure on (labels.csv)")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--folds", default="0,1,2,3", help="that train")
    parser.add_argument("--measure-fold", type=int, default=UNSEEN_FOLD)
    parser.add_argument("--hold-out-kinds", default="")
    parser.add_argument("--epochs", type=int, default=OPTIONS.epochs)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1, help="that render")
    parser.add_argument("--extract", action="store_true", help="only make the features")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    row = load_registry().checkpoint("imagenet-lite")
    bank, folds = make_bank(args.shared, args.work, row, args.processes)
    if args.extract:
        return
    devs = {folder.name: read_composites(folder / "labels.csv") for folder in args.dev}
    kinds = set(filter(None, args.hold_out_kinds.split(",")))
    learn = [int(fold) for fold in args.folds.split(",")]
    with one_thread():
        result = train(
            bank, folds, args.work, learn, args.measure_fold, without=kinds, seed=args.seed, epochs=args.epochs
        )
    if kinds:
        unseen = held_out((bank, folds), args.measure_fold, 1000, args.seed, kinds)
        print(f"{args.hold_out_kinds} alone: {json.dumps(policies_table(scored(result.sampler, unseen)), indent=1)}")
    metrics = {name: policies_table(scored(result.sampler, dev)) for name, dev in devs.items()}
    spliced = held_out((bank, folds), args.measure_fold, 2000, args.seed)
    metrics[f"spliced, fold {args.measure_fold}"] = policies_table(scored(result.sampler, spliced))
    print(json.dumps(metrics, indent=1))
    if args.out:
        from checkpoint import write_checkpoint

        write_checkpoint(args.out, row, result.sampler, len(result.history), metrics, args)


if __name__ == "__main__":
    main()
