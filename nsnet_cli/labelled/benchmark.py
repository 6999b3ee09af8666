"""What a LABELS argument names: a label file, a folder per class, a peer's list, or one of the papers' benchmarks.

A benchmark is named by a prefix, `activitynet:/data/anet`, or known by the list files in its folder.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from nsnet_cli.errors import NoInputError, UsageError
from nsnet_cli.labelled import activitynet, fcvid, kinetics, peers, ucf101
from nsnet_cli.labelled.labels import LabelledVideo, LabelSet, read_labels
from nsnet_cli.labelled.listing import list_files
from nsnet_cli.labelled.protocol import ACTIVITYNET, FCVID, MINI_KINETICS, UCF101, Benchmark
from nsnet_cli.records import dataclass
from nsnet_cli.types import TagName

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Layout:
    """How one benchmark is named, known by its files, and read."""

    prefix: str
    benchmark: Benchmark
    is_here: Callable[[Sequence[Path]], bool]
    """Whether list files are this benchmark's."""
    read: Callable[[Path, Path, Sequence[Path], str], LabelSet]
    """The argument as given, the folder, its list files, and the split of several -> the videos."""


LAYOUTS = (
    Layout("ucf101", UCF101, ucf101.is_here, ucf101.read),
    Layout("activitynet", ACTIVITYNET, activitynet.is_here, activitynet.read),
    Layout("fcvid", FCVID, fcvid.is_here, fcvid.read),
    Layout("mini-kinetics", MINI_KINETICS, kinetics.is_here, kinetics.read),
)


def layout_of(source: Path) -> tuple[Layout | None, Path]:
    """Returns the benchmark that a LABELS argument names or whose lists are in that folder, and the folder."""
    prefix, colon, rest = str(source).partition(":")
    named = next((layout for layout in LAYOUTS if colon and layout.prefix == prefix.lower()), None)
    folder = Path(rest).expanduser() if named else source
    if named and not folder.is_dir():
        raise NoInputError(f"no folder {folder}", f"write it as in {named.prefix}:/data/{named.prefix}")
    if named is None and colon and rest.startswith(("/", "~", ".")) and not source.exists():
        known = ", ".join(f"{layout.prefix}:" for layout in LAYOUTS)
        raise UsageError(f"{source}: {prefix!r} is no benchmark that nsnet reads", f"known: {known}")
    if named or not folder.is_dir():
        return named, folder
    files = list_files(folder)
    return next((layout for layout in LAYOUTS if layout.is_here(files)), None), folder


def read_source(source: Path, fold: str = "") -> LabelSet:
    """Reads the labelled videos that a LABELS argument names.

    `fold`: which split of a benchmark that has several. Raises UsageError that names file, line and value, NoInputError
    if no video is there.
    """
    layout, folder = layout_of(source)
    folds = layout.benchmark.folds if layout else ()
    if fold not in (folds or ("",)):
        what = f"{layout.benchmark.name} has" if layout else f"{source} has no benchmark's layout, so it has"
        if folds:
            raise UsageError(f"{what} {len(folds)} splits", f"choose one with --split: {', '.join(folds)}")
        raise UsageError(f"{what} no split {fold}", "leave --split out")
    if layout is None:
        if source.suffix == ".txt" and source.is_file():
            return peers.read_list(source)
        return read_labels(source)
    return layout.read(source, folder, list_files(folder), fold)


def to_train(labels: LabelSet) -> LabelSet:
    """Returns a benchmark without the videos that its figures are reported on.

    If the benchmark holds no training videos out to decide when to stop, none has a split, and `deal` draws some.
    """
    if labels.benchmark is None:
        return labels
    measured = labels.benchmark.measured
    videos = tuple(video for video in labels.videos if video.split != measured)
    missing = tuple(video for video in labels.missing if video.split != measured)
    if not videos:
        raise NoInputError(f"none of the {len(missing)} training videos of {labels.source} is there")
    if not any(video.split == "val" for video in videos):
        videos = tuple(replace(video, split=None) for video in videos)
    return replace(labels, videos=videos, missing=missing)


def known_to(labels: LabelSet, vocabulary: Sequence[TagName]) -> LabelSet:
    """Returns a benchmark without the videos of classes that a checkpoint trained on a part of it never saw.

    They count as missing. A checkpoint with tags of another kind changes nothing: what it lacks is an error.
    """
    known = {tag.name for tag in vocabulary}
    listed = {label for video in (*labels.videos, *labels.missing) for label in video.labels}
    if labels.benchmark is None or not known <= listed:
        return labels
    kept: list[LabelledVideo] = []
    lost: list[LabelledVideo] = []
    for video in labels.videos:
        own = tuple(label for label in video.labels if label in known)
        (kept if own else lost).append(replace(video, labels=own) if own else video)
    if lost:
        names = ", ".join(sorted({label for video in lost for label in video.labels})[:5])
        log.warning("left out %d videos of classes that no training video showed: %s", len(lost), names)
    return replace(labels, videos=tuple(kept), missing=(*labels.missing, *lost))
