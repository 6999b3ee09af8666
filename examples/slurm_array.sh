#!/bin/bash
# Tag a large collection as a SLURM job array: each task tags its own share of the videos.
#
#     sbatch --array=1-100 examples/slurm_array.sh VIDEOS RESULTS
#
# VIDEOS is a folder or a manifest (.csv, .jsonl, .parquet or a list) that all nodes see, and so is RESULTS. A video
# belongs to the same task every time, so a task that was cut short goes on when its array is submitted again. Number
# the tasks from 1. Afterwards make one file of all rows: nsnet merge RESULTS -o all.parquet
#SBATCH --job-name=nsnet
#SBATCH --cpus-per-task=4
#SBATCH --mem=6G
#SBATCH --time=12:00:00
#SBATCH --requeue
set -eu

videos=${1:?usage: sbatch --array=1-N slurm_array.sh VIDEOS RESULTS}
results=${2:?usage: sbatch --array=1-N slurm_array.sh VIDEOS RESULTS}
task=${SLURM_ARRAY_TASK_ID:?submit it as an array: sbatch --array=1-N}
tasks=${SLURM_ARRAY_TASK_COUNT:?submit it as an array: sbatch --array=1-N}

if [ -d "$videos" ]; then given=("$videos"); else given=(--from "$videos"); fi

code=0
nsnet tag "${given[@]}" --shard "$task/$tasks" --format parquet -o "$results" \
    --jobs "${SLURM_CPUS_PER_TASK:-0}" || code=$?
[ "$code" -eq 3 ] || [ "$code" -eq 4 ] || exit "$code"   # 3: some videos failed; 4: none in this share
