"""The bank of rendered stretches that the default sampler is trained on: photos, footage, scraps of photos, slates."""

from __future__ import annotations

import multiprocessing
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import openvino
import torch
from PIL import Image

from nsnet_cli.labelled.folds import fold_of
from nsnet_cli.nets.networks import load_classifier
from nsnet_cli.training import synthetic
from nsnet_cli.training.splice import Bank
from nsnet_cli.weights.rows import CheckpointRow, NetworkUse
from nsnet_cli.weights.vocabulary import load_vocabulary

FOOTAGE = {
    "hands": "backgrounds/hands", "street": "backgrounds/street", "traffic": "backgrounds/traffic",
    "skate": "backgrounds/skate", "dark": "backgrounds/dark", "fight": "fight", "workout": "workout",
    "ucf": "ucf101-mini", "clips": "clips",
}  # fmt: skip
FRAMES, SLATES = 4, 40
PHOTO_TURNS, CLIP_TURNS = 6, 24
COLUMNS = ("features", "logits", "recogniser", "source", "kind", "label", "fold")


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


def photo_stretches(path: Path) -> Iterator[Stretch]:
    """Stretches of a photo, clean in turn 0 and degraded later, and in one turn an empty corner of it."""
    index = {tag.id: i for i, tag in enumerate(load_vocabulary("imagenet-1k"))}
    photo, wnid, fold = Image.open(path).convert("RGB"), path.stem.split("_")[0], fold_of(path)
    for turn in range(PHOTO_TURNS):
        rng = random.Random(f"{path.stem} {turn}")
        frames = synthetic.photo_stretch(photo, FRAMES, rng)
        yield Stretch(synthetic.degrade(frames, rng) if turn else frames, "photo", wnid, fold, turn, index[wnid])
        if index[wnid] % PHOTO_TURNS == turn:
            frames = synthetic.degrade(synthetic.scrap_stretch(photo, FRAMES, rng), rng)
            yield Stretch(frames, "scrap", f"scrap {wnid}", fold, turn)


def clip_stretches(kind: str, path: Path) -> Iterator[Stretch]:
    """Stretches of a clip, all but the first degraded."""
    clip = synthetic.clip_frames(path, 100, 240)
    for turn in range(CLIP_TURNS):
        rng = random.Random(f"{path.stem} {turn}")
        frames = synthetic.clip_stretch(clip, FRAMES, rng)
        yield Stretch(synthetic.degrade(frames, rng) if turn else frames, kind, path.stem, fold_of(path), turn)


def slate_stretches(number: int) -> Iterator[Stretch]:
    """Stretches of plain frames and titles."""
    for turn in range(PHOTO_TURNS):
        rng = random.Random(f"slate-{number} {turn}")
        frames = synthetic.degrade(synthetic.slate_stretch(FRAMES, rng), rng)
        yield Stretch(frames, "slate", f"slate {number}", number % 5, turn)


Task = tuple[Callable[..., Iterator[Stretch]], tuple[object, ...]]


def tasks(shared: Path) -> list[Task]:
    """A function and its arguments for each clip, photo and slate to render."""
    clips: list[Task] = [
        (clip_stretches, (kind, path))
        for kind, folder in FOOTAGE.items()
        for path in sorted((shared / folder).rglob("*"))
        if path.suffix.lower() in synthetic.VIDEO_SUFFIXES
    ]
    photos: list[Task] = [(photo_stretches, (path,)) for path in sorted((shared / "photos").glob("*.JPEG"))]
    return [*clips, *photos, *((slate_stretches, (number,)) for number in range(SLATES))]


def columns_of(task: Task) -> list[tuple[str, tuple[object, ...]]]:
    """Key and bank columns of each stretch of a task."""
    stretches, arguments = task
    rows: list[tuple[str, tuple[object, ...]]] = []
    for s in stretches(*arguments):
        images = synthetic.pixels(s.frames, SIZE_PX)
        features, logits = PREVIEW(images)
        outputs = (a.astype(np.float16) for a in (features, logits, RECOGNISER(images)[1]))
        rows.append((s.key, (*outputs, s.source, s.kind, s.label, s.fold)))
    return rows


def start_engines(row: CheckpointRow) -> None:
    """Runs once per process: a compiled network cannot be sent to another one."""
    global PREVIEW, RECOGNISER, SIZE_PX
    PREVIEW, RECOGNISER, SIZE_PX = Engine(row.preview), Engine(row.recogniser), row.recogniser.size_px


def make_bank(shared: Path, work: Path, row: CheckpointRow, processes: int = 1) -> tuple[Bank, np.ndarray]:
    """The bank and the fold of each stretch, read from `work` or else rendered and extracted once."""
    kept = work / "bank.npz"
    if not kept.exists():
        columns: dict[str, tuple[object, ...]] = {}
        due = tasks(shared)
        with multiprocessing.get_context("spawn").Pool(processes, start_engines, (row,)) as pool:
            for done, rows in enumerate(pool.imap_unordered(columns_of, due), 1):
                columns.update(rows)
                if done % 100 == 0 or done == len(due):
                    print(f"{done} of {len(due)} rendered, {len(columns)} stretches", file=sys.stderr, flush=True)
        ordered = [columns[key] for key in sorted(columns)]  # so that the order of the processes does not matter
        np.savez(kept, **{n: np.array(c) for n, c in zip(COLUMNS, zip(*ordered, strict=True), strict=True)})
    return read_bank(work)


def read_bank(work: Path) -> tuple[Bank, np.ndarray]:
    with np.load(work / "bank.npz") as data:
        return Bank(*(data[name] for name in COLUMNS[:-1])), data["fold"]
