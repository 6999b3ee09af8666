"""Are videos tagged as well in rounds as when all planned frames are looked at? Prints a Markdown table.

    python benchmarks/rounds.py ../build/composites-dev/labels.csv [--count 60] [--even 10 16]

LABELS: made videos with `label` and `segments`, as make_composites.py writes them. Each is tagged in rounds, as
`nsnet tag` does, and by the full plan, with the same networks. `--even N`: also by N evenly spaced frames. Top-1 is by
the highest score; the first certain tag is right if it is the label or stands over it; spans are those of the right
certain tag. Frames are those previewed, decoded is per frame of the video, repeated decoding included.
"""

from __future__ import annotations

import argparse
import csv
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from certain_tags import overlap, spans_of

from nsnet_cli.cores import usable_cores
from nsnet_cli.hierarchy import Hierarchy
from nsnet_cli.outputs.kept_results import unpack
from nsnet_cli.tagger import Tagger
from nsnet_cli.types import TagOptions


@dataclass(frozen=True, slots=True)
class Found:
    """What was said of one video."""

    top1: bool
    shown: bool
    right: bool
    iou: float | None
    frames: int
    decoded: float


def judged(tagger: Tagger, hierarchy: Hierarchy, folder: Path, row: dict[str, str]) -> Found:
    result = tagger.tag(folder / row["path"])
    assert result.kept is not None and result.cost and result.info
    kept = unpack(result.kept)
    best = kept.judged.nodes[int(kept.judged.scores[: kept.judged.leaves].argmax())].id
    true = {row["label"], *hierarchy.above(row["label"])}
    certain = [tag for tag in result.tags if tag.certain]
    right = next((tag for tag in certain if tag.id in true), None)
    truth = [spans_of(segment) for segment in row["segments"].split(";")]
    return Found(
        best == row["label"],
        bool(certain),
        bool(certain) and certain[0].id in true,
        overlap([(span.start_s, span.end_s) for span in right.spans], truth) if right else None,
        len(kept.pts_s),
        result.cost.frames_decoded / (float(row["duration_s"]) * (result.info.fps or 1)),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--count", type=int, help="only the first so many videos")
    parser.add_argument("--even", type=int, nargs="*", default=[], metavar="N")
    args = parser.parse_args()
    with args.labels.open(newline="") as file:
        rows = list(csv.DictReader(file))[: args.count]
    rounds = Tagger.from_checkpoint("imagenet-lite", TagOptions(), device="cpu", keep=True)
    whole = replace(rounds.read_options, in_rounds=False)
    ways = {
        "rounds": rounds,
        "full plan": Tagger(rounds.checkpoint, rounds.engine, rounds.options, read=whole, keep=True),
    }
    for n in args.even:
        options = TagOptions(policy="uniform", frames=n)
        ways[f"{n} even frames"] = Tagger(rounds.checkpoint, rounds.engine, options, keep=True)
    hierarchy = Hierarchy(rounds.checkpoint.vocabulary, rounds.checkpoint.table)
    print(f"{len(rows)} videos of {args.labels.parent}\n")
    print("| | top-1 | first certain tag right | span IoU | frames | decoded |\n| --- | --- | --- | --- | --- | --- |")
    for name, tagger in ways.items():
        with ThreadPoolExecutor(usable_cores()) as threads:
            found = list(threads.map(lambda row, by=tagger: judged(by, hierarchy, args.labels.parent, row), rows))
        top1, frames, decoded = (np.mean([getattr(f, what) for f in found]) for what in ("top1", "frames", "decoded"))
        iou = np.mean([f.iou for f in found if f.iou is not None] or [np.nan])
        certain = f"{sum(f.right for f in found)} of {sum(f.shown for f in found)}"
        print(f"| {name} | {100 * top1:.1f} | {certain} | {iou:.3f} | {frames:.0f} | {decoded:.2f} |", flush=True)


if __name__ == "__main__":
    main()
