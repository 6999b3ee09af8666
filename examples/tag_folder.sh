#!/bin/sh
# Tag a folder and sort its videos into folders by what is certainly in them. The sorted videos are links: nothing is
# moved or copied.
#
#     examples/tag_folder.sh VIDEOS SORTED [PRECISION]
#
# A video with two certain tags is in two folders, one with none is in none. PRECISION (default 0.8) is the share of
# certain tags that should be right. Results are kept in SORTED/results. Run it again after adding videos: only the new
# ones are tagged.
set -eu

videos=${1:?usage: tag_folder.sh VIDEOS SORTED [PRECISION]}
sorted=${2:?usage: tag_folder.sh VIDEOS SORTED [PRECISION]}
precision=${3:-0.8}

code=0
nsnet tag "$videos" --output-dir "$sorted/results" --precision "$precision" || code=$?
[ "$code" -eq 0 ] || [ "$code" -eq 3 ] || exit "$code"   # 3: some videos failed, the others are tagged

# One "path NUL tag NUL" per certain tag. NUL, because a file name may hold anything else.
find "$sorted/results" -name '*.nsnet.json' -print0 | sort -z | xargs -0 cat |
    jq -j '.path as $path | .tags[] | select(.certain) | $path, "\u0000", (.name | gsub("/"; "-")), "\u0000"' |
    xargs -0 -n 2 sh -c '
        [ -n "${1-}" ] || exit 0   # without a certain tag anywhere, some xargs still call once
        mkdir -p "$0/$2"
        ln -sf "$(realpath "$1")" "$0/$2/"
    ' "$sorted"

# What failed, and why.
find "$sorted/results" -name '*.nsnet.json' -print0 | xargs -0 cat |
    jq -r 'select(.status == "error") | "not tagged: \(.path): \(.error.kind): \(.error.message)"' >&2
exit "$code"
