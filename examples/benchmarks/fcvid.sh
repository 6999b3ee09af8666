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
# CHECKPOINT, EPOCHS and KS set more: see recipe.sh, which is sourced.
set -euo pipefail

name=fcvid
. "$(dirname "$0")/recipe.sh"
train -o "$out/checkpoint" "$@"
measure --checkpoint "$out/checkpoint"
