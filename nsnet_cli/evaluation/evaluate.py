"""`nsnet evaluate`: accuracy and cost of every policy on the same videos, with K frames recognised, for several K."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from nsnet_cli.evaluation.certain import Certain, certain
from nsnet_cli.evaluation.policies import (
    EVALUATED,
    Localisation,
    ScoredVideo,
    accuracy,
    coverage,
    frames_used,
    localisation,
    policies_for,
)
from nsnet_cli.evaluation.timing import MeasuredCosts, StageSeconds
from nsnet_cli.labelled.features import VideoFeatures
from nsnet_cli.labelled.labels import LabelledVideo
from nsnet_cli.labelled.metrics import inside
from nsnet_cli.labelled.protocol import Benchmark
from nsnet_cli.labelled.scored import seen, tag_scores
from nsnet_cli.nets.cost import FrameCost
from nsnet_cli.nets.engine import Engine
from nsnet_cli.policies import saliency_by_policy
from nsnet_cli.presence import Judge
from nsnet_cli.records import dataclass
from nsnet_cli.weights.checkpoint import Checkpoint

REPORT_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class StageGflops:
    """GFLOPs per video by stage, mean over the videos."""

    preview: float
    sampler: float
    recogniser: float

    @property
    def total(self) -> float:
        return self.preview + self.sampler + self.recogniser


@dataclass(frozen=True, slots=True)
class Row:
    """One policy at one K. `k` None: every frame (`dense`)."""

    policy: str
    k: int | None
    top1: float
    top5: float
    map: float
    saliency: Localisation | None
    preview_frames: float
    recognised_frames: float
    gflops: StageGflops
    seconds: StageSeconds | None
    certain: Certain | None = None
    """None: nothing was calibrated, or the calibration needs a network that this policy does not run."""


@dataclass(frozen=True, slots=True)
class Report:
    labels: str
    checkpoint: str
    checkpoint_hash: str
    videos: int
    videos_with_segments: int
    coverage: float
    """Of the videos with segments, the share that has a preview frame inside one."""
    rows: tuple[Row, ...]
    costs: MeasuredCosts | None
    asked: int | None = None
    """How many videos the labels name, with those that are missing or cannot be read."""
    benchmark: Benchmark | None = None
    classes: int | None = None
    """How many tags the checkpoint has."""
    classes_shown: int | None = None
    """How many of them are a label of these videos: mAP is the mean over them."""
    multi_label: bool = False
    splits: int = 1
    """How many splits the figures are the mean of."""

    @property
    def share_shown(self) -> float:
        """What mAP is multiplied by to count as AR-Net does: classes that no video shows as 0."""
        return self.classes_shown / self.classes if self.classes and self.classes_shown else 1.0


def score_video(
    video: LabelledVideo,
    labels: tuple[int, ...],
    found: VideoFeatures,
    checkpoint: Checkpoint,
    engine: Engine,
) -> ScoredVideo:
    """Scores a video from cached features as `tag` would. The sampler runs, the image networks do not."""
    known = seen(found, checkpoint, engine)
    return ScoredVideo(
        name=str(video.path),
        labels=labels,
        pts_s=found.pts_s,
        saliency=saliency_by_policy(known),
        scores=tag_scores(found, checkpoint.head),
        salient=inside(found.pts_s, video.segments) if video.segments else None,
        features=found.preview.features,
        logits=found.preview.outputs,
        fsm=known.fsm,
        duration_s=found.duration_s,
        segments=video.segments,
    )


def evaluate(
    videos: Sequence[ScoredVideo],
    ks: Sequence[int],
    cost: FrameCost,
    costs: MeasuredCosts | None,
    seed: int = 0,
    *,
    judge: Judge | None = None,
    precision: float = 0.0,
) -> tuple[Row, ...]:
    """One row per policy and K; a single row for a policy that takes every frame.

    With a calibrated judge and a precision above 0, certain tags are measured too.
    """
    rows = []
    for policy in policies_for(videos):
        every_frame = EVALUATED[policy].every_frame
        for k in ks[:1] if every_frame else ks:
            found = accuracy(videos, policy, k, seed)
            used = [frames_used(video, policy, k) for video in videos]
            previewed, recognised = (float(np.mean([u[i] for u in used])) for i in (0, 1))
            sampler = used[0][2]
            gflops = StageGflops(
                preview=previewed * cost.preview,
                sampler=previewed * cost.sampler if sampler else 0.0,
                recogniser=recognised * cost.recogniser,
            )
            rows.append(
                Row(
                    policy=policy,
                    k=None if every_frame else k,
                    top1=found.top1,
                    top5=found.top5,
                    map=found.map,
                    saliency=localisation(videos, policy),
                    preview_frames=previewed,
                    recognised_frames=recognised,
                    gflops=gflops,
                    seconds=costs.stages(policy, k, previewed, recognised, sampler=sampler) if costs else None,
                    certain=certain(videos, policy, k, judge, precision, seed) if judge else None,
                )
            )
    return tuple(rows)


def report(
    labels: str,
    checkpoint: Checkpoint,
    videos: Sequence[ScoredVideo],
    rows: tuple[Row, ...],
    costs: MeasuredCosts | None,
    asked: int,
    benchmark: Benchmark | None = None,
) -> Report:
    return Report(
        labels,
        checkpoint.name,
        checkpoint.hash,
        videos=len(videos),
        videos_with_segments=sum(video.salient is not None for video in videos),
        coverage=coverage(videos),
        rows=rows,
        costs=costs,
        asked=asked,
        benchmark=benchmark,
        classes=len(checkpoint.vocabulary),
        classes_shown=len({label for video in videos for label in video.labels}),
        multi_label=checkpoint.head.multi_label,
    )


def to_dict(found: Report) -> dict[str, Any]:
    """The report as JSON. What is not known (nan) becomes null."""
    return {
        "schema_version": REPORT_SCHEMA,
        "labels": found.labels,
        "benchmark": found.benchmark.name if found.benchmark else None,
        "model": {"checkpoint": found.checkpoint, "hash": found.checkpoint_hash},
        "videos": found.videos,
        "videos_asked": found.asked,
        "videos_with_segments": found.videos_with_segments,
        "splits": found.splits,
        "classes": found.classes,
        "classes_shown": found.classes_shown,
        "coverage": _number(found.coverage),
        "measured": asdict(found.costs) if found.costs else None,
        "policies": [row_dict(row) for row in found.rows],
    }


def row_dict(row: Row) -> dict[str, Any]:
    """One row, flat except for the stages. Numbers are rounded to five decimals."""
    saliency = row.saliency
    return {
        "policy": row.policy,
        "frames": row.k,
        "top1": _number(row.top1),
        "top5": _number(row.top5),
        "map": _number(row.map),
        "saliency_roc_auc": _number(saliency.roc_auc) if saliency else None,
        "saliency_average_precision": _number(saliency.average_precision) if saliency else None,
        "preview_frames": _number(row.preview_frames),
        "recognised_frames": _number(row.recognised_frames),
        "gflops": {**{k: _number(v) for k, v in asdict(row.gflops).items()}, "total": _number(row.gflops.total)},
        "seconds": {**{k: _number(v) for k, v in asdict(row.seconds).items()}, "total": _number(row.seconds.total)}
        if row.seconds
        else None,
        "certain": _certain_dict(row.certain) if row.certain else None,
    }


def _certain_dict(found: Certain) -> dict[str, float | None]:
    return {name: value if isinstance(value, int) else _number(value) for name, value in found.figures().items()}


def _number(value: float | None) -> float | None:
    return round(float(value), 5) if value is not None and np.isfinite(value) else None
