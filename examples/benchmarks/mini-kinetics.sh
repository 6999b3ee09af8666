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
# CHECKPOINT, EPOCHS and KS set more: see recipe.sh, which is sourced.
set -euo pipefail

name=mini-kinetics
. "$(dirname "$0")/recipe.sh"
train -o "$out/checkpoint" "$@"
measure --checkpoint "$out/checkpoint"
