"""Training data: videos with features, labels and a split, from labelled videos or from a file of ready features.

Ready features are a .npz or .safetensors file in one of two layouts (other arrays are ignored):

stacked, N videos of T frames each
    features (N, T, D); labels (N,) class numbers or names, or (N, C) of 0 and 1 for several labels
    optional: times (N, T) in [0, 1]; names (C,); ids (N,); split (N,);
    logits (N, T, C0) of the preview network; recogniser_features (N, T, D2)

arrays per video, of any length
    ID/features (T, D) and ID/labels () or (n,); optional: ID/times, ID/logits, ID/recogniser_features, and names (C,)

safetensors holds no text: its labels are class numbers, and `names`, `ids`, `split` are JSON lists in its metadata.

Features stay in the file and are read a video at a time. Only a compressed .npz has to fit in memory.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nsnet_cli.errors import UsageError
from nsnet_cli.labelled.features import VideoFeatures
from nsnet_cli.labelled.labels import SPLITS, LabelledVideo, Split, label_indices
from nsnet_cli.labelled.mapped import MappedArray, map_npz, map_safetensors, stand_in
from nsnet_cli.labelled.metrics import inside
from nsnet_cli.records import dataclass
from nsnet_cli.types import TagName

TEXTS = ("names", "ids", "split")


@dataclass(frozen=True, slots=True, repr=False)
class Example:
    """One video. `labels` are positions in the vocabulary. `split` None: not yet decided.

    Features and logits may be arrays that stay in their files: np.asarray reads them.
    """

    name: str
    labels: tuple[int, ...]
    times: np.ndarray  # (T,) in [0, 1]
    features: np.ndarray  # (T, D) of the preview network
    logits: np.ndarray | None = None  # (T, C0) of the preview network
    recogniser: np.ndarray | None = None  # (T, D2) features of the recogniser
    salient: np.ndarray | None = None  # (T,) bool, where segments are known: for metrics, never for training
    split: Split | None = None
    source: str = ""
    """What the video shares with others; empty: nothing is known."""


@dataclass(frozen=True, slots=True)
class Dataset:
    examples: tuple[Example, ...]
    vocabulary: tuple[TagName, ...]
    source: str
    """As the user named it, for the model card."""
    multi_label: bool
    hierarchy: tuple[Mapping[str, Any], ...] = ()
    """What stands over the tags, as config.json keeps it; empty: nothing was declared."""

    def of(self, *splits: Split) -> tuple[Example, ...]:
        return tuple(example for example in self.examples if example.split in splits)


def from_videos(
    rows: Sequence[tuple[LabelledVideo, tuple[int, ...], VideoFeatures]],
    vocabulary: tuple[TagName, ...],
    source: str,
    multi_label: bool | None = None,
    hierarchy: Sequence[Mapping[str, Any]] = (),
) -> Dataset:
    """A dataset of labelled videos, each with its labels' positions in the vocabulary and its features."""
    examples = tuple(
        Example(
            name=str(video.path),
            labels=labels,
            times=found.times,
            features=found.preview.features,
            logits=found.preview.outputs,
            recogniser=found.recogniser.features if found.recogniser else None,
            salient=inside(found.pts_s, video.segments) if video.segments else None,
            split=video.split,
            source=video.source,
        )
        for video, labels, found in rows
    )
    several = any(len(example.labels) > 1 for example in examples)
    several = several if multi_label is None else multi_label
    return Dataset(examples, vocabulary, source, several, tuple(hierarchy))


def in_vocabulary(dataset: Dataset, vocabulary: tuple[TagName, ...]) -> Dataset:
    """The same videos with labels as positions in a fixed vocabulary, found by id or name. Raises UsageError."""
    names = dataset.vocabulary
    rows = [
        LabelledVideo(Path(e.name), tuple(names[i].name for i in e.labels), dataset.source) for e in dataset.examples
    ]
    if len(names) == len(vocabulary) and all(tag.name == str(i) for i, tag in enumerate(names)):
        return replace(dataset, vocabulary=vocabulary)  # class numbers already
    found = label_indices(rows, vocabulary)
    examples = tuple(replace(e, labels=own) for e, own in zip(dataset.examples, found, strict=True))
    return replace(dataset, examples=examples, vocabulary=vocabulary)


def deal(dataset: Dataset, share: float, seed: int) -> Dataset:
    """Gives every example a split: that of its row, else `share` of each class goes to val and the rest to train.

    If any row says val, none is drawn. A class keeps at least one example in train. Raises UsageError.
    """
    examples = list(dataset.examples)
    open_rows = [i for i, example in enumerate(examples) if example.split is None]
    drawn: set[int] = set()
    if share > 0 and not any(example.split == "val" for example in examples):
        rng = np.random.default_rng(seed)
        by_class: dict[int, list[int]] = {}
        for i in open_rows:
            by_class.setdefault(examples[i].labels[0], []).append(i)
        for label in sorted(by_class):
            rows = by_class[label]
            count = min(max(round(share * len(rows)), 1 if len(rows) >= 3 else 0), len(rows) - 1)
            drawn.update(int(i) for i in rng.permutation(rows)[:count])
    for i in open_rows:
        examples[i] = replace(examples[i], split="val" if i in drawn else "train")
    dealt = replace(dataset, examples=tuple(examples))
    if len(dealt.of("train")) < 2:
        raise UsageError(f"{dataset.source}: {len(dealt.of('train'))} videos to train on", "at least 2 are needed")
    return dealt


# ---- ready features -------------------------------------------------------------------------------------------------


def read_features(path: Path, multi_label: bool | None = None) -> Dataset:
    """Reads a features file, with its names as vocabulary. Raises UsageError that names the wrong array."""
    arrays = _load(path)
    if "features" in arrays:
        rows = _stacked(arrays, path)
    else:
        ids = sorted(key.removesuffix("/features") for key in arrays if key.endswith("/features"))
        rows = [_one(arrays, video, path) for video in ids]
    if not rows:
        raise UsageError(
            f"{path} has no array 'features' and none named 'ID/features'; it has {', '.join(sorted(arrays)[:8])}",
            "see nsnet train --help",
        )
    names, labels, several = _vocabulary([row.pop("labels") for row in rows], arrays.get("names"), path)
    examples = tuple(_example(row, own, path) for row, own in zip(rows, labels, strict=True))
    wide = {example.features.shape[1] for example in examples}
    if len(wide) > 1:
        raise UsageError(
            f"{path}: videos have {', '.join(map(str, sorted(wide)))} features per frame", "all need the same number"
        )
    vocabulary = tuple(TagName(name, name) for name in names)
    return Dataset(examples, vocabulary, path.name, several if multi_label is None else multi_label)


def _load(path: Path) -> Mapping[str, np.ndarray]:
    if path.suffix not in (".npz", ".safetensors"):
        raise UsageError(f"--features {path}: unknown file type {path.suffix!r}", "use .npz or .safetensors")
    try:
        if path.suffix == ".npz":
            mapped, texts = map_npz(path), dict[str, str]()
            with np.load(path, allow_pickle=False) as file:
                arrays = {key: file[key] for key in file.files if not _stays(key, mapped)}
        else:
            mapped, texts = map_safetensors(path)
            arrays = {key: np.asarray(array) for key, array in mapped.items() if not _stays(key, mapped)}
        kept = {key: stand_in(array) for key, array in mapped.items() if _stays(key, mapped)}
        return {**arrays, **kept, **{key: np.asarray(json.loads(texts[key])) for key in TEXTS if key in texts}}
    except Exception as error:  # numpy raises a dozen kinds for a broken file
        raise UsageError(f"cannot read the features {path}: {error}", "see nsnet train --help") from error


def _stays(key: str, mapped: Mapping[str, MappedArray]) -> bool:
    """Whether an array stays in its file: one with a row of numbers per frame."""
    return key in mapped and key.rpartition("/")[2] in ("features", "logits", "recogniser_features")


def _stacked(arrays: Mapping[str, np.ndarray], path: Path) -> list[dict[str, Any]]:
    features = arrays["features"]
    if features.ndim != 3:
        raise UsageError(f"{path}: features is {features.shape}", "it must be (videos, frames, features)")
    if "labels" not in arrays:
        raise UsageError(f"{path} has no array 'labels'", "add one label per video")
    keys = [key for key in ("labels", "times", "ids", "split", "logits", "recogniser_features") if key in arrays]
    for key in keys:
        if len(arrays[key]) != len(features):
            raise UsageError(f"{path}: {key} has {len(arrays[key])} rows, features has {len(features)}")
    return [{"features": features[i], **{key: arrays[key][i] for key in keys}} for i in range(len(features))]


def _one(arrays: Mapping[str, np.ndarray], video: str, path: Path) -> dict[str, Any]:
    if f"{video}/labels" not in arrays:
        raise UsageError(f"{path}: {video}/features has no {video}/labels")
    keys = ("features", "labels", "times", "logits", "recogniser_features")
    return {"ids": video, **{k: arrays[f"{video}/{k}"] for k in keys if f"{video}/{k}" in arrays}}


def _vocabulary(
    labels: Sequence[Any], names: np.ndarray | None, path: Path
) -> tuple[list[str], list[tuple[int, ...]], bool]:
    """Names of the classes, class numbers of each video, and whether any video has several."""
    own = [np.asarray(value) for value in labels]
    hot = all(value.ndim == 1 and value.dtype.kind in "biuf" and set(np.unique(value)) <= {0, 1} for value in own)
    if own[0].dtype.kind in "US":
        texts = [[str(text) for text in np.atleast_1d(value)] for value in own]
        found = sorted({text for row in texts for text in row}) if names is None else [str(name) for name in names]
        place = {name: i for i, name in enumerate(found)}
        if unknown := {text for row in texts for text in row} - set(found):
            raise UsageError(f"{path}: label {min(unknown)!r} is not among its names")
        rows = [tuple(sorted({place[text] for text in row})) for row in texts]
    elif hot:
        rows = [tuple(int(i) for i in np.flatnonzero(value)) for value in own]
        found = [str(i) for i in range(len(own[0]))] if names is None else [str(name) for name in names]
    else:
        rows = [tuple(sorted({int(i) for i in np.atleast_1d(value)})) for value in own]
        highest = max(max(row) for row in rows if row)
        found = [str(i) for i in range(highest + 1)] if names is None else [str(name) for name in names]
    if any(not row or row[0] < 0 or row[-1] >= len(found) for row in rows):
        raise UsageError(f"{path}: a video's labels are empty or outside the {len(found)} names")
    return found, rows, any(len(row) > 1 for row in rows)


def _example(row: Mapping[str, Any], labels: tuple[int, ...], path: Path) -> Example:
    features = row["features"]
    if features.ndim != 2:
        raise UsageError(
            f"{path}: features of {row.get('ids', 'a video')} are {features.shape}", "give (frames, features)"
        )
    count = len(features)
    times = (
        np.asarray(row["times"], np.float32) if "times" in row else (np.arange(count, dtype=np.float32) + 0.5) / count
    )
    if times.shape != (count,) or not (times.min() >= 0 and times.max() <= 1):
        raise UsageError(
            f"{path}: times of {row.get('ids', 'a video')} are not {count} numbers in [0, 1]", "give pts_s / duration"
        )
    split = str(row.get("split", "")).lower()
    if split not in SPLITS:
        raise UsageError(f"{path}: split {split!r} is unknown", "use train, val, test or leave it empty")
    recogniser = row.get("recogniser_features")
    return Example(
        name=str(row.get("ids", "")),
        labels=labels,
        times=times,
        features=features,
        logits=row.get("logits"),
        recogniser=recogniser,
        split=SPLITS[split],
    )
