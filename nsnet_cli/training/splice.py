"""Sequences spliced from a bank of rendered stretches: an object's frames inside other footage.

Their lengths and the times between their frames vary.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nsnet_cli.records import dataclass
from nsnet_cli.training.sequences import FeatureSequence


@dataclass(frozen=True, slots=True, repr=False)
class Bank:
    """Stretches of preview features. `source` is what was filmed (a photo, a clip), `kind` the sort of source."""

    features: np.ndarray  # (S, F, D) float16: S stretches of F frames
    logits: np.ndarray  # (S, F, C) float16
    recogniser: np.ndarray  # (S, F, C) float16: logits of the recogniser, to measure by
    source: np.ndarray  # (S,) str
    kind: np.ndarray  # (S,) str
    label: np.ndarray  # (S,) int: class of the photographed object, -1 for footage

    def where(self, rows: np.ndarray) -> Bank:
        return Bank(*(getattr(self, name)[rows] for name in self.__slots__))

    def __len__(self) -> int:
        return len(self.source)


class Splicer:
    """Makes labelled sequences of `objects` inside `footage`. The same rng state gives the same sequence."""

    def __init__(self, objects: Bank, footage: Bank, *, mixed: float = 0.0) -> None:
        """`mixed`: share of the sequences that show scenes which nobody filmed (see `_mix`)."""
        self.objects, self.footage, self.mixed = objects, footage, mixed
        self.object_rows = [np.flatnonzero(objects.source == name) for name in np.unique(objects.source)]
        self.clip_rows = {
            kind: [np.flatnonzero(footage.source == name) for name in np.unique(footage.source[footage.kind == kind])]
            for kind in np.unique(footage.kind)
        }

    def sequences(self, count: int, seed: Sequence[int]) -> list[FeatureSequence]:
        rng = np.random.default_rng(list(seed))
        order = np.concatenate(
            [rng.permutation(len(self.object_rows)) for _ in range(-(-count // len(self.object_rows)))]
        )
        return [self.sequence(int(order[i]), rng) for i in range(count)]

    def sequence(self, photo: int, rng: np.random.Generator) -> FeatureSequence:
        """One or two stretches of one photo inside footage of one to three kinds, 16 to 96 frames in all.

        The photo has 2 to 8 frames; in one sequence of ten it has a third of all frames.
        """
        total = int(np.clip(np.exp(rng.uniform(np.log(16), np.log(96))), 16, 128))
        pieces = int(rng.choice([1, 1, 2]))
        shown = int(rng.integers(2, 9)) if rng.random() < 0.9 else max(2, total // 3)
        cuts = np.sort(rng.integers(0, total - shown + 1, pieces))
        sizes = np.bincount(rng.integers(0, pieces, shown - pieces), minlength=pieces) + 1  # each piece has a frame
        rows = rng.choice(self.object_rows[photo], pieces)
        background = self.background(total - shown, rng)
        frames: list[tuple[Bank, int, int]] = []
        for piece, cut in enumerate(cuts):
            frames += background[(cuts[piece - 1] if piece else 0) : cut]
            frames += [
                (self.objects, int(rows[piece]), i)
                for i in walk(int(sizes[piece]), self.objects.features.shape[1], rng)
            ]
        frames += background[cuts[-1] :]
        features = np.stack([bank.features[row, i] for bank, row, i in frames])
        logits = np.stack([bank.logits[row, i] for bank, row, i in frames])
        if self.mixed and rng.random() < self.mixed:
            features, logits = self._mix(frames, features, logits, rng)
        salient = np.array([bank is self.objects for bank, _, _ in frames])
        gaps = np.exp(rng.normal(0, rng.choice([0.0, 0.3, 0.8]), total))
        times = (np.cumsum(gaps) - gaps / 2) / gaps.sum()
        label, name = int(self.objects.label[rows[0]]), str(self.objects.source[rows[0]])
        recogniser = np.stack([bank.recogniser[row, i] for bank, row, i in frames])
        return FeatureSequence(features, times.astype(np.float32), (label,), logits, salient, name, recogniser)

    def _mix(
        self, frames: list[tuple[Bank, int, int]], features: np.ndarray, logits: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Scenes that nobody filmed: each clip's frames are mixed with those of another clip or another photo.

        A few hundred clips are few kinds of footage, and a sampler learns these kinds by heart. The mixture is exact:
        features are means over the picture, so those of two pictures side by side are the mean of both, and the
        classifier is linear. Part of the scenery so looks like objects that the network knows. What is salient is mixed
        too, with less: or whatever is pure would be salient.
        """
        partners: dict[str, tuple[Bank, int, float]] = {}
        mixed_features, mixed_logits = features.astype(np.float32), logits.astype(np.float32)
        for at, (bank, row, i) in enumerate(frames):
            source = str(bank.source[row])
            if source not in partners:
                other = self.objects if bank is self.footage and rng.random() < 0.5 else self.footage
                share = float(rng.uniform(0.1, 0.6) if bank is self.footage else rng.uniform(0.0, 0.4))
                partners[source] = other, int(rng.integers(len(other))), share
            other, of, share = partners[source]
            for made, columns in ((mixed_features, other.features), (mixed_logits, other.logits)):
                made[at] += share * (columns[of, i % columns.shape[1]] - made[at])
        return mixed_features, mixed_logits

    def background(self, count: int, rng: np.random.Generator) -> list[tuple[Bank, int, int]]:
        """Stretches of clips of one to three kinds: 2 to 12 frames each, 1 to 4 of slates and scraps."""
        kinds = rng.choice(list(self.clip_rows), int(rng.integers(1, 4)))
        frames: list[tuple[Bank, int, int]] = []
        while len(frames) < count:
            clips = self.clip_rows[rng.choice(kinds)]
            row = int(rng.choice(clips[rng.integers(len(clips))]))
            length = (
                int(rng.integers(2, 13))
                if self.footage.kind[row] not in ("slate", "scrap")
                else int(rng.integers(1, 5))
            )
            frames += [(self.footage, row, i) for i in walk(length, self.footage.features.shape[1], rng)]
        return frames[:count]


def walk(count: int, frames: int, rng: np.random.Generator) -> list[int]:
    """`count` indices into a stretch of `frames`, back and forth from a random place."""
    period = max(1, 2 * frames - 2)
    start = int(rng.integers(period))
    steps = [(start + i) % period for i in range(count)]
    return [i if i < frames else period - i for i in steps]
