"""What a look at a video found: all that its result is rendered from, in the precision in which it is kept.

A result is always rendered from this (`nsnet_cli.render`), whether the video was looked at just now or long ago. So
both give the same. `nsnet_cli.outputs.kept_results` writes and reads it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from nsnet_cli.media import VideoInfo
from nsnet_cli.records import dataclass
from nsnet_cli.types import Cost, ModelInfo, TagName, Timings

if TYPE_CHECKING:
    import numpy as np  # not at run time: reports are written where numpy is not loaded

KEPT_TAGS = 20
"""At least so many of the best tags are kept, so that a larger --top-k needs no other look."""
LEAST_KEPT = 0.05
"""A node that is less likely is kept only as one of the best tags, and when it is seen is not kept."""


@dataclass(frozen=True, slots=True)
class Node:
    """A tag, or what stands over tags, with the names over it, the nearest first."""

    id: str
    name: str
    parents: tuple[TagName, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """The n nodes that may be shown, tags first, and what the K recognised frames say about each."""

    nodes: tuple[Node, ...]
    leaves: int
    """How many of the nodes, from the first on, are tags of the vocabulary."""
    most_tags: int | None
    """No --top-k above this can be rendered: other tags are not kept. None: all tags of the vocabulary are."""
    sums: np.ndarray  # (K, n) float32: scores below each node
    scores: np.ndarray  # (n,) float64: each node's score in the video
    preview_seen: np.ndarray | None  # (n,) int32: preview frames in which the preview network sees it
    probabilities: np.ndarray | None = None  # (n,) float64; None: nothing was calibrated for what is known
    signs: np.ndarray | None = None  # (n, S) float32, each None without probabilities
    trust: np.ndarray | None = None  # (n,) float64
    weights: tuple[tuple[str, float], ...] = ()
    """The name of each sign, and its weight in the calibration."""
    bias: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """A look at one video. T preview frames, K of them recognised, n nodes; `series` tells m of these over time."""

    model: ModelInfo
    policy: str
    plan: str
    stopped: str | None
    info: VideoInfo
    """Without the path: a video may move."""
    cost: Cost
    timings: Timings
    pts_s: np.ndarray  # (T,) float64
    saliency: np.ndarray  # (T,) float32
    fsm: np.ndarray | None  # (T,) float32; this and the next are None if the policy did not compute them
    vgm: np.ndarray | None  # (T,) float32
    confidence: np.ndarray | None  # (T,) float32
    guess: np.ndarray | None  # (T,) int32: the preview network's first guess, a position in `guesses`
    guesses: tuple[str, ...]
    chosen: np.ndarray  # (K,) int32: the recognised frames, in order of choice
    weights: np.ndarray  # (K,) float64: how much each of them says about the video; their sum is 1
    judged: Judged
    series: np.ndarray  # (T, m) float16: how strongly nodes are seen, as nsnet_cli.spans.seen tells it
    series_of: np.ndarray  # (m,) int32: positions of these nodes in `judged.nodes`
    features: np.ndarray | None = None  # (T, D) float16: the preview's features, reduced; None: not kept
    views_s: np.ndarray | None = None  # (K, 2) float64: first and last time of each clip; None: frames were recognised
    projection: str | None = None
    """What reduced `features`. Features of two videos can be compared only if it is the same."""
    images: np.ndarray | None = None  # (E, D2) float16: an image tower's embeddings, of length 1; None: not kept
    images_of: np.ndarray | None = None  # (E,) int32: the preview frames that they are of, in order of time
    tower: str | None = None
    """What made `images`. Text can be compared with them only if it went through the text tower of the same model."""

    def with_work(self, gflops: float, recognise_s: float) -> Kept:
        """Returns the same look, with what more of the recogniser cost."""
        recognised_s, total_s = self.timings.recognise_s + recognise_s, self.timings.total_s + recognise_s
        return replace(
            self,
            cost=replace(self.cost, gflops=self.cost.gflops + gflops),
            timings=replace(self.timings, recognise_s=recognised_s, total_s=total_s),
        )

    def answers(self, top_k: int) -> bool:
        """Whether so many tags can be rendered without another look at the video."""
        return self.judged.most_tags is None or top_k <= self.judged.most_tags
