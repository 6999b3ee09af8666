#!/bin/sh
# Tag a collection with GNU parallel, on this machine or several, without a cluster: one process per shard.
#
#     examples/parallel.sh VIDEOS RESULTS SHARDS [PARALLEL OPTIONS]
#     examples/parallel.sh /share/videos /share/results 16 --jobs 1 --sshlogin node1,node2
#
# All machines see VIDEOS and RESULTS under the same paths, and have nsnet. Run it again after a fault: videos that are
# done are skipped. Each shard keeps what it printed in RESULTS/shard-N.log.
set -eu

videos=${1:?usage: parallel.sh VIDEOS RESULTS SHARDS [PARALLEL OPTIONS]}
results=${2:?usage: parallel.sh VIDEOS RESULTS SHARDS [PARALLEL OPTIONS]}
shards=${3:?usage: parallel.sh VIDEOS RESULTS SHARDS [PARALLEL OPTIONS]}
shift 3
mkdir -p "$results"

# Exit codes 3 and 4 are no fault of a shard: some of its videos failed, or it has none.
seq "$shards" | parallel --will-cite --retries 2 "$@" \
    "nsnet tag '$videos' --shard {}/$shards -o '$results' 2> '$results/shard-{}.log'; code=\$?; \
    [ \$code -eq 0 ] || [ \$code -eq 3 ] || [ \$code -eq 4 ]"
nsnet merge "$results" -o "$results.jsonl"
