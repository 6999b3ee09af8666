"""nsnet as a library: what is certainly in videos, when it is seen, and what it cost.

python examples/library_use.py examples/videos
"""

from __future__ import annotations

import sys

import nsnet_cli


def main(paths: list[str]) -> int:
    for result in nsnet_cli.tag_videos(paths, top_k=3, frames=4):  # as each video ends
        if result.error is not None:
            print(f"{result.path}: {result.error.kind}: {result.error.message}")
            continue
        certain = [tag for tag in result.tags if tag.certain]  # the others are guesses
        for tag in certain:
            seen = ", ".join(f"{span.start_s:.1f} to {span.end_s:.1f} s" for span in tag.spans)
            print(f"{result.path}: {tag.name} ({tag.probability:.0%}), seen from {seen}")
        if not certain:
            perhaps = f", perhaps {result.perhaps.name}" if result.perhaps else ""
            print(f"{result.path}: nothing certain{perhaps}")
        if result.cost is not None and result.sampling is not None:
            looked, recognised = result.sampling.preview_frames, result.sampling.salient_frames
            saved = 1 - result.cost.gflops / result.cost.dense_gflops
            print(f"    {recognised} of {looked} frames recognised, {saved:.0%} of the work saved")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
