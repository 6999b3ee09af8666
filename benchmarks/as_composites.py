"""Spliced sequences that are cut as make_composites.py cuts its videos and previewed as `nsnet tag` plans a preview."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nsnet_cli.media import ReadOptions
from nsnet_cli.training.sequences import FeatureSequence
from nsnet_cli.training.splice import Bank
from nsnet_cli.video.plan import plan_preview

SECONDS, FPS, STEP_S = 40.0, 12.0, 0.9
"""Length of a video in the mean, its frame rate, and the time between two frames of a stretch of footage."""
KEY_FRAMES_S = 250 / FPS
"""The encoder's longest time between key frames."""

Shot = tuple[float, float, Bank, int]  # starts, ends, and the stretch of the bank that it shows


class Composer:
    """Composites of `objects` in `footage`, as features. The same seed gives the same sequences."""

    def __init__(self, objects: Bank, footage: Bank) -> None:
        self.objects, self.footage = objects, footage
        self.object_rows = [np.flatnonzero(objects.source == name) for name in np.unique(objects.source)]
        self.clip_rows = [np.flatnonzero(footage.source == name) for name in np.unique(footage.source)]

    def sequences(self, count: int, seed: Sequence[int]) -> list[FeatureSequence]:
        rng = np.random.default_rng(list(seed))
        rounds = -(-count // len(self.object_rows))
        order = np.concatenate([rng.permutation(len(self.object_rows)) for _ in range(rounds)])
        return [self.sequence(int(order[i]), rng) for i in range(count)]

    def sequence(self, photo: int, rng: np.random.Generator) -> FeatureSequence:
        shots = self.shots(photo, rng)
        starts = np.array([start for start, *_ in shots])
        end = shots[-1][1]
        keys = sorted({*starts.tolist(), *np.arange(0, end, KEY_FRAMES_S).tolist()})
        plan = plan_preview(keys, 0.0, end, FPS, ReadOptions(size_px=256))
        pts_s = np.array([frame.pts_s for frame in plan.frames])
        frames = []
        for at_s in pts_s:
            start, stop, bank, row = shots[int(np.searchsorted(starts, at_s + 1e-6)) - 1]
            many = bank.features.shape[1]
            if bank is self.objects:
                frames.append((bank, row, min(many - 1, int((at_s - start) / (stop - start) * many))))
            else:
                step = round((at_s - start) / STEP_S) % (2 * many - 2)  # back and forth
                frames.append((bank, row, min(step, 2 * many - 2 - step)))
        columns = (
            np.stack([getattr(bank, column)[row, i] for bank, row, i in frames])
            for column in ("features", "logits", "recogniser")
        )
        features, logits, recogniser = columns
        salient = np.array([bank is self.objects for bank, _, _ in frames])
        row = self.object_rows[photo][0]
        label, name = int(self.objects.label[row]), str(self.objects.source[row])
        return FeatureSequence(features, pts_s / end, (label,), logits, salient, name, recogniser)

    def shots(self, photo: int, rng: np.random.Generator) -> list[Shot]:
        """One or two stretches of a photo, 2.5 to 6 s in all, between shots of 4 to 12 s of any of the clips."""
        count = int(rng.choice([1, 1, 2]))
        shown_s = rng.uniform(2.5, 6.0, count) / count**0.5
        gaps = rng.random(count + 1) + 0.15
        gaps_s = gaps / gaps.sum() * (SECONDS * rng.uniform(0.6, 1.4) - shown_s.sum())
        shots: list[Shot] = []
        at_s = 0.0
        for gap, left_s in enumerate(gaps_s):
            while left_s > 0.3:
                part_s = min(left_s, rng.uniform(4, 12))
                row = int(rng.choice(self.clip_rows[rng.integers(len(self.clip_rows))]))
                shots.append((at_s, at_s + part_s, self.footage, row))
                at_s, left_s = at_s + part_s, left_s - part_s
            if gap < count:
                row = int(rng.choice(self.object_rows[photo]))
                shots.append((at_s, at_s + shown_s[gap], self.objects, row))
                at_s += shown_s[gap]
        return shots
