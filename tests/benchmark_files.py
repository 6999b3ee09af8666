"""Made benchmarks: tiny videos in the official layouts, under names of real list files.

`lists` is a folder of those: REAL, outside the repository, or CUT, which has a few lines of each.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from conftest import SHARED, write_video
from PIL import Image

REAL = SHARED / "benchmarks"
CUT = Path(__file__).parent / "benchmark_lists"
SIDE_PX, FRAMES = 32, 8


def clip(path: Path, label: int, seed: int) -> Path:
    """8 frames of 32 px whose colours tell the class: a video, or a folder of frames if the name has no ending."""
    rng = np.random.default_rng(seed)
    colours = np.random.default_rng(1000 + label).integers(0, 256, (2, 2, 3))
    frames = []
    for _ in range(FRAMES):
        noisy = np.clip(colours + rng.integers(-20, 21, colours.shape), 0, 255).astype(np.uint8)
        frames.append(np.asarray(Image.fromarray(noisy).resize((SIDE_PX, SIDE_PX), Image.Resampling.NEAREST)))
    if path.suffix in (".mp4", ".avi"):
        path.parent.mkdir(parents=True, exist_ok=True)
        return write_video(path, frames, codec="libx264" if path.suffix == ".mp4" else "mpeg4")
    path.mkdir(parents=True)
    for number, frame in enumerate(frames, 1):
        Image.fromarray(frame).save(path / f"image_{number:05d}.jpg")
    return path


def clips(folder: Path, named: Iterable[tuple[str, int]]) -> None:
    for seed, (name, label) in enumerate(named):
        clip(folder / name, label, seed)


def some(rows: Sequence[tuple[str, int]], classes: Sequence[int], each: int) -> list[tuple[str, int]]:
    """The first `each` videos of some classes."""
    return [row for label in classes for row in [row for row in rows if row[1] == label][:each]]


def numbered(path: Path) -> list[tuple[str, int]]:
    """(name, class id) of a list of VIDEO FRAMES LABEL, of the videos with one label."""
    lines = [line.rsplit(" ", 2) for line in path.read_text("utf-8").splitlines()]
    return [(name, int(label)) for name, frames, label in lines if " " not in name and frames.isdigit()]


def activitynet(folder: Path, lists: Path, classes: Sequence[int], train: int, val: int) -> Path:
    """The JSON with all videos of the real lists, but only some of them there, half of them as frames."""
    source = lists / "activitynet"
    names = (source / "mmaction2_label_map.txt").read_text("utf-8").splitlines()
    database = {}
    for subset, file, each in (
        ("training", "ocsampler_anet_train_video.txt", train),
        ("validation", "ocsampler_anet_val_video_multi_label.txt", val),
    ):
        rows = numbered(source / file)
        for name, label in rows:
            annotation = {"label": names[label], "segment": [0.2, 0.6]}
            database[name[2:]] = {"subset": subset, "duration": 0.8, "annotations": [annotation]}
        chosen = some(rows, classes, each)
        clips(folder, [(f"frames/{name}" if i % 2 else f"{name}.mp4", c) for i, (name, c) in enumerate(chosen)])
        extra = {"label": names[classes[0]], "segment": [0.1, 0.3]}
        database[chosen[-1][0][2:]]["annotations"].append(extra)  # one with two labels
    text = json.dumps({"version": "VERSION 1.3", "taxonomy": [], "database": database})
    (folder / "activity_net.v1-3.min.json").write_text(text)
    return folder


def activitynet_lists(folder: Path, lists: Path, classes: Sequence[int], train: int, val: int) -> Path:
    """OCSampler's lists in FrameExit's order, and all videos as frames."""
    source = lists / "activitynet"
    for file, each in (
        ("ocsampler_frameexit_anet_train_video.txt", train),
        ("ocsampler_frameexit_anet_val_video_multi_label.txt", val),
    ):
        clips(folder, [(f"frames/{name}", c) for name, c in some(numbered(source / file), classes, each)])
        shutil.copy(source / file, folder)
    return folder


def fcvid(folder: Path, lists: Path, classes: Sequence[int], train: int, test: int) -> Path:
    """Names are made up; the classes are the 239 of a third party's list."""
    names, matrix, videos = [], [], []
    for split, each in (("train", train), ("test", test)):
        for label in classes:
            for number in range(each):
                name = f"{split}_{label}_{number}.mp4"
                names.append(f"{name}\t{split}\n")
                several = {label, classes[0]} if number == 0 else {label}
                matrix.append("\t".join("1" if c in several else "0" for c in range(239)) + "\n")
                videos.append((f"videos/{name}", label))
    clips(folder, videos)
    (folder / "materials").mkdir()
    (folder / "materials" / "FCVID_VideoName_TrainTestSplit.txt").write_text("".join(names))
    (folder / "materials" / "FCVID_Label.txt").write_text("".join(matrix))
    shutil.copy(lists / "fcvid" / "classes_secondhand.txt", folder / "materials")
    return folder


def mini_kinetics(folder: Path, lists: Path, classes: Sequence[int], train: int, val: int) -> Path:
    """The set of 121,070 and 9,864 videos."""
    source = lists / "mini-kinetics"
    (folder / "lists").mkdir(parents=True)
    for split, each in (("train", train), ("val", val)):
        file = source / f"ocsampler_mini_kinetics_{split}.txt"
        clips(folder, [(f"{split}/{name}_000010_000020.mp4", c) for name, c in some(numbered(file), classes, each)])
        shutil.copy(file, folder / "lists")
    shutil.copy(source / "adafuse_minik_classInd.txt", folder / "lists")
    return folder


def mini_kinetics_by_id(folder: Path, lists: Path, classes: Sequence[int], train: int, val: int) -> Path:
    """The set of 80,000 and 5,000 videos. The CSV is made: it has rows for the videos that are there, and no others."""
    source = lists / "mini-kinetics"
    lines = ["label,youtube_id,time_start,time_end,split"]
    for split, each in (("train", train), ("val", val)):
        file = source / f"s9xie_{split}_ytid_list.txt"
        ids = file.read_text("utf-8").split()[: each * len(classes)]
        named = [(name, classes[i % len(classes)]) for i, name in enumerate(ids)]
        clips(folder, [(f"{name}_000005_000015.mp4", label) for name, label in named])
        lines += [f"class {label},{name},5,15,{split}" for name, label in named]
        shutil.copy(file, folder)
    (folder / "kinetics.csv").write_text("\n".join(lines) + "\n")
    return folder


def ucf101(folder: Path, lists: Path, classes: Sequence[int], per_group: int, groups: Sequence[int]) -> Path:
    """Clips of some groups, each in a split's training list or in its test list."""
    source, wanted = lists / "ucf101", {f"g{group:02d}" for group in groups}
    found: dict[str, int] = {}
    for line in [*(source / "trainlist01.txt").open(), *(source / "trainlist02.txt").open()]:
        name, number = line.split()
        group, clip_number = name.removesuffix(".avi").split("_")[-2:]
        if int(number) in classes and group in wanted and int(clip_number[1:]) <= per_group:
            found[name] = int(number)
    clips(folder / "UCF-101", found.items())
    shutil.copytree(source, folder / "ucfTrainTestlist")
    return folder / "UCF-101"
