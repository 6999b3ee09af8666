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
# CHECKPOINT  which networks preview and recognise (a light one, and ResNet-50 from the Hub)
# EPOCHS      most epochs; training stops earlier if nothing improves. It has no option for the learning rate.
# KS          numbers of recognised frames to compare
set -euo pipefail

data=${1:?usage: ucf101.sh DATA OUT [OPTIONS OF nsnet train]}
out=${2:?usage: ucf101.sh DATA OUT [OPTIONS OF nsnet train]}
shift 2
mkdir -p "$out"

for split in 1 2 3; do
    nsnet train "ucf101:$data" --split "$split" -o "$out/split-$split" \
        --checkpoint "${CHECKPOINT:-imagenet-paper}" --epochs "${EPOCHS:-40}" "$@"
done
measure=(nsnet evaluate "ucf101:$data" --split 1,2,3 --checkpoint "$out/split-{split}" --frames "${KS:-1,2,5,10}")
"${measure[@]}" --json --plot "$out/ucf101.png" >"$out/ucf101.json"
"${measure[@]}" 2>&1 | tee "$out/ucf101.txt"   # once more for people, with the notes: features are there
