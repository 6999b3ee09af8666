"""The bank of rendered stretches that the default sampler is trained on: photos, footage, scraps of photos, slates."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import openvino
import torch
from PIL import Image

from nsnet_cli.nets.networks import load_classifier
from nsnet_cli.training import synthetic
from nsnet_cli.training.splice import Bank
from nsnet_cli.weights.registry import CheckpointRow, NetworkUse
from nsnet_cli.weights.vocabulary import load_vocabulary

FOOTAGE = {
    "hands": "backgrounds/hands", "street": "backgrounds/street", "traffic": "backgrounds/traffic", "fight": "fight",
    "workout": "workout", "ucf": "ucf101-mini", "clips": "clips",
}  # fmt: skip
PHOTO_STRETCHES, PHOTO_FRAMES = 4, 4
CLIP_STRETCHES, CLIP_FRAMES = 6, 6
SLATES = 120


class Engine:
    """A network of the registry on OpenVINO. pixels (N, S, S, 3) uint8 -> features (N, D), logits (N, C) float32."""

    def __init__(self, use: NetworkUse) -> None:
        example = torch.zeros(2, 256, 256, 3, dtype=torch.uint8)
        model = openvino.convert_model(load_classifier(use), example_input=example, input=[-1, 256, 256, 3])
        options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
        self.compiled = openvino.Core().compile_model(model, "CPU", options)

    def __call__(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        result = self.compiled(pixels)
        return result[0], result[1]


class Stretch(NamedTuple):
    frames: list[Image.Image]
    source: str
    kind: str
    fold: int
    label: int  # -1: footage


def photo_stretches(folder: Path) -> Iterator[Stretch]:
    index = {tag.id: i for i, tag in enumerate(load_vocabulary("imagenet-1k"))}
    for number, path in enumerate(sorted(folder.glob("*.JPEG"))):
        rng = random.Random(f"{path.stem}-1")
        photo, wnid = Image.open(path).convert("RGB"), path.stem.split("_")[0]
        for copy in range(PHOTO_STRETCHES):
            frames = synthetic.photo_stretch(photo, PHOTO_FRAMES, rng)
            frames = synthetic.degrade(frames, rng) if copy else frames
            yield Stretch(frames, wnid, "photo", synthetic.fold_of(path), index[wnid])
        if number % 9 < 3:
            frames = synthetic.degrade(synthetic.scrap_stretch(photo, CLIP_FRAMES, rng), rng)
            yield Stretch(frames, f"scrap {wnid}", "scrap", synthetic.fold_of(path), -1)


def clip_stretches(shared: Path) -> Iterator[Stretch]:
    for kind, folder in FOOTAGE.items():
        for path in sorted(p for p in (shared / folder).rglob("*") if p.suffix.lower() in synthetic.VIDEO_SUFFIXES):
            rng = random.Random(f"{path.stem}-1")
            clip = synthetic.clip_frames(path, 120, 288)
            for copy in range(CLIP_STRETCHES):
                frames = synthetic.clip_stretch(clip, CLIP_FRAMES, rng)
                frames = synthetic.degrade(frames, rng) if copy else frames
                yield Stretch(frames, path.stem, kind, synthetic.fold_of(path), -1)
    for number in range(SLATES):
        rng = random.Random(f"slate-{number}")
        frames = synthetic.degrade(synthetic.slate_stretch(CLIP_FRAMES, rng), rng)
        yield Stretch(frames, f"slate {number}", "slate", number % 5, -1)


def make_bank(shared: Path, work: Path, row: CheckpointRow) -> tuple[Bank, np.ndarray]:
    """Render and extract everything once, or read what is in work. Returns the bank and the fold of each stretch."""
    kept = work / "bank.npz"
    if not kept.exists():
        engine = Engine(row.preview)
        columns: list[tuple[np.ndarray, np.ndarray, str, str, int, int]] = []
        for stretches in (photo_stretches(shared / "photos"), clip_stretches(shared)):
            for s in stretches:
                frames = s.frames[:CLIP_FRAMES] + [s.frames[-1]] * (CLIP_FRAMES - len(s.frames))
                features, logits = engine(synthetic.pixels(frames, row.recogniser.size_px))
                columns.append(
                    (features.astype(np.float16), logits.astype(np.float16), s.source, s.kind, s.fold, s.label)
                )
                if len(columns) % 500 == 0:
                    print(f"{len(columns)} stretches rendered", file=sys.stderr, flush=True)
        names = ("features", "logits", "source", "kind", "fold", "label")
        np.savez(kept, **{n: np.array(c) for n, c in zip(names, zip(*columns, strict=True), strict=True)})
    with np.load(kept) as data:
        bank = Bank(data["features"], data["logits"], data["source"], data["kind"], data["label"])
        return bank, data["fold"]
