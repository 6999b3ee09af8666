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
ROUNDS, FRAMES, SLATES = 4, 4, 40


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
    kind: str
    source: str
    fold: int
    number: int
    label: int = -1  # footage

    @property
    def key(self) -> str:
        return f"{self.kind}~{self.source}~{self.fold}~{self.number}"


def photo_stretches(folder: Path, turn: int) -> Iterator[Stretch]:
    """A stretch of each photo (clean in turn 0, degraded after), and of a quarter of them an empty corner."""
    index = {tag.id: i for i, tag in enumerate(load_vocabulary("imagenet-1k"))}
    for place, path in enumerate(sorted(folder.glob("*.JPEG"))):
        rng, fold = random.Random(f"{path.stem} {turn}"), synthetic.fold_of(path)
        photo, wnid = Image.open(path).convert("RGB"), path.stem.split("_")[0]
        frames = synthetic.photo_stretch(photo, FRAMES, rng)
        yield Stretch(synthetic.degrade(frames, rng) if turn else frames, "photo", wnid, fold, turn, index[wnid])
        if place % 4 == turn:
            frames = synthetic.degrade(synthetic.scrap_stretch(photo, FRAMES, rng), rng)
            yield Stretch(frames, "scrap", f"scrap {wnid}", fold, turn)


def clip_stretches(shared: Path, turn: int) -> Iterator[Stretch]:
    """Two stretches of each clip, all but the first of them degraded; and plain frames and titles."""
    for kind, folder in FOOTAGE.items():
        for path in sorted(p for p in (shared / folder).rglob("*") if p.suffix.lower() in synthetic.VIDEO_SUFFIXES):
            rng, clip = random.Random(f"{path.stem} {turn}"), synthetic.clip_frames(path, 60, 240)
            for copy in range(2):
                frames = synthetic.clip_stretch(clip, FRAMES, rng)
                frames = synthetic.degrade(frames, rng) if turn + copy else frames
                yield Stretch(frames, kind, path.stem, synthetic.fold_of(path), 2 * turn + copy)
    for number in range(SLATES):
        rng = random.Random(f"slate-{number} {turn}")
        frames = synthetic.degrade(synthetic.slate_stretch(FRAMES, rng), rng)
        yield Stretch(frames, "slate", f"slate {number}", number % 5, turn)


def make_bank(shared: Path, work: Path, row: CheckpointRow) -> tuple[Bank, np.ndarray]:
    """Render and extract everything once, or read what is in work. Returns the bank and the fold of each stretch."""
    kept = work / "bank.npz"
    if not kept.exists():
        engine = Engine(row.preview)
        columns: dict[str, tuple[np.ndarray, np.ndarray, str, str, int, int]] = {}
        for turn in range(ROUNDS):
            for stretches in (photo_stretches(shared / "photos", turn), clip_stretches(shared, turn)):
                for s in stretches:
                    features, logits = engine(synthetic.pixels(s.frames, row.recogniser.size_px))
                    halves = features.astype(np.float16), logits.astype(np.float16)
                    columns[s.key] = (*halves, s.source, s.kind, s.fold, s.label)
            print(f"round {turn + 1} of {ROUNDS}: {len(columns)} stretches rendered", file=sys.stderr, flush=True)
        rows = [columns[key] for key in sorted(columns)]
        names = ("features", "logits", "source", "kind", "fold", "label")
        np.savez(kept, **{n: np.array(c) for n, c in zip(names, zip(*rows, strict=True), strict=True)})
    with np.load(kept) as data:
        bank = Bank(data["features"], data["logits"], data["source"], data["kind"], data["label"])
        return bank, data["fold"]
