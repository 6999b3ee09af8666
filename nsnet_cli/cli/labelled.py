"""What `train` and `evaluate` share: labelled videos and the features of each, extracted or from the cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nsnet_cli.batch import default_jobs
from nsnet_cli.cli.console import Console
from nsnet_cli.text import harmless
from nsnet_cli.types import TagOptions

if TYPE_CHECKING:
    from nsnet_cli.labelled.features import VideoFeatures
    from nsnet_cli.labelled.labels import LabelledVideo, LabelSet
    from nsnet_cli.nets.engine import Engine
    from nsnet_cli.types import ReadOptions
    from nsnet_cli.weights.checkpoint import Checkpoint


@dataclass(frozen=True, slots=True)
class ReadSettings:
    """How the videos are read; as `nsnet tag` reads them."""

    preview: int
    device: str
    decoder: str
    jobs: int

    def options(self, checkpoint: Checkpoint) -> ReadOptions:
        from nsnet_cli.tagger import read_options

        options = TagOptions(preview=self.preview, decoder=self.decoder)  # type: ignore[arg-type]
        return read_options(checkpoint, options, jpegs=False, threads=1)


def read_label_file(source: Path, console: Console) -> LabelSet:
    """Labels, with a warning for the rows whose video is missing."""
    from nsnet_cli.labelled.labels import read_labels

    labels = read_labels(source)
    for video in labels.missing[:3]:
        console.warn(harmless(f"{video.where}: no file {video.path}"))
    if len(labels.missing) > 3:
        console.warn(f"{len(labels.missing)} videos are missing in all; going on with {len(labels.videos)}")
    return labels


def gather(
    labels: LabelSet, checkpoint: Checkpoint, settings: ReadSettings, console: Console, *, recogniser: bool = True
) -> list[tuple[LabelledVideo, VideoFeatures]]:
    """Features of the videos that can be read, in the order of the labels; the others are warned of."""
    from nsnet_cli.labelled.features import (
        Extractor,
        FeatureCache,
        WorkerReader,
        default_cache_dir,
        extract_all,
        headless,
    )

    reader = WorkerReader()
    base = headless(checkpoint)
    extractor = Extractor(
        checkpoint=base,
        read=settings.options(checkpoint),
        networks=_once(base, settings.device, console),
        reader=reader,
        cache=FeatureCache(default_cache_dir()),
        recogniser=recogniser,
    )
    threads = settings.jobs or default_jobs()
    try:
        with console.progress("extracting features", len(labels.videos), "videos") as bar:
            paths = [video.path for video in labels.videos]
            found = extract_all(paths, extractor, threads=threads, progress=bar.advance)
    finally:
        reader.close()
    _complain([str(error) for error in found.failed.values()], console)
    if found.failed or labels.missing:
        asked = len(labels.videos) + len(labels.missing)
        console.warn(f"going on with {len(found.videos)} of the {asked} videos: every figure is over these alone")
    return [(labels.videos[index], features) for index, features in found.videos.items()]


def _once(checkpoint: Checkpoint, device: str, console: Console):  # type: ignore[no-untyped-def]
    """The networks, built by the first thread that needs them; a run on cached features builds none."""
    import threading

    lock = threading.Lock()
    built: list[Engine] = []

    def networks() -> Engine:
        from nsnet_cli.nets.build import build_engine

        with lock:
            if not built:
                built.append(build_engine(checkpoint, device, say=lambda message: console.info(harmless(message))))
        return built[0]

    return networks


def _complain(messages: Sequence[str], console: Console) -> None:
    for message in messages[:5]:
        console.warn(harmless(message))
    if len(messages) > 5:
        console.warn(f"{len(messages)} videos could not be read in all")
