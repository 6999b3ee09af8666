"""The policies side by side on thousands of spliced sequences of one fold. Choices are made by this measure.

    python benchmarks/spliced.py --work ../build/sampler --fold 3 [--kinds street,workout] [CHECKPOINT_FOLDER ...]

Features come from the bank that train_default.py made: the objects and footage of `--fold`. With `--kinds` the footage
is that of these kinds in every fold (for samplers trained with --hold-out-kinds). Standard errors count a photo once.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from composites import grouped_error, policies_table, right, scored
from render import read_bank

from nsnet_cli.nets.sampler import Sampler, load_sampler
from nsnet_cli.training.sequences import FeatureSequence
from nsnet_cli.training.splice import Bank, Splicer
from nsnet_cli.weights.checkpoint import resolve_checkpoint


def held_out(
    banked: tuple[Bank, np.ndarray], fold: int, count: int, seed: int, kinds: set[str] | None = None
) -> list[FeatureSequence]:
    """Spliced sequences of one fold's objects and footage, or, with kinds, of all footage of these kinds."""
    bank, folds = banked
    objects, footage = (bank.label >= 0) & (folds == fold), (bank.label < 0) & (folds == fold)
    if kinds:
        footage = (bank.label < 0) & np.isin(bank.kind, sorted(kinds))
    return Splicer(bank.where(objects), bank.where(footage)).sequences(count, [seed, 1_000_003])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "checkpoint", nargs="*", default=["imagenet-lite"], help="the first is compared with the others"
    )
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--fold", type=int, default=3)
    parser.add_argument("--kinds", default="")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--frames", type=int, default=4)
    args = parser.parse_args()
    kinds = set(filter(None, args.kinds.split(",")))
    sequences = held_out(read_bank(args.work), args.fold, args.count, args.seed, kinds)
    samplers: dict[str, Sampler] = {name: load_sampler(resolve_checkpoint(name)) for name in args.checkpoint}
    before: np.ndarray | None = None
    for name, sampler in samplers.items():
        videos = scored(sampler, sequences)
        print(name, json.dumps(policies_table(videos, args.frames), indent=1))
        now = right(videos, "nsnet", args.frames).astype(float)
        before = now if before is None else before
        error = grouped_error(now - before, [v.name for v in videos])
        print(f"  against {args.checkpoint[0]}: {100 * (now - before).mean():+.2f} +- {100 * error:.2f}")


if __name__ == "__main__":
    main()
