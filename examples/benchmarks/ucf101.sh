#!/usr/bin/env bash
# UCF101 as papers measure it: trains on each of the three splits, reports the mean top-1 over their test videos.
#
#     examples/benchmarks/ucf101.sh DATA OUT [OPTIONS OF nsnet train]
#
# DATA has the videos in their class folders. classInd.txt, trainlist01.txt and so on are in it, in
# DATA/ucfTrainTestlist or in ucfTrainTestlist beside it.
# OUT gets three checkpoints, a table, the same as JSON, and a plot. Features are kept in your cache:
# the splits share them.
#
# CHECKPOINT, EPOCHS and KS set more: see recipe.sh, which is sourced.
set -euo pipefail

name=ucf101
. "$(dirname "$0")/recipe.sh"
for split in 1 2 3; do
    train --split "$split" -o "$out/split-$split" "$@"
done
measure --split 1,2,3 --checkpoint "$out/split-{split}"
