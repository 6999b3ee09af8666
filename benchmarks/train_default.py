"""Make the shipped sampler, `imagenet-lite`: render, extract, splice, train, measure, write the checkpoint.

    python benchmarks/train_default.py --shared ../shared/data --work ../build/sampler \\
        --dev ../build/composites-dev --dev ../build/composites-dev2 --out nsnet_cli/checkpoints/imagenet-lite

Photos and clips whose name hashes into fold 4 of 5 are never trained on (they make the dev composites). Features are
kept in --work and
made once (`--extract` alone stops there); training takes minutes. `--hold-out-kinds street,workout` leaves whole
kinds of footage out
as well, and `--folds 0,1,2,3` says which folds train; the last of them is for early stopping.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from composites import Composites, policies_table, read_composites
from render import make_bank

from nsnet_cli.nets.networks import load_classifier
from nsnet_cli.nets.sampler import SamplerConfig
from nsnet_cli.training.fit import EpochReport, FitOptions, FitResult, fit
from nsnet_cli.training.measure import known_answers
from nsnet_cli.training.splice import Bank, Splicer
from nsnet_cli.weights.registry import load_registry

UNSEEN_FOLD = 4
CONFIG = SamplerConfig(features=1280, standing=True)
OPTIONS = FitOptions(epochs=10, batch=32, learning_rate=2e-3, patience=8, thin=0.3, seed=0)
SEQUENCES = 600


def part(
    bank: Bank, folds: np.ndarray, keep: set[int], without: set[str] = frozenset(), only: set[str] | None = None
) -> Bank:
    kinds = ~np.isin(bank.kind, sorted(without)) if only is None else np.isin(bank.kind, sorted(only))
    return bank.where(np.isin(folds, sorted(keep)) & kinds)


def train(bank: Bank, folds: np.ndarray, args: argparse.Namespace) -> FitResult:
    """Objects and footage of all folds but the last train; the last (and the kinds held out) stops training early."""
    folds_used = [int(f) for f in args.folds.split(",")]
    held_out_kinds = set(filter(None, args.hold_out_kinds.split(",")))
    training, stopping = set(folds_used[:-1]), {folds_used[-1]}
    objects, footage = bank.where(bank.label >= 0), bank.where(bank.label < 0)
    object_folds, footage_folds = folds[bank.label >= 0], folds[bank.label < 0]
    splicer = Splicer(part(objects, object_folds, training), part(footage, footage_folds, training, held_out_kinds))
    held_kinds = part(footage, footage_folds, stopping | training, only=held_out_kinds) if held_out_kinds else None
    stopper = Splicer(part(objects, object_folds, stopping), held_kinds or part(footage, footage_folds, stopping))
    held_out = stopper.sequences(300, [args.seed, 99])
    options = replace(OPTIONS, seed=args.seed, epochs=args.epochs)

    def show(report: EpochReport) -> None:
        print(json.dumps({k: round(v, 4) for k, v in asdict(report).items()}), flush=True)

    started = time.perf_counter()
    result = fit(
        lambda epoch: splicer.sequences(SEQUENCES, [args.seed, epoch]), CONFIG, options,
        held_out=held_out, progress=show, resume=args.work / "fit.state",
    )  # fmt: skip
    print(f"trained in {time.perf_counter() - started:.0f} s: {json.dumps(result.metrics)}", flush=True)
    for kind in sorted(set(footage.kind)):
        rows = part(footage, footage_folds, stopping | {UNSEEN_FOLD}, only={kind})
        if len(set(rows.source)) >= 2 and kind not in ("slate", "scrap"):
            sequences = Splicer(part(objects, object_folds, stopping), rows).sequences(80, [args.seed, 7])
            print(f"  inside {kind} alone: {json.dumps(known_answers(result.sampler, sequences))}", flush=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="features are kept here")
    parser.add_argument("--dev", type=Path, action="append", default=[], help="composites to measure on (labels.csv)")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--folds", default="0,1,2,3")
    parser.add_argument("--hold-out-kinds", default="")
    parser.add_argument("--epochs", type=int, default=OPTIONS.epochs)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1, help="that render")
    parser.add_argument("--extract", action="store_true", help="only make the features")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    row = load_registry().checkpoint("imagenet-lite")
    bank, folds = make_bank(args.shared, args.work, row, args.processes)
    devs: dict[str, Composites] = {folder.name: read_composites(folder, args.work, row) for folder in args.dev}
    if args.extract:
        return
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    result = train(bank, folds, args)
    head = load_classifier(row.preview).net.get_classifier()
    metrics = {name: policies_table(result.sampler, head, dev) for name, dev in devs.items()}
    print(json.dumps(metrics, indent=1))
    if args.out:
        from checkpoint import write_checkpoint

        write_checkpoint(args.out, row, result, metrics, args)


if __name__ == "__main__":
    main()
