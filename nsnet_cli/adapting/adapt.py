"""Fine-tunes a sampler on a user's own scenery, and keeps it only if it is better by two measures that need no label.

Agreement: a sampler that learned one half of the videos is judged on the other half. It must find kept objects in that
half's scenery better than the sampler did before, so what one half teaches has to hold for the other. Memory: on kept
objects in kept footage it must be as good as before; so no more is taken of the new weights than forgets nothing. What
is judged on is never learned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field, replace
from typing import NamedTuple

import numpy as np

from nsnet_cli.adapting.footage import OwnVideo, footage, scenery
from nsnet_cli.adapting.kept import Kept, Side
from nsnet_cli.nets.sampler import Sampler
from nsnet_cli.records import dataclass
from nsnet_cli.training.fit import EpochReport, FitOptions, fit
from nsnet_cli.training.measure import known_answers
from nsnet_cli.training.sequences import FeatureSequence
from nsnet_cli.training.splice import Bank

LEAST_VIDEOS = 4
"""Videos with scenery that are needed: two in each half."""
LEAST_FRAMES = 16
"""Frames of scenery that each half needs."""
LEAST_GAIN = 0.03
"""The agreement rises if what is missing to a ROC-AUC of 1, in the mean of both halves, shrinks by this share."""
MOST_LOSS = 0.002
"""What the ROC-AUC of one half, or of the memory, may fall by."""
OPTIONS = FitOptions(epochs=10, learning_rate=2e-3, patience=0, thin=0.3, average=0.98)
SHARES = (1.0, 0.5, 0.25)
"""Shares of the new weights that are tried, the rest being the old ones: the first that forgets nothing is taken."""
SEQUENCES = 400
"""Sequences per epoch, as many in the user's scenery as in kept footage."""
JUDGED = 200
"""Sequences that a sampler is judged on."""
OWN, KEPT, JUDGE = range(3)
"""Streams of random numbers."""


class Pair(NamedTuple):
    """A ROC-AUC before and after."""

    before: float
    after: float

    @property
    def gain(self) -> float:
        return self.after - self.before

    def __str__(self) -> str:
        return f"{self.before:.4f} before, {self.after:.4f} after"


@dataclass(frozen=True, slots=True)
class Adapted:
    """What came of it. `refused` says why the sampler is not kept; then `sampler` is None."""

    sampler: Sampler | None
    refused: str
    videos: int
    """Videos that have scenery."""
    frames: int
    """Frames of scenery."""
    halves: tuple[Pair, ...] = ()
    memory: Pair | None = None
    judged: tuple[FeatureSequence, ...] = field(default=(), repr=False)
    """The sequences of the memory."""
    tried: Sampler | None = None
    """What was made, kept or not."""


def adapt(
    videos: Sequence[OwnVideo],
    sampler: Sampler,
    kept: Kept,
    *,
    seed: int = 0,
    options: FitOptions = OPTIONS,
    count: int = SEQUENCES,
    judged: int = JUDGED,
    on_epoch: Callable[[EpochReport], None] | None = None,
) -> Adapted:
    """Adapts `sampler`, which stays as it is, to videos in order of their names.

    The halves are the first and the last videos: clips of one recording mostly stay together. `count` sequences are
    learned per epoch, `judged` ones are judged on.
    """
    found = scenery(videos, seed)
    used = [i for i, frames in enumerate(found) if frames.any()]
    frames = int(sum(found[i].sum() for i in used))
    middle = len(used) // 2
    parts = [[(videos[i], found[i]) for i in rows] for rows in (used[:middle], used[middle:], used)]
    if len(used) < LEAST_VIDEOS or any(sum(f.sum() for _, f in part) < LEAST_FRAMES for part in parts[:2]):
        return Adapted(None, _too_little(videos, used, frames), len(used), frames)
    first, last, whole = (footage(*zip(*part, strict=True)) for part in parts)
    memory = kept.judge.splicer().sequences(judged, [seed, JUDGE])
    learn = _Learning(sampler, kept, memory, area(sampler, memory), replace(options, seed=seed), count, seed, on_epoch)
    halves = []
    for own, other in ((first, last), (last, first)):
        unseen = Side(kept.judge.objects, other).splicer().sequences(judged, [seed, JUDGE])
        halves.append(Pair(area(sampler, unseen), area(learn(own)[0], unseen)))
    adapted, change = learn(whole)
    made = Adapted(adapted, "", len(used), frames, tuple(halves), change, tuple(memory), adapted)
    return _refused(made, why_not(halves, change))


def area(sampler: Sampler, judged: Sequence[FeatureSequence]) -> float:
    """The ROC-AUC of the saliency over all frames."""
    return known_answers(sampler, judged)["roc_auc_combined"]


@dataclass(frozen=True, slots=True)
class _Learning:
    sampler: Sampler
    kept: Kept
    memory: Sequence[FeatureSequence]
    before: float
    """The ROC-AUC of the memory with the old weights."""
    options: FitOptions
    count: int
    seed: int
    on_epoch: Callable[[EpochReport], None] | None

    def __call__(self, own: Bank) -> tuple[Sampler, Pair]:
        """A sampler that has learned this scenery and, as far as possible, forgets nothing; and its memory."""
        made = self._learned(own)
        for share in SHARES:
            mixed = _mixed(self.sampler, made, share)
            memory = Pair(self.before, area(mixed, self.memory))
            if memory.gain >= -MOST_LOSS:
                break
        return mixed, memory

    def _learned(self, own: Bank) -> Sampler:
        """A copy of the sampler that has learned kept objects in the user's scenery and in kept footage."""
        splicers = Side(self.kept.learn.objects, own).splicer(), self.kept.learn.splicer()
        half = self.count // 2

        def fresh(epoch: int) -> list[FeatureSequence]:
            streams = zip(splicers, (OWN, KEPT), strict=True)
            return [s for splicer, stream in streams for s in splicer.sequences(half, [self.seed, stream, epoch])]

        watched = splicers[0].sequences(8, [self.seed, OWN, self.options.epochs])  # the last epoch is kept, whatever
        made = fit(
            fresh, self.sampler.config, self.options, held_out=watched, progress=self.on_epoch, start=self.sampler
        )
        return made.sampler


def _mixed(old: Sampler, new: Sampler, share: float) -> Sampler:
    """A sampler whose weights are `share` new and the rest old."""
    before, after = old.state_dict(), new.state_dict()
    mixed = Sampler(old.config)
    mixed.load_state_dict({name: before[name].lerp(value, share) for name, value in after.items()})
    return mixed.eval()


def _too_little(videos: Sequence[OwnVideo], used: Sequence[int], frames: int) -> str:
    return (
        f"{len(used)} of {len(videos)} videos have scenery that comes back and is never surely anything"
        f" ({frames} frames): at least {LEAST_VIDEOS} videos are needed, with {LEAST_FRAMES} such frames in each half"
    )


def why_not(halves: Sequence[Pair], memory: Pair) -> str:
    """Why a sampler is not better; '' if it is."""
    mean = Pair(*np.mean(halves, axis=0).tolist())
    if mean.gain < LEAST_GAIN * (1 - mean.before) or mean.gain <= 0:
        return f"what one half of the videos teaches does not help the other: ROC-AUC {mean}"
    worst = min(halves, key=lambda half: half.gain)
    if worst.gain < -MOST_LOSS:
        return f"it helps one half of the videos and harms the other: {worst}"
    if memory.gain < -MOST_LOSS:
        return f"it forgets: ROC-AUC in kept footage {memory}"
    return ""


def _refused(made: Adapted, why: str) -> Adapted:
    return replace(made, sampler=None, refused=why) if why else made
