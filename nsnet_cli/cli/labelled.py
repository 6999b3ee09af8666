"""Reads labelled videos for `train` and `evaluate`, and warns about those that cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from nsnet_cli.cli.console import Console

if TYPE_CHECKING:
    from nsnet_cli.labelled.features import VideoFeatures
    from nsnet_cli.labelled.gather import ReadSettings
    from nsnet_cli.labelled.labels import LabelledVideo, LabelSet
    from nsnet_cli.weights.checkpoint import Checkpoint

MOST_NAMED = 5
"""Only this many bad videos are named; the others are counted."""


def read_label_file(
    source: Path, console: Console, fold: str = "", choose: Callable[[LabelSet], LabelSet] = lambda labels: labels
) -> LabelSet:
    """Reads labels, chooses some of the videos, and warns about those that are missing.

    `fold`: which split of a benchmark that has several.
    """
    from nsnet_cli.labelled.benchmark import read_source

    labels = choose(read_source(source, fold))
    warn_of_missing(labels, console)
    return labels


def warn_of_missing(labels: LabelSet, console: Console) -> None:
    """Warns about rows whose video is missing."""
    for video in labels.missing[:MOST_NAMED]:
        console.warn(f"{video.where}: no file {video.path}")
    if len(labels.missing) > MOST_NAMED:
        console.warn(f"{len(labels.missing)} videos are missing in total")


def gather(
    labels: LabelSet,
    checkpoint: Checkpoint,
    settings: ReadSettings,
    console: Console,
    *,
    recogniser: bool = True,
    mapped: bool = False,
) -> list[tuple[LabelledVideo, VideoFeatures]]:
    """Features of the videos that can be read, in the order of the labels. Warns about the others.

    `mapped`: the features stay in the cache's files.
    """
    from nsnet_cli.labelled.gather import gather as gather_all

    found = gather_all(labels, checkpoint, settings, recogniser=recogniser, mapped=mapped)
    for error in found.failed[:MOST_NAMED]:
        console.warn(str(error))
    if len(found.failed) > MOST_NAMED:
        console.warn(f"{len(found.failed)} videos in total could not be read")
    if found.failed or labels.missing:
        asked = len(labels.videos) + len(labels.missing)
        console.warn(f"continuing with {len(found.videos)} of {asked} videos: every number covers these alone")
    return found.videos
