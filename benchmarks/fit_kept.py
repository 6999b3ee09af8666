"""Makes kept.npz, what `nsnet adapt` learns again and judges by, so that a sampler forgets nothing.

    python benchmarks/fit_kept.py --shared ../shared/data --out nsnet_cli/checkpoints/imagenet-lite

Stretches are rendered as for the training of the shipped sampler (train_default.py), from photos and footage of folds
0 to 3. Those of folds 0 to 2 are learned, those of fold 3 only judge. Fold 4 has no part in it. The file has features
of frames and no pictures.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import render
from PIL import Image
from render import Stretch

from nsnet_cli.adapting.kept import JUDGE, KEPT_FILE, LEARN, write_kept
from nsnet_cli.labelled.folds import fold_of
from nsnet_cli.training import synthetic
from nsnet_cli.training.splice import Bank
from nsnet_cli.weights.registry import load_registry
from nsnet_cli.weights.vocabulary import load_vocabulary

FRAMES = 3
PHOTOS, CLIPS = {LEARN: 200, JUDGE: 90}, {LEARN: 10, JUDGE: 5}
SCRAPS, SLATES = {LEARN: 16, JUDGE: 8}, {LEARN: 9, JUDGE: 4}
"""Photos in all, clips of each kind of footage, corners of photos, and plain frames or titles."""


def evenly(paths: list[Path], count: int) -> list[Path]:
    return [paths[i * len(paths) // count] for i in range(min(count, len(paths)))]


def stretches(shared: Path, part: str) -> Iterator[Stretch]:
    folds = (0, 1, 2) if part == LEARN else (3,)
    index = {tag.id: i for i, tag in enumerate(load_vocabulary("imagenet-1k"))}
    photos = [path for path in sorted((shared / "photos").glob("*.JPEG")) if fold_of(path) in folds]
    for path in evenly(photos, PHOTOS[part]):
        rng, wnid = random.Random(f"{path.stem} kept"), path.stem.split("_")[0]
        frames = synthetic.photo_stretch(Image.open(path).convert("RGB"), FRAMES, rng)
        yield Stretch(synthetic.degrade(frames, rng), "photo", wnid, fold_of(path), 0, index[wnid])
    for path in evenly(photos, SCRAPS[part]):
        rng = random.Random(f"{path.stem} kept scrap")
        frames = synthetic.degrade(synthetic.scrap_stretch(Image.open(path).convert("RGB"), FRAMES, rng), rng)
        yield Stretch(frames, "scrap", f"scrap {path.stem}", fold_of(path), 0)
    for kind, folder in render.FOOTAGE.items():
        found = [p for p in sorted((shared / folder).rglob("*")) if p.suffix.lower() in synthetic.VIDEO_SUFFIXES]
        for path in evenly([p for p in found if fold_of(p) in folds], CLIPS[part]):
            clip = synthetic.clip_frames(path, 100, 240)
            rng = random.Random(f"{path.stem} kept")
            frames = synthetic.degrade(synthetic.clip_stretch(clip, FRAMES, rng), rng)
            yield Stretch(frames, kind, path.stem, fold_of(path), 0)
    for number in range(SLATES[part]):
        rng = random.Random(f"slate {part} {number}")
        frames = synthetic.degrade(synthetic.slate_stretch(FRAMES, rng), rng)
        yield Stretch(frames, "slate", f"slate {part} {number}", 0, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="the shipped checkpoint's folder")
    args = parser.parse_args()
    row = load_registry().checkpoint("imagenet-lite")
    render.start_engines(row)
    rows, parts = [], []
    for part in (LEARN, JUDGE):
        for s in stretches(args.shared, part):
            images = synthetic.pixels(s.frames, render.SIZE_PX)
            features, logits = render.PREVIEW(images)
            rows.append((features, logits, render.RECOGNISER(images)[1], s.source, s.kind, s.label))
            parts.append(part)
            if len(parts) % 50 == 0:
                print(f"{len(parts)} stretches", file=sys.stderr, flush=True)
    bank = Bank(*(np.array(column) for column in zip(*rows, strict=True)))
    size = write_kept(args.out / KEPT_FILE, bank, np.array(parts), row.recogniser)
    print(f"{len(bank)} stretches of {FRAMES} frames, {size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
