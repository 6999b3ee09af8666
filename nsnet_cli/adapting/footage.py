"""What a user's unlabelled videos teach: which of their frames surely show nothing in particular.

What comes back in a video, or in other videos, and is never surely anything is scenery: non-salient. What is surely
something may be what a video is about; such frames teach nothing. So no label is needed, and a frame is judged by what
its whole scene shows, not by itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nsnet_cli.labelled.features import VideoFeatures
from nsnet_cli.records import dataclass
from nsnet_cli.selection import unit_rows
from nsnet_cli.training.splice import Bank
from nsnet_cli.weights.heads import softmax

SURE = 0.8
"""A frame whose highest score reaches this is surely something."""
SAME_SCENE = 0.7
"""Correlation of two frames' features from which they show the same scene."""
COMES_BACK = 0.2
"""A scene that fills this share of its video comes back. An object that is shown for a while fills less."""
ELSEWHERE = 2000
"""Most frames of other videos that a frame is compared with."""
STRETCH = 4
"""Frames in a row that are spliced together."""


@dataclass(frozen=True, slots=True, repr=False)
class OwnVideo:
    """One of the user's videos."""

    name: str
    features: np.ndarray  # (T, D)
    logits: np.ndarray  # (T, C) of the preview network
    scores: np.ndarray  # (T, C) of the network that says what is sure

    def __len__(self) -> int:
        return len(self.features)


def scenery(videos: Sequence[OwnVideo], seed: int = 0) -> list[np.ndarray]:
    """For each video (T,) bool: the frames of scenes that come back and are never surely anything."""
    units = [unit_rows(video.features) for video in videos]
    owner = np.repeat(np.arange(len(videos)), [len(video) for video in videos])  # (N,)
    drawn = np.sort(np.random.default_rng(seed).permutation(len(owner))[:ELSEWHERE])
    sample, owners = np.concatenate(units)[drawn], owner[drawn]
    found = []
    for index, (video, unit) in enumerate(zip(videos, units, strict=True)):
        alike = unit @ unit.T >= SAME_SCENE  # (T, T)
        elsewhere = (unit @ sample[owners != index].T >= SAME_SCENE).any(1)  # (T,)
        sure = video.scores.max(1) >= SURE
        found.append(((alike.mean(1) >= COMES_BACK) | elsewhere) & ~(alike & sure).any(1))
    return found


def footage(videos: Sequence[OwnVideo], frames: Sequence[np.ndarray]) -> Bank:
    """The chosen frames of each video as stretches of STRETCH frames. Each video is a kind of footage of its own."""
    rows: list[tuple[np.ndarray, np.ndarray, np.ndarray, str]] = []
    for video, chosen in zip(videos, frames, strict=True):
        order = np.flatnonzero(chosen)
        starts = range(0, max(1, len(order) - STRETCH + 1), STRETCH) if len(order) else ()
        for start in starts:
            own = np.resize(order[start : start + STRETCH], STRETCH)  # a short one is repeated
            scores = np.log(np.maximum(video.scores[own], 1e-6))
            rows.append((video.features[own], video.logits[own], scores, video.name))
    features, logits, recogniser, names = zip(*rows, strict=True)
    name = np.array(names)
    seen, said, scored = (np.stack(part).astype(np.float16) for part in (features, logits, recogniser))
    return Bank(seen, said, scored, name, name, np.full(len(rows), -1))


def own_video(name: str, found: VideoFeatures) -> OwnVideo:
    """A video from its features. Where the recogniser has the preview network's classes, it says what is sure."""
    logits = found.preview.outputs
    scores = softmax(logits) if found.recogniser is None else found.recogniser.outputs
    return OwnVideo(name, found.preview.features, logits, scores)
