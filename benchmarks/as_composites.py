"""Sequences of features that are cut as make_composites.py cuts its videos and previewed as `nsnet tag` plans it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from loso_bank import Shown

from nsnet_cli.media import ReadOptions
from nsnet_cli.training.sequences import FeatureSequence
from nsnet_cli.video.plan import plan_preview

SECONDS, FPS = 40.0, 12.0
"""Length of a composite in the mean, and its frame rate."""
KEY_FRAMES_S = 250 / FPS
"""The encoder's longest time between key frames."""

Shot = tuple[float, float, Shown]  # starts, ends, and what is seen


class Composer:
    """Composites of photos in clips, as features. The same seed gives the same sequences."""

    def __init__(self, photos: Sequence[Shown], clips: Sequence[Shown]) -> None:
        self.clips = list(clips)
        self.photos = [[p for p in photos if p.source == name] for name in sorted({p.source for p in photos})]

    def sequences(self, count: int, seed: Sequence[int]) -> list[FeatureSequence]:
        rng = np.random.default_rng(list(seed))
        rounds = -(-count // len(self.photos))
        order = np.concatenate([rng.permutation(len(self.photos)) for _ in range(rounds)])
        return [self.sequence(self.photos[order[i]], rng) for i in range(count)]

    def sequence(self, photo: Sequence[Shown], rng: np.random.Generator) -> FeatureSequence:
        shots = self.shots(photo, rng)
        starts, end = np.array([start for start, *_ in shots]), shots[-1][1]
        keys = sorted({*starts.tolist(), *np.arange(0, end, KEY_FRAMES_S).tolist()})
        plan = plan_preview(keys, 0.0, end, FPS, ReadOptions(size_px=256))
        pts_s = np.array([frame.pts_s for frame in plan.frames])
        frames: list[tuple[Shown, int]] = []
        for at_s in pts_s:
            start, stop, shown = shots[int(np.searchsorted(starts, at_s + 1e-6)) - 1]
            if shown.label >= 0:
                frames.append((shown, min(len(shown) - 1, int((at_s - start) / (stop - start) * len(shown)))))
            else:  # back and forth, at the clip's own speed
                last = float(shown.pts_s[-1]) or 1.0
                moment = (at_s - start) % (2 * last)
                frames.append((shown, int(np.abs(shown.pts_s - min(moment, 2 * last - moment)).argmin())))
        features, logits, recogniser = (
            np.stack([getattr(shown, column)[i] for shown, i in frames])
            for column in ("features", "logits", "recogniser")
        )
        salient = np.array([shown.label >= 0 for shown, _ in frames])
        of = photo[0]
        return FeatureSequence(features, pts_s / end, (of.label,), logits, salient, of.source, recogniser)

    def shots(self, photo: Sequence[Shown], rng: np.random.Generator) -> list[Shot]:
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
                shots.append((at_s, at_s + part_s, self.clips[rng.integers(len(self.clips))]))
                at_s, left_s = at_s + part_s, left_s - part_s
            if gap < count:
                shots.append((at_s, at_s + shown_s[gap], photo[rng.integers(len(photo))]))
                at_s += shown_s[gap]
        return shots
