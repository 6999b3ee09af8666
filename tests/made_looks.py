"""Kept looks made by hand, for tests of what is found in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from nsnet_cli.hierarchy import Hierarchy
from nsnet_cli.kept import Judged, Kept, Node
from nsnet_cli.media import VideoInfo
from nsnet_cli.outputs.kept_results import pack, render
from nsnet_cli.outputs.store import ResultStore
from nsnet_cli.types import Cost, ModelInfo, Source, TagName, TagOptions, Timings
from nsnet_cli.weights.vocabulary import load_vocabulary

FRAMES, WIDTH = 20, 8
Seen = tuple[str, float, int, int]
"""A tag's name, its probability, and the first and last second in which it is seen."""


@cache
def imagenet() -> Hierarchy:
    return Hierarchy(load_vocabulary("imagenet-1k"))


def node(name: str) -> Node:
    """ImageNet's node of this name; an own tag for any other name, with what stands over it after '<'."""
    for known in imagenet().nodes:
        if known.name == name:
            return Node(known.id, name, imagenet().ancestors(known.id))
    own, *over = (part.strip() for part in name.split("<"))
    return Node(f"own:{own}", own, tuple(TagName(f"own:{each}", each) for each in over))


def kept_look(
    seen: Sequence[Seen],
    features: np.ndarray | None = None,
    projection: str = "made",
    calibrated: bool = True,
    frames: int = FRAMES,
) -> Kept:
    """A look at a video of one frame per second, of which each tag's middle frame was recognised."""
    nodes = [node(name) for name, *_ in seen]
    chosen = np.unique([(first + last) // 2 for *_, first, last in seen]).astype(np.int32)
    series, sums = np.zeros((frames, len(seen)), np.float16), np.zeros((len(chosen), len(seen)), np.float32)
    for n, (_, probability, first, last) in enumerate(seen):
        series[first : last + 1, n] = 1
        sums[(chosen >= first) & (chosen <= last), n] = probability
    likely = np.array([probability for _, probability, *_ in seen])
    judged = Judged(
        nodes=tuple(nodes),
        leaves=len(nodes),
        most_tags=len(nodes),
        sums=sums,
        scores=likely,
        preview_seen=None,
        probabilities=likely if calibrated else None,
        signs=np.zeros((len(seen), 0), np.float32) if calibrated else None,
        trust=np.zeros(len(seen)) if calibrated else None,
    )
    pts_s = np.arange(frames) + 0.5
    return Kept(
        model=ModelInfo("imagenet-lite", "0123456789abcdef"),
        policy="nsnet",
        plan="keys",
        stopped=None,
        info=VideoInfo("", "mov,mp4", "h264", 640, 360, 0, float(frames), 25.0, frames),
        cost=Cost(),
        timings=Timings(),
        pts_s=pts_s,
        saliency=np.ones(frames, np.float32),
        fsm=None,
        vgm=None,
        confidence=None,
        guess=None,
        guesses=(),
        chosen=chosen,
        weights=np.full(len(chosen), 1 / len(chosen)),
        judged=judged,
        series=series,
        series_of=np.arange(len(seen), dtype=np.int32),
        features=None if features is None else features.astype(np.float16),
        projection=None if features is None else projection,
    )


def keep(results: Path, name: str, kept: Kept, source: str | None = None) -> Path:
    """Writes what `tag -o` writes for a video `name` below /videos."""
    path, options = source or f"/videos/{name}", TagOptions()
    store = ResultStore(results)
    store.check()
    result = replace(render(kept, options, path), kept=pack(kept))
    written = store.save(name, result, "f" * 16, Source(path, 1, 1), options.shown())
    store.close()
    return written


def features(seed: int, frames: int = FRAMES) -> np.ndarray:
    """(T, D) of a video with two scenes that look like nothing else."""
    rng = np.random.default_rng(seed)
    scenes = np.repeat(rng.normal(size=(2, WIDTH)), (frames + 1) // 2, 0)[:frames]
    return np.asarray(4 * scenes + 0.1 * rng.normal(size=scenes.shape))
