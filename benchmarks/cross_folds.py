"""Cross-validates the recipe of the shipped sampler over folds 0 to 3: how good it is on unseen videos.

    for m in 0 1 2 3; do python ../shared/tools/make_composites.py --photos ../shared/data/photos \\
        --backgrounds ../shared/data/backgrounds --folds 5 --only $m --count 100 --seed $((20 + m)) \\
        --out ../build/composites-cv$m; done
    python benchmarks/cross_folds.py --work ../build/sampler --composites ../build/composites-cv

For each fold a sampler is trained on the objects and footage of the other three and judged on that fold's composites
(real files, previewed as in `nsnet tag`). Fold 4 is never used. A fold has only two to twelve clips of footage,
so one clip that looks like an object can decide it. Judge a change by all four folds and by more than one seed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from composites import policies_table, read_composites, scored
from render import read_bank
from train_default import train

from nsnet_cli.evaluation.policies import ScoredVideo
from nsnet_cli.nets.threads import one_thread

FOLDS = (0, 1, 2, 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="where train_default.py keeps its features")
    parser.add_argument("--composites", required=True, help="path of their folders, without the number of the fold")
    parser.add_argument("--seeds", default="0")
    args = parser.parse_args()
    bank, folds = read_bank(args.work)
    dev = {m: read_composites(Path(f"{args.composites}{m}") / "labels.csv") for m in FOLDS}
    for seed in map(int, args.seeds.split(",")):
        videos: list[ScoredVideo] = []
        areas = []
        for m in FOLDS:
            with one_thread():
                sampler = train(bank, folds, args.work, [f for f in FOLDS if f != m], m, seed=seed).sampler
            judged = scored(sampler, dev[m])
            videos += judged
            table = policies_table(judged)
            areas.append(table["roc_auc nsnet"])
            print(f"seed {seed}, fold {m}: {json.dumps(table)}", flush=True)
        table = policies_table(videos)
        print(f"seed {seed}, {len(videos)} videos: {json.dumps(table, indent=1)}")
        print(f"seed {seed}, mean ROC-AUC of the folds: {np.mean(areas):.4f}", flush=True)


if __name__ == "__main__":
    main()
