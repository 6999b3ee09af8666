"""Features of a video's preview frames, extracted once and kept in the user's cache.

An entry is one safetensors file for one network on one video. Its name is a hash of the video's content, the read
options and the network: a renamed video is found again, and changed weights or options never meet old features.
Entries are float16: half the disk, and the rounding (1e-3) is far smaller than the difference between two frames.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from nsnet_cli.atomic import write_whole
from nsnet_cli.bounded import bounded
from nsnet_cli.errors import EXIT_UNEXPECTED, LOST_KINDS, LostVideosError, NoInputError, OutputError, VideoError
from nsnet_cli.media import InputSpec, ReadOptions
from nsnet_cli.progress import progress
from nsnet_cli.records import dataclass
from nsnet_cli.video.extracted import frames_hash
from nsnet_cli.video.reader import VideoReader
from nsnet_cli.weights.checkpoint import Checkpoint
from nsnet_cli.weights.folders import CACHE_VARIABLE, cache_folder
from nsnet_cli.weights.heads import probabilities
from nsnet_cli.weights.identity import network_identity
from nsnet_cli.weights.rows import NetworkUse

CACHE_SCHEMA = 1
PIECE_BYTES = 8 * 2**20
SPREAD_CLIPS = 4
"""Clips of a video whose recogniser takes frames that are spread over it."""
CLIPS_PER_READ = 8
"""Most clips in memory at the same time."""
MOST_LOST = 0.05
"""If a larger share of the videos is lost for reasons other than the files, a figure over the rest misleads."""

Opener = Callable[[Path, ReadOptions], VideoReader]
"""Opens a video: `open_video` in this process, or `DecodePool.open` in a process that can be killed."""


class ImageNetworks(Protocol):
    """The two image networks of a checkpoint; nsnet_cli.nets.engine.Engine is one."""

    def preview(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(N, S, S, 3) uint8 -> features (N, D), logits (N, C)."""

    def recognise(self, views: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(N, S, S, 3) uint8, or (N, F, S, S, 3) of clips -> features (N, D2), logits (N, C2)."""


@dataclass(frozen=True, slots=True)
class NetworkOutput:
    """What one network gives for a video's preview frames: features (T, D) and outputs (T, C), float32.

    Outputs are logits or scores.
    """

    features: np.ndarray
    outputs: np.ndarray


@dataclass(frozen=True, slots=True)
class VideoFeatures:
    """A video as the sampler and the recogniser see it. pts_s (T,) float64, ascending."""

    pts_s: np.ndarray
    duration_s: float
    preview: NetworkOutput
    """Its outputs are logits."""
    recogniser: NetworkOutput | None
    """Its outputs are the scores of its own classifier. None if only the preview was asked for.

    Scores, not logits: rounding logits to half precision can change a video's first tag.
    """

    @property
    def times(self) -> np.ndarray:
        """(T,) float32 in [0, 1]: pts_s / duration."""
        return np.clip(self.pts_s / max(self.duration_s, 1e-6), 0.0, 1.0).astype(np.float32)

    def __len__(self) -> int:
        return len(self.pts_s)


# ---- the cache ------------------------------------------------------------------------------------------------------


def content_hash(path: Path) -> str:
    """sha256 of a file's size and bytes; above 16 MiB, of its size and its first and last 8 MiB.

    Name and modification time do not count: a copied or touched video keeps its features. Of a folder of extracted
    frames: see frames_hash. Raises OSError or VideoError.
    """
    if path.is_dir():
        return frames_hash(path)
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as handle:
        if size <= 2 * PIECE_BYTES:
            digest.update(handle.read())
        else:
            digest.update(handle.read(PIECE_BYTES))
            handle.seek(-PIECE_BYTES, os.SEEK_END)
            digest.update(handle.read())
    return digest.hexdigest()


def default_cache_dir() -> Path:
    """The folder for features. Raises WeightsError if the user has no cache folder."""
    return cache_folder() / "features"


def entry_key(content: str, read: ReadOptions, use: NetworkUse, role: str) -> str:
    """The name of a cache entry: a hash of content, read options, network and role.

    Options that cannot change a pixel (limits, threads, thumbnails) are left out. The role counts: one network may be
    both preview and recogniser, and keeps logits as the one and scores as the other.
    """
    same = {"jpegs", "jpeg_side_px", "max_side_px", "max_duration_s", "max_streams", "threads"}
    same |= set() if read.in_rounds else {"in_rounds"}  # so that whole previews keep the names that they had
    options = {f.name: getattr(read, f.name) for f in dataclasses.fields(read) if f.name not in same}
    what = [network_identity(use), *(["scores"] if role == "recogniser" else [])]
    text = json.dumps([CACHE_SCHEMA, content, options, *what], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:40]


@dataclass(frozen=True, slots=True)
class FeatureCache:
    """Cache entries, in folders named by two hex digits. A broken entry counts as absent."""

    folder: Path

    def path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.safetensors"

    def load(self, key: str) -> tuple[dict[str, np.ndarray], dict[str, str]] | None:
        """Arrays and metadata of an entry. None if it is absent or broken."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.path(key), framework="numpy") as handle:
                arrays = {name: handle.get_tensor(name) for name in ("pts_s", "features", "outputs")}
                metadata = dict(handle.metadata() or {})
        except (OSError, SafetensorError):
            return None
        whole = len({len(array) for array in arrays.values()}) == 1 and "duration_s" in metadata
        return (arrays, metadata) if whole else None

    def store(self, key: str, arrays: dict[str, np.ndarray], metadata: dict[str, str]) -> None:
        """Writes an entry whole or not at all. Raises OutputError."""
        from safetensors.numpy import save

        path = self.path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, save(arrays, metadata=metadata))
        except OSError as error:
            hint = f"free some space there, or set {CACHE_VARIABLE} to a writable folder; what is done is kept"
            refused = OutputError(f"cannot write features to {self.folder}: {error.strerror or error}", hint)
            refused.exit_code = EXIT_UNEXPECTED
            raise refused from error


# ---- extraction -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Extractor:
    """Features of videos for one checkpoint: from the cache, else decoded and computed.

    `networks` is called only when a video is not cached, so a second run loads no network.
    """

    checkpoint: Checkpoint
    read: ReadOptions
    networks: Callable[[], ImageNetworks]
    open: Opener
    cache: FeatureCache
    recogniser: bool = True
    """Also run the recogniser on every preview frame; training a fixed vocabulary's sampler does not need it."""

    def keys(self, path: Path) -> dict[str, str]:
        """The names of a video's cache entries, by role."""
        try:
            content = bounded(lambda: content_hash(path))
        except OSError as error:
            raise VideoError(f"cannot read {path}: {error.strerror or error}", kind=_kind(error)) from error
        uses = [("preview", self.checkpoint.preview), ("recogniser", self.checkpoint.recogniser)][: 1 + self.recogniser]
        return {role: entry_key(content, self.read, use, role) for role, use in uses}

    def video(self, path: Path) -> VideoFeatures:
        """The features of one video. Raises VideoError."""
        keys = self.keys(path)
        entries = {role: self.cache.load(key) for role, key in keys.items()}
        absent = [role for role, entry in entries.items() if entry is None]
        if absent:
            for role, (arrays, metadata) in self._compute(path, absent).items():
                self.cache.store(keys[role], arrays, metadata)
                entries[role] = (arrays, metadata)
        return _assemble(entries)

    def _compute(self, path: Path, roles: Sequence[str]) -> dict[str, tuple[dict[str, np.ndarray], dict[str, str]]]:
        """Decodes once and runs the networks of `roles` on each batch. Frames are sorted by time."""
        networks = self.networks()
        run = {"preview": networks.preview, "recogniser": lambda pixels: own_scores(*networks.recognise(pixels))}
        view = self.checkpoint.recogniser.input
        with_frames = [role for role in roles if role == "preview" or view.frames == 1]
        pts: list[np.ndarray] = []
        made: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {role: [] for role in roles}
        with self.open(path, self.read) as video:
            for batch in video.preview():
                pts.append(batch.pts_s)
                for role in with_frames:
                    made[role].append(run[role](batch.pixels))
            if not pts:
                raise VideoError(f"{path}: no frame could be decoded", "is the file whole?", kind="no_frames")
            times = np.concatenate(pts)
            if len(with_frames) < len(roles):
                made["recogniser"] = clip_outputs(video, times, view, run["recogniser"])
        order = np.argsort(times, kind="stable")
        metadata = {"duration_s": repr(float(video.info.duration_s))}
        entries = {}
        for role, pairs in made.items():
            features, outputs = (np.concatenate(part)[order].astype(np.float16) for part in zip(*pairs, strict=True))
            entries[role] = ({"pts_s": times[order], "features": features, "outputs": outputs}, metadata)
        return entries


def clip_outputs(
    video: VideoReader,
    times: np.ndarray,
    view: InputSpec,
    run: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns what a recogniser of clips gives for each of T preview frames, from a clip around each of `times` (T,).

    Where its clips are spread, a frame has none of its own as long as nothing is known of saliency. Then SPREAD_CLIPS
    clips are spread over the whole video, and its frames take them in turn.
    """
    spread = view.stride_s == "spread"
    at_s = np.zeros(SPREAD_CLIPS) if spread else times
    parts = range(0, len(at_s), len(at_s) if spread else CLIPS_PER_READ)
    found = [run(video.views(at_s[start : start + parts.step], view).pixels) for start in parts]
    if not spread:
        return found
    turn = np.argsort(np.argsort(times, kind="stable")) % SPREAD_CLIPS
    return [(features[turn], outputs[turn]) for features, outputs in found]


def own_scores(features: np.ndarray, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A recogniser's features (N, D2) unchanged, and its logits (N, C2) as scores (N, C2) of its own classifier."""
    return features, probabilities(logits, multi_label=False)


def _kind(error: OSError) -> str:
    known = {FileNotFoundError: "not_found", PermissionError: "permission_denied", TimeoutError: "timeout"}
    return known.get(type(error), "unreadable")


def _assemble(entries: dict[str, Any]) -> VideoFeatures:
    arrays, metadata = entries["preview"]
    outputs = {
        role: NetworkOutput(made["features"].astype(np.float32), made["outputs"].astype(np.float32))
        for role, (made, _) in entries.items()
    }
    return VideoFeatures(
        pts_s=arrays["pts_s"],
        duration_s=float(metadata["duration_s"]),
        preview=outputs["preview"],
        recogniser=outputs.get("recogniser"),
    )


@dataclass(frozen=True, slots=True)
class Extraction:
    """Features of the readable videos and errors of the others, both by position in the list of paths."""

    videos: dict[int, VideoFeatures]
    failed: dict[int, VideoError]


def extract_all(paths: Sequence[Path], extractor: Extractor, *, threads: int = 1) -> Extraction:
    """Extracts the features of many videos. The errors of unreadable ones are kept in `failed`.

    An interrupt drops unfinished videos; finished ones stay in the cache.
    Raises NoInputError if no video can be read. Raises LostVideosError if more than MOST_LOST of them were lost to
    timeouts, crashes, lack of memory or bugs of nsnet: the rest would not be a fair sample.
    """

    def attempt(path: Path) -> VideoFeatures | VideoError:
        try:
            return extractor.video(path)
        except VideoError as error:
            return error

    videos, failed = {}, {}
    pool = ThreadPoolExecutor(threads)
    try:
        with progress("extracting features", len(paths), "videos") as bar:
            for index, found in enumerate(pool.map(attempt, paths)):
                if isinstance(found, VideoError):
                    failed[index] = found
                else:
                    videos[index] = found
                bar.advance()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    lost = [error for error in failed.values() if error.kind in LOST_KINDS]
    if len(lost) > MOST_LOST * len(paths):
        kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(error.kind for error in lost).most_common())
        raise LostVideosError(
            f"{len(lost)} of {len(paths)} videos were lost, not because of the files ({kinds}); the first: {lost[0]}",
            "run it again, with a lower --jobs if the machine is busy; what was read is kept",
        )
    if not videos:
        raise NoInputError(f"none of the {len(paths)} videos can be read; the first: {next(iter(failed.values()))}")
    return Extraction(videos, failed)


def headless(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint without its sampler: cached features depend on the two image networks alone."""
    return dataclasses.replace(checkpoint, sampler=None)
