#!/usr/bin/env bash
# ActivityNet v1.3 as papers measure it: trains on the training videos, reports mAP on the validation videos.
#
#     examples/benchmarks/activitynet.sh DATA OUT [OPTIONS OF nsnet train]
#
# DATA has the videos, as files or as folders of extracted frames, and
# activity_net.v1-3.min.json, or peers' lists, beside the videos or in DATA/annotations.
# OUT gets the checkpoint, a table, the same as JSON, and a plot. Features are kept in your cache:
# a second run trains only.
#
# CHECKPOINT, EPOCHS and KS set more: see recipe.sh, which is sourced.
set -euo pipefail

name=activitynet
. "$(dirname "$0")/recipe.sh"
train -o "$out/checkpoint" "$@"
measure --checkpoint "$out/checkpoint"
