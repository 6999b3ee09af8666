"""What certain tags are worth: how often they are right, for how many videos there is one, and when they are seen.

They are found by the functions that `tag` uses, on the scores that the other figures come from. A certain tag is right
if it is one of the video's labels or stands over one. Labels rarely name all that a video shows, so what is called
wrong here can be true.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from nsnet_cli.answer import preview_scores, spans
from nsnet_cli.calibrating.examples import closed
from nsnet_cli.calibrating.reliability import LOOKED_AT, Promise, expected_calibration_error, promise
from nsnet_cli.evaluation.policies import EVALUATED, ScoredVideo, choose
from nsnet_cli.presence import Judge
from nsnet_cli.records import dataclass

Stretch = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Certain:
    """The certain tags of one policy at one K."""

    promise: Promise
    """How often they are right. Of a random policy: all its draws together."""
    tag_coverage: float
    """Of all labels, the share that a certain tag is or stands over."""
    calibration_error: float
    """Mean distance of probability and share right, over tags with a probability above LOOKED_AT."""
    span_iou: float
    """Mean over the videos that have segments and a right certain tag; nan without one."""
    span_videos: int
    """How many videos that are."""

    def figures(self) -> dict[str, float | None]:
        """Returns the numbers of the JSON, by name."""
        found = self.promise
        return {
            "asked": found.precision,
            "shown": found.shown / found.videos,
            "precision": found.precision_measured,
            "precision_error": found.error,
            "coverage": found.coverage,
            "tag_precision": found.tag_precision,
            "tag_coverage": self.tag_coverage,
            "calibration_error": self.calibration_error,
            "span_iou": self.span_iou,
            "span_videos": self.span_videos,
        }


@dataclass(frozen=True, slots=True)
class _Judged:
    """One video's nodes, and which of them are certain."""

    probabilities: np.ndarray  # (n,)
    right: np.ndarray  # (n,) bool
    certain: list[bool]
    """Whether each certain tag is right, in the order in which they are shown."""
    labels_found: int
    overlap: float | None
    """Of the right certain tags with the segments; None if one of the two is not there."""


def certain(
    videos: Sequence[ScoredVideo], policy: str, k: int, judge: Judge, precision: float, seed: int = 0
) -> Certain | None:
    """Returns None without a precision, or if the calibration cannot judge what this policy sees."""
    if not precision:
        return None
    judged: list[_Judged] = []
    for draw in range(EVALUATED[policy].draws):
        for video in videos:
            found = _judged(video, policy, k, judge, precision, seed + draw)
            if found is None:
                return None
            judged.append(found)
    probabilities = np.concatenate([each.probabilities for each in judged])
    right = np.concatenate([each.right for each in judged])
    looked_at = probabilities > LOOKED_AT
    overlaps = [each.overlap for each in judged if each.overlap is not None]
    draws = EVALUATED[policy].draws
    return Certain(
        promise=promise(
            precision,
            [["right" if ok else "wrong" for ok in each.certain] for each in judged],
            [True] * len(judged),
            [video.name for video in videos] * draws,
        ),
        tag_coverage=sum(each.labels_found for each in judged) / (draws * sum(len(video.labels) for video in videos)),
        calibration_error=expected_calibration_error(probabilities[looked_at], right[looked_at]),
        span_iou=float(np.mean(overlaps)) if overlaps else float("nan"),
        span_videos=len(overlaps),
    )


def _judged(video: ScoredVideo, policy: str, k: int, judge: Judge, precision: float, seed: int) -> _Judged | None:
    """Looks at one video as `tag --policy` does. None if nothing is calibrated for what the policy sees."""
    row, chosen, pts_s = EVALUATED[policy], choose(video, policy, k, seed), video.pts_s
    saliency, scores = np.ones(len(chosen)), video.scores[chosen]
    if row.known_ahead:  # then only these frames are decoded, in order of time
        chosen, pts_s = np.arange(len(chosen)), pts_s[chosen]
    preview = fsm = features = None
    if row.looks:
        saliency = video.saliency[policy][chosen]
        features = None if video.features is None else np.asarray(video.features)
        preview = None if video.logits is None else preview_scores(judge, np.asarray(video.logits))
        fsm = video.fsm if row.sampler else None
    present = judge.look(scores, saliency, chosen, preview, fsm, features)
    if present.probabilities is None:
        return None
    labels = {judge.ids[label] for label in video.labels}
    true, ids = closed(judge.hierarchy, labels), [judge.ids[node] for node in present.nodes.rows]
    right = np.array([node in true for node in ids], bool)
    shown = judge.certain(present, precision)
    hits = [n for n in shown if right[n]]
    covered = [closed(judge.hierarchy, {label}) for label in labels]
    overlap = None
    if hits and video.segments:
        seen = [span for n in hits for span in spans(present, n, pts_s, video.duration_s)]
        overlap = intersection_over_union([(span.start_s, span.end_s) for span in seen], video.segments)
    return _Judged(
        present.probabilities,
        right,
        [bool(right[n]) for n in shown],
        sum(any(ids[n] in each for n in hits) for each in covered),
        overlap,
    )


def intersection_over_union(some: Sequence[Stretch], others: Sequence[Stretch]) -> float:
    """Returns the seconds in both, divided by the seconds in either. Stretches of one side may overlap."""
    both = either = 0.0
    for start, end in pairwise(sorted({edge for stretch in (*some, *others) for edge in stretch})):
        inside = [any(a <= start and end <= b for a, b in side) for side in (some, others)]
        both += (end - start) * all(inside)
        either += (end - start) * any(inside)
    return both / either if either else 0.0
