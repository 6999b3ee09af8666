#!/usr/bin/env bash
# Mini-Kinetics as papers measure it: trains on the training videos, reports top-1 on the validation videos.
#
#     examples/benchmarks/mini-kinetics.sh DATA OUT [OPTIONS OF nsnet train]
#
# DATA has the videos, as files or as folders of extracted frames, and
# the lists of one of the two sets, beside the videos or in DATA/lists.
# OUT gets the checkpoint, a table, the same as JSON, and a plot. Features are kept in your cache:
# a second run trains only.
#
# CHECKPOINT  which networks preview and recognise (a light one, and ResNet-50 from the Hub)
# EPOCHS      most epochs; training stops earlier if nothing improves. It has no option for the learning rate.
# KS          numbers of recognised frames to compare
set -euo pipefail

data=${1:?usage: mini-kinetics.sh DATA OUT [OPTIONS OF nsnet train]}
out=${2:?usage: mini-kinetics.sh DATA OUT [OPTIONS OF nsnet train]}
shift 2
mkdir -p "$out"

nsnet train "mini-kinetics:$data" -o "$out/checkpoint" \
    --checkpoint "${CHECKPOINT:-imagenet-paper}" --epochs "${EPOCHS:-40}" "$@"
measure=(nsnet evaluate "mini-kinetics:$data" --checkpoint "$out/checkpoint" --frames "${KS:-1,2,5,10}")
"${measure[@]}" --json --plot "$out/mini-kinetics.png" >"$out/mini-kinetics.json"
"${measure[@]}" 2>&1 | tee "$out/mini-kinetics.txt"   # once more for people, with the notes: features are there
