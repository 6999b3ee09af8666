"""The salient frames of labelled videos, read again and kept in a file that is mapped: pixels for fine-tuning."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from nsnet_cli.cores import usable_cores
from nsnet_cli.errors import UsageError, VideoError
from nsnet_cli.labelled.features import Opener
from nsnet_cli.labelled.gather import ReadSettings
from nsnet_cli.media import ReadOptions
from nsnet_cli.nets.sampler import Sampler
from nsnet_cli.policies import select
from nsnet_cli.progress import progress
from nsnet_cli.records import dataclass
from nsnet_cli.training.dataset import Dataset, Example
from nsnet_cli.training.measure import saliency
from nsnet_cli.training.scored import sequence, targets_of
from nsnet_cli.video.pool import DecodePool
from nsnet_cli.weights.checkpoint import Checkpoint

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Videos:
    """How the videos of a dataset are read again."""

    open: Opener
    read: ReadOptions
    jobs: int
    device: str
    """As `--device` names it."""


@dataclass(frozen=True, slots=True, repr=False)
class Frames:
    """Salient frames of videos: pixels (N, S, S, 3) uint8 in a file, and of each frame its video and its saliency."""

    pixels: np.ndarray
    rows: tuple[slice, ...]
    """Of each video. Empty, if it could not be read again."""
    saliency: np.ndarray  # (N,)
    targets: np.ndarray  # (V, C) in {0, 1}
    labels: tuple[tuple[int, ...], ...]


@contextmanager
def again(checkpoint: Checkpoint, settings: ReadSettings) -> Iterator[Videos]:
    """Yields a way to read videos again, as their features were made."""
    jobs = settings.jobs or usable_cores()
    with DecodePool(jobs) as pool:
        yield Videos(pool.open, settings.options(checkpoint), jobs, settings.device)


def salient_frames(
    examples: Sequence[Example], dataset: Dataset, sampler: Sampler, videos: Videos, file: Path, k: int
) -> Frames:
    """Reads the k salient frames of each video again, and keeps their pixels in a file that is mapped.

    Raises UsageError if the disk is too small.
    """
    found = saliency(sampler, [sequence(example) for example in examples])
    chosen = [
        np.sort(select("nsnet", of.combined, example.times, k, features=np.asarray(example.features)))
        for example, of in zip(examples, found, strict=True)
    ]
    ends = np.cumsum([len(own) for own in chosen])
    side = videos.read.size_px
    needed, free = int(ends[-1]) * side * side * 3, shutil.disk_usage(file.parent).free
    if needed > 0.9 * free:
        message = (
            f"--finetune keeps salient frames in {file.parent}: {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free"
        )
        raise UsageError(message, "choose a folder on a larger disk with -o, or fewer frames with --frames")
    pixels = np.lib.format.open_memmap(file, "w+", np.uint8, (int(ends[-1]), side, side, 3))
    rows = [slice(int(end) - len(own), int(end)) for end, own in zip(ends, chosen, strict=True)]

    def read(row: int) -> slice:
        try:
            pixels[rows[row]] = _pixels(Path(examples[row].name), videos)[chosen[row]]
        except (VideoError, IndexError) as error:  # it could be read when its features were made
            logger.warning("left out of fine-tuning: %s: %s", examples[row].name, error)
            return slice(rows[row].start, rows[row].start)
        return rows[row]

    pool = ThreadPoolExecutor(videos.jobs)
    try:
        with progress("reading salient frames", len(examples), "videos") as bar:
            kept = []
            for place in pool.map(read, range(len(examples))):
                kept.append(place)
                bar.advance()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    weights = np.concatenate([of.combined[own] for of, own in zip(found, chosen, strict=True)])
    return Frames(
        pixels, tuple(kept), weights, targets_of(examples, dataset), tuple(example.labels for example in examples)
    )


def _pixels(path: Path, videos: Videos) -> np.ndarray:
    """All preview frames of a video (T, S, S, 3), in the order of their times."""
    with videos.open(path, videos.read) as video:
        batches = [(batch.pts_s, batch.pixels) for batch in video.preview()]
    times, pixels = (np.concatenate(part) for part in zip(*batches, strict=True))
    return np.asarray(pixels[np.argsort(times, kind="stable")])
