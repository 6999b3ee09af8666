"""What the leave-one-source-out study trains and judges on: previews of real clips, and of photos in composites.

Files are previewed as in `nsnet tag`, through both networks, once: features are cached. A clip of footage is used
whole; of a composite, the frames of its photo. So every photo was rendered and encoded as make_composites.py does it.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from render import FOOTAGE, FRAMES

from nsnet_cli.atomic import write_whole
from nsnet_cli.cli.console import Console
from nsnet_cli.cli.labelled import gather, read_label_file
from nsnet_cli.labelled.features import headless
from nsnet_cli.labelled.folds import fold_of
from nsnet_cli.labelled.gather import ReadSettings
from nsnet_cli.labelled.labels import LabelledVideo, LabelSet
from nsnet_cli.labelled.metrics import inside
from nsnet_cli.nets.build import build_engine
from nsnet_cli.nets.engine import Engine
from nsnet_cli.training.splice import Bank
from nsnet_cli.training.synthetic import VIDEO_SUFFIXES, clip_frames, h264_round_trip, pixels, square
from nsnet_cli.weights.checkpoint import resolve_checkpoint

SOURCES = ("traffic", "hands", "street", "skate", "dark")
"""Each was filmed by other people, elsewhere, with other cameras."""
KIN = {"street": ("fight",)}
"""Kinds that are left out with a source: both are of one data set."""
KIN_CLIPS = {"street": ("car-detection", "bottle-detection")}
"""Clips in other folders that are of one data set with a source."""


COVERED_RATE, COVERED_FRAMES = 2, 24


@dataclass(frozen=True, slots=True, repr=False)
class Shown:
    """Consecutive preview frames of one clip, or of one photo in a composite."""

    source: str  # the clip, or the photo's WordNet id
    kind: str
    label: int  # -1: footage
    fold: int
    pts_s: np.ndarray  # (T,) from the first frame on
    features: np.ndarray  # (T, D)
    logits: np.ndarray  # (T, C)
    recogniser: np.ndarray  # (T, C) logits, except for a constant

    def __len__(self) -> int:
        return len(self.pts_s)

    def is_of(self, source: str) -> bool:
        """Whether it is of a source of footage or of its data set."""
        return self.kind in (source, *KIN.get(source, ())) or self.source in KIN_CLIPS.get(source, ())


def footage(data: Path, jobs: int = 1) -> list[Shown]:
    """All clips of the shared data."""
    paths = {
        path: kind
        for kind, folder in FOOTAGE.items()
        for path in sorted((data / folder).rglob("*"))
        if path.suffix.lower() in VIDEO_SUFFIXES
    }
    videos = tuple(LabelledVideo(path, (), str(path)) for path in paths)
    return [
        Shown(video.path.stem, paths[video.path], -1, fold_of(video.path), *rows)
        for video, rows, _ in _previews(LabelSet(data, videos), jobs)
    ]


def covered(data: Path, work: Path) -> list[Shown]:
    """The clips of the five sources as composites of 640 x 360 px show them, two frames per second.

    make_composites.py scales a clip to cover that size, does not turn what was filmed sideways, and encodes anew. Each
    clip is one file in WORK/covered, so an interrupted run goes on where it stopped.
    """
    made: list[Engine] = []
    shown = []
    for kind in SOURCES:
        for path in sorted((data / FOOTAGE[kind]).rglob("*")):
            if path.suffix.lower() not in VIDEO_SUFFIXES:
                continue
            kept = work / "covered" / f"{kind}~{path.stem}.npz"
            if not kept.exists():
                made = made or [build_engine(headless(resolve_checkpoint("imagenet-lite")), "auto")]
                kept.parent.mkdir(parents=True, exist_ok=True)
                buffer = io.BytesIO()
                np.savez(buffer, **_cover(path, made[0]))
                write_whole(kept, buffer.getvalue())
            with np.load(kept) as columns:
                rows = (columns[name] for name in ("pts_s", "features", "logits", "recogniser"))
                shown.append(Shown(path.stem, kind, -1, fold_of(path), *rows))
    return shown


def _cover(path: Path, networks: Engine) -> dict[str, np.ndarray]:
    frames, rate = clip_frames(path, 240, 480)
    step = max(1, round(rate / COVERED_RATE))
    picked = frames[::step][:COVERED_FRAMES]
    width, height = picked[0].size
    side = 360 / max(640 / width, 360 / height)  # the preview takes the middle of what covers 640 x 360
    images = h264_round_trip([square(frame, side, 0.5, 0.5, 360) for frame in picked], crf=27)
    seen = pixels(images, 256)
    parts = [seen[i : i + 8] for i in range(0, len(seen), 8)]
    features, logits = (np.concatenate(x) for x in zip(*(networks.preview(part) for part in parts), strict=True))
    recogniser = np.concatenate([networks.recognise(part)[1] for part in parts])
    half = {"features": features.astype(np.float16), "logits": logits.astype(np.float16)}
    return {"pts_s": np.arange(len(seen)) * step / rate, **half, "recogniser": recogniser.astype(np.float16)}


def photos(composites: Sequence[Path], data: Path, jobs: int = 1) -> list[Shown]:
    """The stretches that show a photo in these folders of composites."""
    files = {path.stem.split("_")[0]: path for path in (data / "photos").glob("*.JPEG")}
    classes = {tag.id: index for index, tag in enumerate(resolve_checkpoint("imagenet-lite").vocabulary)}
    found = []
    for folder in composites:
        for video, rows, at_s in _previews(read_label_file(folder / "labels.csv", Console()), jobs):
            label = video.labels[0]
            for segment in video.segments:
                frames = inside(at_s, [segment])
                if frames.any():
                    cut = [column[frames] for column in rows]
                    cut[0] = cut[0] - segment[0]
                    found.append(Shown(label, "photo", classes[label], fold_of(files[label]), *cut))
    return found


def _previews(labels: LabelSet, jobs: int) -> list[tuple[LabelledVideo, list[np.ndarray], np.ndarray]]:
    """Each video with the columns of `Shown` and its frames' times."""
    base = resolve_checkpoint("imagenet-lite")
    out = []
    for video, of in gather(labels, base, ReadSettings(128, "auto", "auto", jobs), Console()):
        assert of.recogniser is not None
        recogniser = np.log(np.maximum(of.recogniser.outputs.astype(np.float32), 1e-9))
        out.append((video, [of.pts_s, of.preview.features, of.preview.outputs, recogniser], of.pts_s))
    return out


def bank(shown: Sequence[Shown], frames: int = FRAMES) -> Bank:
    """Stretches of `frames` to train on: consecutive ones, and where there are too few, back and forth."""
    rows = []
    for each in shown:
        period = max(1, 2 * len(each) - 2)
        for first in range(0, len(each), frames):
            steps = np.arange(first, first + frames) % period
            order = np.minimum(steps, period - steps)
            unseen = each.recogniser[order, :0]  # training does not need it
            rows.append((each.features[order], each.logits[order], unseen, each.source, each.kind, each.label))
    return Bank(*(np.array(column) for column in zip(*rows, strict=True)))
