"""Training's calibration: the held-out videos say how likely own tags are right."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

import numpy as np

from nsnet_cli.calibrating.calibrate import LEAST_SOURCES, Measured, calibrate
from nsnet_cli.calibrating.examples import Truth, every_look, sign_names
from nsnet_cli.calibrating.show import warnings
from nsnet_cli.calibration import Calibration
from nsnet_cli.errors import NoInputError
from nsnet_cli.evaluation.policies import ScoredVideo, choose
from nsnet_cli.hierarchy import Hierarchy, table_for
from nsnet_cli.presence import Judge, Present
from nsnet_cli.training.dataset import Dataset, Example

logger = logging.getLogger(__name__)
LATER = "to do so: nsnet calibrate LABELS --checkpoint DIR"
MOST_VIDEOS = 2_000
"""That many measure a promise of 0.8 to a percent."""
Calibrated = tuple[Calibration, Measured]


def calibrate_own(
    dataset: Dataset, videos: Sequence[Example], scored: Sequence[ScoredVideo], k: int, seed: int = 0
) -> Calibrated | None:
    """Returns the calibration of own tags on held-out videos, or None, with a message, if they are too few.

    Of more than MOST_VIDEOS, so many are drawn.
    `scored` are by a head that has not learned from these videos. The head that is kept learns from them too, so its
    tags are right at least as often as the calibration says.
    """
    sources = {example.source or example.name for example in videos}
    if len(sources) < LEAST_SOURCES:
        logger.info("not calibrated: %d held-out sources, %d are needed; %s", len(sources), LEAST_SOURCES, LATER)
        return None
    hierarchy = Hierarchy(dataset.vocabulary, table_for(dataset.vocabulary, dataset.hierarchy))
    judge = Judge(hierarchy, previews=False, independent=dataset.multi_label)
    names = sign_names(judge, sampler=True)
    found = []
    drawn: Sequence[int] = range(len(videos))
    if len(videos) > MOST_VIDEOS:
        drawn = sorted(np.random.default_rng(seed).choice(len(videos), MOST_VIDEOS, replace=False).tolist())
    for row in drawn:
        example, video = videos[row], scored[row]
        right = frozenset(dataset.vocabulary[label].id for label in example.labels)
        truth = Truth(example.name, example.source or example.name, right)
        found += every_look(judge, truth, partial(_look, judge, video), k, names)
    try:
        made = calibrate(found, judge, names, [f"held-out videos of {dataset.source}"])
    except NoInputError as error:
        logger.info("not calibrated: %s; %s", error.message, LATER)
        return None
    logger.info("calibrated on %s%d held-out videos", "the " if len(drawn) == len(videos) else "", len(drawn))
    for warning in warnings(made[1]):
        logger.warning("%s", warning)
    return made


def _look(judge: Judge, video: ScoredVideo, k: int) -> Present:
    chosen = choose(video, "nsnet", k)
    saliency, fsm = video.saliency["nsnet"], video.saliency["nsnet-fsm"]
    return judge.look(video.scores[chosen], saliency[chosen], chosen, None, fsm, video.features)
