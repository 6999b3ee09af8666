"""Merges keywords into many sidecars of four writers, changes them, takes them out: is all as it was?

    python benchmarks/sidecars.py --count 250

Prints, per writer, how many sidecars exiftool reads as before, and how many are the same to the byte. Needs exiftool.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from xmp_files import LAYOUTS, make_sidecars, meaning

from nsnet_cli.outputs.sidecar import merge, undo
from nsnet_cli.types import Tag, VideoResult

FIRST = (("cat", ("mammal", "animal")), ("beach", ("landform",)))
THEN = (("dog", ("mammal", "animal")), ("cat", ("mammal", "animal")), ("espresso", ("coffee", "food")))
OURS = ("XMP-dc:Subject", "XMP-lr:HierarchicalSubject", "XMP-nsnet:")


def result(tags: tuple[tuple[str, tuple[str, ...]], ...]) -> VideoResult:
    return VideoResult(
        "clip.mp4", "ok", tags=tuple(Tag(name, name, 0.9, (), 0.95, True, over) for name, over in tags), precision=0.8
    )


def rest(tags: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in tags.items() if not key.startswith(OURS)}


def holds(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Whether a merged sidecar has everything from before in its order, and nsnet's keywords after it."""
    ways = ["|".join(("nsnet", *reversed(over), name)) for name, over in THEN]
    flat = before.get("XMP-dc:Subject", [])
    new = [name for name, _ in THEN if name not in {word.casefold() for word in flat}]
    both = ((flat, after["XMP-dc:Subject"], new),)
    both += ((before.get("XMP-lr:HierarchicalSubject", []), after["XMP-lr:HierarchicalSubject"], ways),)
    added = all(now[: len(old)] == old and sorted(now[len(old) :]) == sorted(more) for old, now, more in both)
    return added and rest(before) == rest(after)


def round_trip(folder: Path, writer: str, count: int, rewritten: bool) -> tuple[int, int, int]:
    """How many sidecars were right while merged, equal in meaning at the end, and equal in bytes."""
    made = make_sidecars(folder / "a", writer, count)
    shutil.copytree(folder / "a", folder / "untouched")
    untouched = [folder / "untouched" / path.relative_to(folder / "a") for path in made]
    videos = [path.with_name(path.name.removesuffix(".xmp")) for path in made]
    for video in videos:
        assert merge(video, result(FIRST)).did == "written" and merge(video, result(FIRST)).did == "unchanged"
        assert merge(video, result(THEN)).did == "written"
    read = meaning(folder)
    right = sum(holds(read[str(old)], read[str(new)]) for old, new in zip(untouched, made, strict=True))
    if rewritten:  # another program changes something in between, and writes all files anew
        options = ["-r", "-overwrite_original", "-ext", "xmp", "-XMP-xmp:Nickname=y"]
        subprocess.run(["exiftool", "-q", "-q", *options, str(folder)], check=True)
    for video in videos:
        assert undo(video).did == "written" and undo(video).did == "unchanged"
    read = meaning(folder)
    pairs = list(zip(untouched, made, strict=True))
    equal = sum(read[str(old)] == read[str(new)] for old, new in pairs)
    return right, equal, sum(old.read_bytes() == new.read_bytes() for old, new in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=250, help="sidecars per writer")
    args = parser.parse_args()
    sys.stdout.write(
        "| writer | rewritten by exiftool in between | sidecars | merged right | equal again | to the byte |\n"
    )
    sys.stdout.write("| --- | --- | --- | --- | --- | --- |\n")
    for writer in LAYOUTS:
        for rewritten in (False, True):
            with tempfile.TemporaryDirectory() as folder:
                right, equal, exact = round_trip(Path(folder), writer, args.count, rewritten)
            answer = "yes" if rewritten else "no"
            sys.stdout.write(f"| {writer} | {answer} | {args.count} | {right} | {equal} | {exact} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
