#!/bin/sh
# Tag a folder and sort its videos into folders by their best tag. They are links: nothing is moved or copied.
#
#     examples/tag_folder.sh VIDEOS SORTED [LEAST_SCORE]
#
# Results are kept in SORTED/results. Run it again after adding videos: only the new ones are tagged.
set -eu

videos=${1:?usage: tag_folder.sh VIDEOS SORTED [LEAST_SCORE]}
sorted=${2:?usage: tag_folder.sh VIDEOS SORTED [LEAST_SCORE]}
least=${3:-0.3}

code=0
nsnet tag "$videos" --output-dir "$sorted/results" --top-k 3 || code=$?
[ "$code" -eq 0 ] || [ "$code" -eq 3 ] || exit "$code"   # 3: some videos failed, the others are tagged

# One "path NUL tag NUL" per video with a high enough score. NUL, because a file name may hold anything else.
find "$sorted/results" -name '*.nsnet.json' -print0 | sort -z | xargs -0 cat |
    jq -j --argjson least "$least" '
        select(.status == "ok" and (.tags[0].score // 0) >= $least)
        | .path, "\u0000", (.tags[0].name | gsub("/"; "-")), "\u0000"' |
    xargs -0 -n 2 sh -c '
        mkdir -p "$0/$2"
        ln -sf "$(realpath "$1")" "$0/$2/"
    ' "$sorted"

# What failed, and why.
find "$sorted/results" -name '*.nsnet.json' -print0 | xargs -0 cat |
    jq -r 'select(.status == "error") | "not tagged: \(.path): \(.error.kind): \(.error.message)"' >&2
exit "$code"
