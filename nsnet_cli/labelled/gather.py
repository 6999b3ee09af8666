"""Features of labelled videos, from the cache or extracted the way `nsnet tag` reads videos."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from nsnet_cli.cores import usable_cores
from nsnet_cli.errors import VideoError
from nsnet_cli.labelled.features import (
    Extractor,
    FeatureCache,
    VideoFeatures,
    default_cache_dir,
    extract_all,
    headless,
)
from nsnet_cli.labelled.labels import LabelledVideo, LabelSet
from nsnet_cli.labelled.mapped import MappedExtractor
from nsnet_cli.media import ReadOptions
from nsnet_cli.nets.auto import Workload
from nsnet_cli.nets.build import build_engine
from nsnet_cli.nets.engine import Engine
from nsnet_cli.reading import read_options
from nsnet_cli.records import dataclass
from nsnet_cli.types import TagOptions
from nsnet_cli.video.pool import DecodePool
from nsnet_cli.weights.checkpoint import Checkpoint


@dataclass(frozen=True, slots=True)
class ReadSettings:
    """How labelled videos are read. `jobs` 0: as many at once as there are cores."""

    preview: int
    device: str
    decoder: str
    jobs: int
    fast: bool = False
    """As `--fast`. Its features are kept apart."""

    def options(self, checkpoint: Checkpoint) -> ReadOptions:
        options = TagOptions(preview=self.preview, decoder=self.decoder)  # type: ignore[arg-type]
        return read_options(checkpoint, options, jpegs=False, threads=1)


@dataclass(frozen=True, slots=True)
class Gathered:
    """The readable videos, in the order of the labels, and the errors of the others."""

    videos: list[tuple[LabelledVideo, VideoFeatures]]
    failed: list[VideoError]


def gather(
    labels: LabelSet,
    checkpoint: Checkpoint,
    settings: ReadSettings,
    *,
    recogniser: bool = True,
    mapped: bool = False,
) -> Gathered:
    """Features of all readable labelled videos. `mapped`: they stay in the cache's files (see mapped.py).

    Raises NoInputError if no video can be read, LostVideosError if too many were lost, not because of the files.
    """
    base, jobs = headless(checkpoint), settings.jobs or usable_cores()
    with DecodePool(jobs) as pool:
        extractor = (MappedExtractor if mapped else Extractor)(
            checkpoint=base,
            read=settings.options(checkpoint),
            networks=once(
                partial(build_engine, base, settings.device, Workload(len(labels.videos)), fast=settings.fast)
            ),
            open=pool.open,
            cache=FeatureCache(default_cache_dir() / ("fast" if settings.fast else "")),
            recogniser=recogniser,
        )
        found = extract_all([video.path for video in labels.videos], extractor, threads=jobs)
    pairs = [(labels.videos[index], timed(features, labels.videos[index])) for index, features in found.videos.items()]
    return Gathered(pairs, list(found.failed.values()))


def timed(found: VideoFeatures, video: LabelledVideo) -> VideoFeatures:
    """Returns the features with the times of a video whose length the labels give, if they come from its frames.

    Extracted frames have no times: their reader assumes a rate.
    """
    if not video.duration_s or not video.path.is_dir():
        return found
    scale = video.duration_s / found.duration_s
    return replace(found, pts_s=found.pts_s * scale, duration_s=video.duration_s)


def once(build: Callable[[], Engine]) -> Callable[[], Engine]:
    """Builds the networks when a thread first needs them: a run on cached features builds none."""
    lock = threading.Lock()
    built: list[Engine] = []

    def networks() -> Engine:
        with lock:
            if not built:
                built.append(build())
        return built[0]

    return networks
