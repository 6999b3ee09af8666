"""The features of the leave-one-source-out study, made once: stretches to train on, and stretches to judge on.

What trains is cropped and degraded at random and seen by the preview network alone. What judges is rendered as
make_composites.py does it, and the recogniser sees it too. Each clip, photo and slate is one file in WORK/train or
WORK/judge, so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import io
import multiprocessing
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import render
from PIL import Image
from render import Stretch, photo_stretches, slate_stretches

from nsnet_cli.atomic import write_whole
from nsnet_cli.labelled.folds import fold_of
from nsnet_cli.training import synthetic
from nsnet_cli.training.splice import Bank
from nsnet_cli.weights.rows import CheckpointRow
from nsnet_cli.weights.vocabulary import load_vocabulary

SOURCES = ("traffic", "hands", "street", "skate", "dark")
"""Each was filmed by other people, elsewhere, with other cameras."""
KIN = {"street": ("fight",)}
"""Kinds that are left out with a source: both are of one data set."""
KIN_CLIPS = {"street": ("car-detection", "bottle-detection")}
"""Clips in other folders that are of one data set with a source."""
TRAIN_FOLDS, CHOICE_FOLD, REPORT_FOLD = (0, 1, 2), 3, 4
"""Folds of photos: what trains, what recipes are chosen by, what is reported. All footage of a source is one fold."""
CLIP_TURNS, HARD_TURNS, JUDGE_TURNS, JUDGE_FRAMES = 16, 8, 6, 6
MANY_TURNS = {"fight": (8, 4)}  # 80 clips of one kind
SIDE_PX, STEP_S = 360, 0.9


class Columns(NamedTuple):
    """A bank, and of each stretch: its fold, its turn, and whether it is one of the harder renderings."""

    bank: Bank
    fold: np.ndarray
    turn: np.ndarray
    hard: np.ndarray

    def where(self, rows: np.ndarray) -> Columns:
        return Columns(self.bank.where(rows), self.fold[rows], self.turn[rows], self.hard[rows])

    def left_out(self, source: str) -> np.ndarray:
        """Which stretches (S,) are of a source or of its data set."""
        kinds = [source, *KIN.get(source, ())]
        return np.isin(self.bank.kind, kinds) | np.isin(self.bank.source, KIN_CLIPS.get(source, ()))


HARD = 1000
"""Turns from this number on are the harder renderings."""


def train_clip(kind: str, path: Path) -> Iterator[Stretch]:
    clip = synthetic.clip_frames(path, 100, SIDE_PX)
    turns, hard = MANY_TURNS.get(kind, (CLIP_TURNS, HARD_TURNS))
    for turn in [*range(turns), *range(HARD, HARD + hard)]:
        rng = random.Random(f"{path.stem} {turn}")
        frames = synthetic.clip_stretch(clip, render.FRAMES, rng)
        if turn >= HARD:
            frames = synthetic.harden(frames, rng)
        yield Stretch(synthetic.degrade(frames, rng) if turn else frames, kind, path.stem, fold_of(path), turn)


def train_photo(path: Path) -> Iterator[Stretch]:
    yield from photo_stretches(path)
    index = {tag.id: i for i, tag in enumerate(load_vocabulary("imagenet-1k"))}
    photo, wnid = Image.open(path).convert("RGB"), path.stem.split("_")[0]
    for turn in (HARD, HARD + 1):
        rng = random.Random(f"{path.stem} {turn}")
        frames = synthetic.harden(synthetic.photo_stretch(photo, render.FRAMES, rng), rng)
        yield Stretch(synthetic.degrade(frames, rng), "photo", wnid, fold_of(path), turn, index[wnid])


def judge_clip(kind: str, path: Path) -> Iterator[Stretch]:
    """Stretches as a composite of 640 x 360 px shows them: scaled to cover it, and of that the square in the middle."""
    frames, rate = synthetic.clip_frames(path, 240, SIDE_PX)
    for turn in range(JUDGE_TURNS):
        rng = random.Random(f"{path.stem} judged {turn}")
        step = max(1.0, rate * STEP_S)
        first = rng.uniform(0, max(0.0, len(frames) - step * JUDGE_FRAMES))
        period = max(1, 2 * len(frames) - 2)
        order = [round(first + step * i) % period for i in range(JUDGE_FRAMES)]
        picked = [frames[i if i < len(frames) else period - i] for i in order]
        side = 360 / max(640 / picked[0].width, 360 / picked[0].height)
        shown = [synthetic.square(frame, side, 0.5, 0.5, 360) for frame in picked]
        yield Stretch(synthetic.h264_round_trip(shown, crf=27), kind, path.stem, fold_of(path), turn)


def judge_photo(path: Path) -> Iterator[Stretch]:
    index = {tag.id: i for i, tag in enumerate(load_vocabulary("imagenet-1k"))}
    photo, wnid = Image.open(path).convert("RGB"), path.stem.split("_")[0]
    for turn in range(2):
        rng = random.Random(f"{path.stem} judged {turn}")
        frames = synthetic.pan([photo] * JUDGE_FRAMES, rng, 360, (0.8, 1.0))
        shown = synthetic.h264_round_trip(frames, crf=27)
        yield Stretch(shown, "photo", wnid, fold_of(path), turn, index[wnid])


class Task(NamedTuple):
    name: str  # of its file: "train/hands~clip"
    stretches: Callable[..., Iterator[Stretch]]
    arguments: tuple[object, ...]


def tasks(shared: Path) -> list[Task]:
    due = []
    for kind, folder in render.FOOTAGE.items():
        for path in sorted((shared / folder).rglob("*")):
            if path.suffix.lower() in synthetic.VIDEO_SUFFIXES:
                due.append(Task(f"train/{kind}~{path.stem}", train_clip, (kind, path)))
                if kind in SOURCES:
                    due.append(Task(f"judge/{kind}~{path.stem}", judge_clip, (kind, path)))
    for path in sorted((shared / "photos").glob("*.JPEG")):
        if fold_of(path) != REPORT_FOLD:
            due.append(Task(f"train/photo~{path.stem}", train_photo, (path,)))
        if fold_of(path) in (CHOICE_FOLD, REPORT_FOLD):
            due.append(Task(f"judge/photo~{path.stem}", judge_photo, (path,)))
    return due + [Task(f"train/slate~{n}", slate_stretches, (n,)) for n in range(render.SLATES)]


def make_part(task: Task, work: Path) -> None:
    rows = []
    for s in task.stretches(*task.arguments):
        images = synthetic.pixels(s.frames, render.SIZE_PX)
        features, logits = render.PREVIEW(images)
        recogniser = render.RECOGNISER(images)[1] if task.name.startswith("judge/") else logits[:, :0]
        outputs = (a.astype(np.float16) for a in (features, logits, recogniser))
        rows.append((*outputs, s.source, s.kind, s.label, s.fold, s.number))
    columns = dict(zip([*render.COLUMNS, "turn"], map(np.array, zip(*rows, strict=True)), strict=True))
    whole = io.BytesIO()
    np.savez(whole, **columns)
    write_whole(work / f"{task.name}.npz", whole.getvalue())


def make_parts(shared: Path, work: Path, row: CheckpointRow, processes: int) -> None:
    """Makes the files that are missing."""
    for part in ("train", "judge"):
        (work / part).mkdir(parents=True, exist_ok=True)
    due = [task for task in tasks(shared) if not (work / f"{task.name}.npz").exists()]
    if not due:
        return
    with multiprocessing.get_context("spawn").Pool(processes, render.start_engines, (row,)) as pool:
        for done, _ in enumerate(pool.imap_unordered(_make, [(task, work) for task in due]), 1):
            if done % 50 == 0 or done == len(due):
                print(f"{done} of {len(due)} rendered", file=sys.stderr, flush=True)


def _make(job: tuple[Task, Path]) -> None:
    make_part(*job)


def read_parts(folder: Path) -> Columns:
    """All stretches of a folder, in the order of their files' names."""
    names = [*render.COLUMNS, "turn"]
    parts: list[list[np.ndarray]] = []
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as part:
            parts.append([part[name] for name in names])
    *bank, fold, turn = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Columns(Bank(*bank), fold, turn, turn >= HARD)
