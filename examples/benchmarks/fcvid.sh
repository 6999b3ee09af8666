#!/usr/bin/env bash
# FCVID as papers measure it: trains on the training videos, reports mAP on the test videos.
#
#     examples/benchmarks/fcvid.sh DATA OUT [OPTIONS OF nsnet train]
#
# DATA has the videos, as files or as folders of extracted frames, and
# FCVID_VideoName_TrainTestSplit.txt and FCVID_Label.txt, or peers' lists, beside the videos or in DATA/materials.
# OUT gets the checkpoint, a table, the same as JSON, and a plot. Features are kept in your cache:
# a second run trains only.
#
# CHECKPOINT  which networks preview and recognise (a light one, and ResNet-50 from the Hub)
# EPOCHS      most epochs; training stops earlier if nothing improves. It has no option for the learning rate.
# KS          numbers of recognised frames to compare
set -euo pipefail

data=${1:?usage: fcvid.sh DATA OUT [OPTIONS OF nsnet train]}
out=${2:?usage: fcvid.sh DATA OUT [OPTIONS OF nsnet train]}
shift 2
mkdir -p "$out"

nsnet train "fcvid:$data" -o "$out/checkpoint" \
    --checkpoint "${CHECKPOINT:-imagenet-paper}" --epochs "${EPOCHS:-40}" "$@"
measure=(nsnet evaluate "fcvid:$data" --checkpoint "$out/checkpoint" --frames "${KS:-1,2,5,10}")
"${measure[@]}" --json --plot "$out/fcvid.png" >"$out/fcvid.json"
"${measure[@]}" 2>&1 | tee "$out/fcvid.txt"   # once more for people, with the notes: features are there
