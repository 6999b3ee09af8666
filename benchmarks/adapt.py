"""What `nsnet adapt` is worth: half of a source's clips adapt the sampler, the other half judges it, both ways round.

    python benchmarks/adapt.py --shared ../shared/data --work ../build/adapt [--with-objects] [--seeds 0,1]

Clips are previewed as in `nsnet tag`. The sampler is judged by the ROC-AUC of its saliency on sequences that splice
photos of fold 4 into the clips that it did not see. The shipped sampler saw most clips of all sources: `--checkpoint
'DIR/{source}-1'` takes one sampler per source instead, trained without it (`loso.py --folders DIR`). With
`--with-objects` half of the clips that adapt show a photo for a while, as a user's footage shows things; nothing says
where. Where the new sampler is refused, "kept" is the figure of the old one.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import render
import torch
from render import photo_stretches

from nsnet_cli.adapting.adapt import Adapted, adapt, area
from nsnet_cli.adapting.footage import OwnVideo, footage, own_video
from nsnet_cli.adapting.kept import Kept, Side, classifier_of, kept_file, read_kept
from nsnet_cli.cli.console import Console
from nsnet_cli.cli.labelled import gather
from nsnet_cli.labelled.folds import fold_of
from nsnet_cli.labelled.gather import ReadSettings
from nsnet_cli.labelled.labels import LabelledVideo, LabelSet
from nsnet_cli.nets.sampler import load_sampler
from nsnet_cli.training import synthetic
from nsnet_cli.training.splice import Bank
from nsnet_cli.weights.checkpoint import Checkpoint, resolve_checkpoint
from nsnet_cli.weights.heads import softmax
from nsnet_cli.weights.registry import load_registry
from nsnet_cli.weights.rows import CheckpointRow

SOURCES = ("skate", "dark", "traffic", "hands", "street")
FOLD, TURNS, JUDGED = 4, 2, 300
KIN = {"street": ("street", "fight")}
"""Kept footage of the same data set as a source is left out where the sampler never saw that source."""


def read_objects(shared: Path, work: Path, row: CheckpointRow) -> Bank:
    """Stretches of the photos of fold 4, rendered once."""
    path = work / "objects.npz"
    if not path.exists():
        render.start_engines(row)
        rows = []
        for photo in sorted((shared / "photos").glob("*.JPEG")):
            if fold_of(photo) != FOLD:
                continue
            for s in photo_stretches(photo):
                if s.kind == "photo" and s.number < TURNS:
                    images = synthetic.pixels(s.frames, render.SIZE_PX)
                    features, logits = render.PREVIEW(images)
                    rows.append((features, logits, render.RECOGNISER(images)[1], s.source, s.kind, s.label))
        columns = [np.array(column) for column in zip(*rows, strict=True)]
        np.savez(path, *(c.astype(np.float16) if c.dtype == np.float32 else c for c in columns))
    with np.load(path) as data:
        return Bank(*(data[f"arr_{n}"] for n in range(6)))


def read_clips(folder: Path, base: Checkpoint) -> list[OwnVideo]:
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".mp4", ".mov"))
    labels = LabelSet(folder, tuple(LabelledVideo(path, (), str(path)) for path in paths))
    found = gather(labels, base, ReadSettings(128, "cpu", "auto", 1), Console(quiet=True))
    return [own_video(video.path.name, features) for video, features in found]


def with_objects(videos: Sequence[OwnVideo], objects: Bank, seed: int) -> list[OwnVideo]:
    """Every second video shows an object for 2 to 8 frames."""
    rng, made = np.random.default_rng([seed, 77]), []
    for index, video in enumerate(videos):
        if index % 2:
            made.append(video)
            continue
        row, at = int(rng.integers(len(objects))), int(rng.integers(len(video) + 1))
        frames = np.resize([0, 1, 2, 3, 2, 1], int(rng.integers(2, 9)))
        shown = objects.features[row][frames], objects.logits[row][frames]
        columns = (*shown, softmax(objects.recogniser[row][frames].astype(np.float32)))
        own = (video.features, video.logits, video.scores)
        parts = [np.concatenate([a[:at], b, a[at:]]) for a, b in zip(own, columns, strict=True)]
        made.append(OwnVideo(video.name, *parts))
    return made


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    before: float
    after: float
    made: Adapted

    @property
    def refused(self) -> str:
        return self.made.refused

    @property
    def kept(self) -> float:
        return self.before if self.refused else self.after

    def __str__(self) -> str:
        pairs = ", ".join(f"{p.before:.3f}>{p.after:.3f}" for p in (*self.made.halves, self.made.memory) if p)
        verdict = self.refused or "kept"
        return (
            f"{self.name:14} before {self.before:.4f}  after {self.after:.4f}  kept {self.kept:.4f}"
            f"  frames {self.made.frames}  ({pairs})  {verdict}"
        )


def without(kept: Kept, kinds: Sequence[str]) -> Kept:
    sides = [
        Side(side.objects, side.footage.where(~np.isin(side.footage.kind, kinds))) for side in (kept.learn, kept.judge)
    ]
    return Kept(sides[0], sides[1], kept.recogniser)


@dataclass(frozen=True, slots=True)
class Trial:
    """One half of a source's clips, and a seed."""

    source: str
    half: int
    seed: int


class Bench:
    """What all trials share."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.objects = read_objects(args.shared, args.work, load_registry().checkpoint("imagenet-lite"))
        self.bases = {source: resolve_checkpoint(args.checkpoint.format(source=source)) for source in args.sources}
        self.clips = {
            source: read_clips(args.shared / "backgrounds" / source, base) for source, base in self.bases.items()
        }
        base = self.bases[args.sources[0]]
        self.kept = read_kept(kept_file(base), classifier_of(base.preview))

    def __call__(self, trial: Trial) -> Row:
        torch.set_num_threads(1)
        args, source, seed = self.args, trial.source, trial.seed
        sampler, kept, clips = load_sampler(self.bases[source]), self.kept, self.clips[source]
        if "{source}" in args.checkpoint:
            kept = without(kept, KIN.get(source, (source,)))
        halves = clips[: len(clips) // 2], clips[len(clips) // 2 :]
        own, other = halves[trial.half], halves[1 - trial.half]
        judging = self.objects
        if args.with_objects:  # what the clips show, and what judges: photos of different classes
            shown = np.array([int(name[-1]) % 2 == 0 for name in judging.source])
            own, judging = with_objects(own, judging.where(shown), seed), judging.where(~shown)
        other_footage = footage(other, [np.ones(len(video), bool) for video in other])
        judged = Side(judging, other_footage).splicer().sequences(JUDGED, [seed, 4242])
        made = adapt(own, sampler, kept, seed=seed)
        before = area(sampler, judged)
        after = before if made.tried is None else area(made.tried, judged)
        row = Row(f"{source} {trial.half + 1} seed {seed}", before, after, made)
        print(row, flush=True)
        return replace(row, made=replace(made, sampler=None, tried=None, judged=()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="features of photos are kept here")
    parser.add_argument("--checkpoint", default="imagenet-lite", help="name or folder; {source} stands for the source")
    parser.add_argument("--sources", default=",".join(SOURCES))
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--with-objects", action="store_true")
    parser.add_argument("--processes", type=int, default=1)
    args = parser.parse_args()
    args.sources = args.sources.split(",")
    args.work.mkdir(parents=True, exist_ok=True)
    bench = Bench(args)
    trials = [
        Trial(source, half, seed)
        for seed in map(int, args.seeds.split(","))
        for source in args.sources
        for half in (0, 1)
    ]
    with multiprocessing.get_context("fork").Pool(args.processes) as pool:  # torch has one thread, so a fork is safe
        rows = pool.map(bench, trials, 1)
    kept = np.array([row.kept - row.before for row in rows])
    tried = np.array([row.after - row.before for row in rows])
    count = sum(row.refused == "" for row in rows)
    print(f"{count} of {len(rows)} kept: mean {kept.mean():+.4f}, worst {kept.min():+.4f}")
    print(f"as if all were kept: mean {tried.mean():+.4f}, worst {tried.min():+.4f}")


if __name__ == "__main__":
    main()
