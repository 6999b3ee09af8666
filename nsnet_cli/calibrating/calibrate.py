"""Fits a calibration to judged videos, and measures it on videos of sources that it was not fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from nsnet_cli.calibrating.examples import Examples, closed
from nsnet_cli.calibrating.reliability import (
    LOOKED_AT,
    Bin,
    Promise,
    expected_calibration_error,
    promise,
    reliability,
    verdict,
)
from nsnet_cli.calibration import Calibration
from nsnet_cli.errors import NoInputError
from nsnet_cli.presence import Judge, Present
from nsnet_cli.records import dataclass

PRECISIONS = (0.6, 0.7, 0.8, 0.9, 0.95)
"""The promises that are measured."""
LEAST_SOURCES = 30
"""With fewer sources, nobody can tell how well a promise is kept."""
LEAST_SHOWN = 10
"""The same for videos whose first certain tag is judged."""
FOLDS = 5


@dataclass(frozen=True, slots=True)
class Measured:
    """How good a calibration is, on videos of sources that it was not fitted to."""

    videos: int
    sources: int
    right_tags: int
    """Tags that a person gave, not those that stand over them."""
    made: int
    """Videos with a weight below 1: they are fitted, and nothing is measured on them."""
    promises: tuple[Promise, ...]
    calibration_error: float | None
    bins: tuple[Bin, ...]

    @property
    def too_small_for(self) -> tuple[float, ...]:
        """The promised precisions that so few videos cannot check."""
        few = self.sources < LEAST_SOURCES
        shown = {p.precision: p.right + p.wrong for p in self.promises}
        return tuple(p for p in PRECISIONS if few or shown.get(p, 0) < LEAST_SHOWN)


def calibrate(
    videos: Sequence[Examples], judge: Judge, names: tuple[str, ...], labels: Sequence[str]
) -> tuple[Calibration, Measured]:
    """Returns the calibration that fits these videos, and how well it does on them, cross-validated by source.

    Args:
        videos: Examples of videos: see examples.every_look.
        judge: The judge that looked at them.
        names: The signs of the examples.
        labels: Where the truth is from, for people.

    Raises NoInputError if no tag that may be shown is right, or none is wrong.
    """
    from nsnet_cli.calibrating.fit import cross_validated, fit, fold_of  # imports torch
    from nsnet_cli.nets.threads import one_thread

    right, nodes = sum(int(video.right.sum()) for video in videos), sum(len(video.right) for video in videos)
    if right in (0, nodes):
        count = len({video.truth.path for video in videos})
        what = "right" if right == 0 else "wrong"
        message = f"of the {nodes} tags that the checkpoint considers in {count} videos, none is {what}"
        raise NoInputError(message, "give more videos, or check the labels")
    with one_thread():
        calibration = fit(videos, names, judge.hierarchy)
        folds = {fold_of(video.truth.source, FOLDS) for video in videos}
        held_out = cross_validated(videos, names, judge.hierarchy, FOLDS) if len(folds) > 1 else []
    measured = measure(videos, held_out, judge)
    return replace(calibration, fitted_on={"labels": list(labels), **summary(measured)}), measured


def measure(videos: Sequence[Examples], held_out: Sequence[Calibration], judge: Judge) -> Measured:
    """Measures each found video with its own calibration. Without calibrations, videos are only counted."""
    found = [video for video in videos if video.measured]
    judges = {id(calibration): replace(judge, calibration=calibration) for calibration in held_out}
    seen = [
        (video, judges[id(calibration)], _present(judges[id(calibration)], video))
        for video, calibration in zip(videos, held_out, strict=False)
        if video.measured
    ]
    likely, right = np.empty(0), np.empty(0, bool)
    if seen:
        each = [(video, np.asarray(present.probabilities)) for video, _, present in seen]
        likely = np.concatenate([probabilities[video.positions] for video, probabilities in each])
        right = np.concatenate([video.right for video in found])
    looked = likely > LOOKED_AT
    return Measured(
        videos=len(found),
        sources=len({video.truth.source for video in found}),
        right_tags=sum(len(video.truth.right) for video in found),
        made=len({video.truth.path for video in videos if video.truth.weight < 1}),
        promises=tuple(_promise(precision, seen) for precision in PRECISIONS) if seen else (),
        calibration_error=expected_calibration_error(likely[looked], right[looked]) if looked.any() else None,
        bins=reliability(likely[looked], right[looked]),
    )


def _present(judge: Judge, video: Examples) -> Present:
    return Present(video.present.nodes, judge.probabilities(video.present.nodes))


def _promise(precision: float, seen: Sequence[tuple[Examples, Judge, Present]]) -> Promise:
    certain, named = [], []
    for video, judge, present in seen:
        truth, hierarchy = video.truth, judge.hierarchy
        right, unjudged = closed(hierarchy, truth.right), closed(hierarchy, truth.unjudged)
        ids = [judge.ids[present.nodes.rows[n]] for n in judge.certain(present, precision)]
        certain.append([verdict(node, right, unjudged) for node in ids])
        named.append(not right.isdisjoint(judge.ids))
    return promise(precision, certain, named, [video.truth.source for video, _, _ in seen])


def summary(measured: Measured) -> dict[str, Any]:
    """Returns what config.json keeps about the fit and `nsnet calibrate --json` prints."""
    return {
        "videos": measured.videos,
        "sources": measured.sources,
        "right_tags": measured.right_tags,
        "made_videos": measured.made,
        "expected_calibration_error": _rounded(measured.calibration_error),
        "promises": [
            {
                "precision": one.precision,
                "precision_measured": _rounded(one.precision_measured),
                "error": _rounded(one.error),
                "coverage": _rounded(one.coverage),
                "tag_precision": _rounded(one.tag_precision),
                **{key: getattr(one, key) for key in ("shown", "right", "wrong", "unjudged", "named")},
            }
            for one in measured.promises
        ],
        "reliability": [{key: _rounded(value) for key, value in asdict(one).items()} for one in measured.bins],
        "too_small_for": list(measured.too_small_for),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
