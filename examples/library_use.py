"""nsnet as a library: what each video shows, when, and what it cost.

python examples/library_use.py examples/videos/*.mp4
"""

from __future__ import annotations

import sys

import nsnet_cli


def main(paths: list[str]) -> int:
    for result in nsnet_cli.tag_videos(paths, top_k=3, frames=4):
        path = result.path
        if result.error is not None:
            print(f"{path}: {result.error.kind}: {result.error.message}")
            continue
        best = result.tags[0]
        seen = ", ".join(f"{evidence.pts_s:.1f} s" for evidence in best.evidence)
        print(f"{path}: {best.name} ({best.score:.2f}), seen at {seen}")
        if result.cost is not None and result.sampling is not None:
            looked, recognised = result.sampling.preview_frames, result.sampling.salient_frames
            saved = 1 - result.cost.gflops / result.cost.dense_gflops
            print(f"    {recognised} of {looked} frames recognised, {saved:.0%} of the work saved")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
