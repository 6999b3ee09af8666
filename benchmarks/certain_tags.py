"""Are the certain tags of made videos right, and when? And is nothing certain where there is nothing to name?

    python benchmarks/certain_tags.py composites ../build/composites-dev/labels.csv
    python benchmarks/certain_tags.py two ../build/two/labels.csv
    python benchmarks/certain_tags.py nothing ../build/nothing

made_videos.py makes the last two sets. A certain tag is right if it is the class of the photo or stands over it.
`--checkpoint` tries another calibration.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from nsnet_cli.hierarchy import Hierarchy
from nsnet_cli.weights.checkpoint import resolve_checkpoint

PRECISION = 0.8
"""The default of `nsnet tag`."""
WAYS = ("both", "one", "none")
Row = dict[str, Any]
Spans = list[tuple[float, float]]


def tag(paths: Sequence[Path], checkpoint: str, precision: float = PRECISION) -> list[Row]:
    """The rows of `nsnet tag --json`, in the order of the paths. Ends the program if a video has no tags."""
    options = ["--json", "--quiet", "--checkpoint", checkpoint, "--precision", str(precision)]
    command = [sys.executable, "-m", "nsnet_cli", "tag", *map(str, paths), *options]
    lines = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout.splitlines()
    rows = {row["path"]: row for row in map(json.loads, lines)}
    return [rows[str(path)] for path in paths]


def certain(row: Row) -> list[Row]:
    return [tag for tag in row["tags"] if tag["certain"]]


def read_made(labels: Path, checkpoint: str) -> tuple[list[list[set[str]]], list[Spans], list[Row]]:
    """Per video: for each label what is right, when it is seen, and the row of `tag`."""
    with labels.open(newline="") as file:
        made = list(csv.DictReader(file))
    base = resolve_checkpoint(checkpoint)
    above = Hierarchy(base.vocabulary, base.table).above
    right = [[{label, *above(label)} for label in video["label"].split(";")] for video in made]
    segments = [[spans_of(part) for part in video["segments"].split(";")] for video in made]
    return right, segments, tag([labels.parent / video["path"] for video in made], checkpoint)


def spans_of(segment: str) -> tuple[float, float]:
    start, end = segment.split("-")
    return float(start), float(end)


def seen(found: Row) -> Spans:
    return [(span["start_s"], span["end_s"]) for span in found["spans"]]


def overlap(one: Spans, other: Spans) -> float:
    """Intersection over union of two sets of spans, in seconds."""
    edges = sorted({edge for span in (*one, *other) for edge in span})
    both = either = 0.0
    for start, end in pairwise(edges):
        inside = [any(a <= start and end <= b for a, b in spans) for spans in (one, other)]
        both += (end - start) * all(inside)
        either += (end - start) * any(inside)
    return both / either if either else 0.0


def composites(args: argparse.Namespace) -> None:
    right, segments, rows = read_made(args.labels, args.checkpoint)
    tags = [certain(row) for row in rows]
    first = [found[0]["id"] in own[0] for found, own in zip(tags, right, strict=True) if found]
    overlaps = [
        overlap(seen(best), spans)
        for found, own, spans in zip(tags, right, segments, strict=True)
        if (best := next((each for each in found if each["id"] in own[0]), None))
    ]
    print(f"{len(rows)} videos; a certain tag is shown for {len(first)} ({len(first) / len(rows):.3f})")
    print(f"the first is the class or stands over it: {sum(first)} ({mean(first):.3f} of those shown)")
    print(f"mean span IoU of the right tag: {mean(overlaps):.3f} over {len(overlaps)} videos")


def two(args: argparse.Namespace) -> None:
    count: Counter[str] = Counter()
    overlaps: list[list[float]] = [[], []]
    for labels, spans, row in zip(*read_made(args.labels, args.checkpoint), strict=True):
        tags = certain(row)
        fits = [[each for each in tags if each["id"] in own] for own in labels]
        apart = [(a, b) for a in fits[0] for b in fits[1] if a is not b]  # one tag over both is not both
        best = apart[0] if apart else [next(iter(each), None) for each in fits]
        count["both" if apart else "one" if any(fits) else "none"] += 1
        for n, found in enumerate(best):
            if found:
                overlaps[n].append(overlap(seen(found), [spans[n]]))
    total = count.total()
    print(f"{total} videos: " + ", ".join(f"{name} {count[name]} ({count[name] / total:.3f})" for name in WAYS))
    for name, each in zip(("first", "second"), overlaps, strict=True):
        print(f"mean span IoU of the {name} object: {mean(each):.3f} over {len(each)} videos")


def mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def nothing(args: argparse.Namespace) -> None:
    paths = sorted(args.folder.glob("*.mp4"))
    silent = 0
    for path, row in zip(paths, tag(paths, args.checkpoint), strict=True):
        names = ", ".join(f"{found['name']} {found['probability']:.2f}" for found in certain(row))
        silent += not names
        print(f"{path.stem:24s} {names or 'nothing certain'}")
    print(f"nothing certain in {silent} of {len(paths)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)

    def command(run: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
        made = commands.add_parser(run.__name__)
        made.add_argument("--checkpoint", default="imagenet-lite")
        made.set_defaults(run=run)
        return made

    for run in (composites, two):
        command(run).add_argument("labels", type=Path)
    command(nothing).add_argument("folder", type=Path)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
