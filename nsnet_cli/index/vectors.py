"""Files of frames: one record per preview frame, with its time and its embedding as 8 bit numbers.

Embeddings are rounded to 127 steps of the frame's largest number: half the size of half precision, and several times
faster to compare, for an error of a cosine below 0.002. Files are read in blocks, not mapped: a mapped file that
another program cuts short, or a network disk that goes away, would end the program.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from nsnet_cli.cores import usable_cores
from nsnet_cli.index.database import DamagedError, Database

STEPS = 127
BLOCK = 2048
"""Frames that are compared at once: they fit the processor's cache."""
LEAST_PART, MOST_THREADS = 200_000, 8
"""Fewer frames are not worth a thread."""
PRIOR_FRAMES = 1000
"""A library's mean counts fully only in one much larger than this: that of a few videos would be their content."""


def record(width: int) -> np.dtype:
    """One frame: time, size of a step, squared length, and the embedding (D,) in steps."""
    fields = [("pts_s", "<f8"), ("step", "<f4"), ("square", "<f4"), ("steps", "i1", (width,))]
    return np.dtype(fields)


def records(pts_s: np.ndarray, features: np.ndarray) -> np.ndarray:
    """pts_s (T,), features (T, D) -> records (T,)."""
    found = np.zeros(len(pts_s), record(features.shape[1]))
    exact = features.astype(np.float32)
    step = np.maximum(np.abs(exact).max(1, initial=0) / STEPS, np.float32(1e-20))
    found["pts_s"], found["step"] = pts_s, step
    found["steps"] = np.rint(exact / step[:, None])
    found["square"] = (found["steps"].astype(np.float32) ** 2).sum(1) * step**2
    return found


def embeddings(of: np.ndarray) -> np.ndarray:
    """Records (T,) -> embeddings (T, D) float32."""
    return np.asarray(of["steps"] * of["step"][:, None], np.float32)


@dataclass(frozen=True, eq=False)
class Frames:
    """The frames of all videos that one projection reduced. Rows that no video owns are never asked for."""

    path: Path
    width: int
    rows: int
    mean: np.ndarray  # (D,) what all frames of the library have in common

    def read(self, first: int, count: int) -> np.ndarray:
        """Records (count,). Raises DamagedError."""
        return next(self._blocks(first, count, count))

    def directions(self, features: np.ndarray) -> np.ndarray:
        """Embeddings (Q, D) less the library's mean, each of length 1."""
        away = features.astype(np.float32) - self.mean
        return np.asarray(away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-9), np.float32)

    def cosines(self, features: np.ndarray) -> np.ndarray:
        """(rows,) of each frame to the most alike of the embeddings (Q, D); the library's mean is taken off both."""
        wanted = self.directions(features)
        beside = np.concatenate([wanted, self.mean[None]]).T.copy()  # (D, Q + 1)
        found = np.empty(self.rows, np.float32)
        parts = max(1, min(usable_cores(), MOST_THREADS, self.rows // LEAST_PART))
        edges = [self.rows * n // parts for n in range(parts + 1)]
        with ThreadPoolExecutor(parts) as threads:  # numpy computes without the interpreter's lock
            list(threads.map(lambda part: self._compare(beside, part[0], found[slice(*part)]), pairwise(edges)))
        return found

    def _compare(self, beside: np.ndarray, first: int, found: np.ndarray) -> None:
        """Fills `found` (n,) with the cosines of the rows from `first` on."""
        shift, square = beside[:, :-1].T @ self.mean, float(self.mean @ self.mean)
        exact, at = np.empty((BLOCK, self.width), np.float32), 0
        for block in self._blocks(first, len(found), BLOCK):
            end = at + len(block)
            exact[: len(block)] = block["steps"]
            dots = (exact[: len(block)] @ beside) * block["step"][:, None]
            length = np.sqrt(np.maximum(block["square"] - 2 * dots[:, -1] + square, 1e-12))
            found[at:end] = (dots[:, :-1] - shift).max(1) / length
            at = end

    def _blocks(self, first: int, count: int, block: int) -> Iterator[np.ndarray]:
        kind, done = record(self.width), 0
        space = np.empty(max(min(block, count), 1), kind)
        try:
            with self.path.open("rb") as file:
                file.seek(first * kind.itemsize)
                while done < count:
                    part = space[: min(block, count - done)]
                    if file.readinto(part.view(np.uint8)) < part.nbytes:  # type: ignore[arg-type]
                        raise DamagedError(f"{self.path} ends early")
                    yield part
                    done += len(part)
        except OSError as error:
            raise DamagedError(f"{self.path}: {error.strerror}") from error


def shrunk_mean(total: np.ndarray, frames: int) -> np.ndarray:
    """The mean (D,) of a library with this sum (D,) over its frames, smaller where there are few."""
    return np.asarray(total / (frames + PRIOR_FRAMES), np.float32)


def frames_of(index: Database, frames: int) -> Frames:
    """The frames of one projection, by their key in the table `frames`."""
    sql = "SELECT width, file, rows, live, total FROM frames WHERE frames = ?"
    width, file, rows, live, total = index.db.execute(sql, (frames,)).fetchone()
    return Frames(index.folder / file, width, rows, shrunk_mean(np.frombuffer(total), live))


def append(path: Path, rows: int, added: np.ndarray) -> None:
    """Writes records after the first `rows`. What a killed program left there is written over. Raises DamagedError."""
    size = rows * added.dtype.itemsize
    with path.open("r+b" if rows else "wb") as file:
        if file.seek(0, os.SEEK_END) < size:
            raise DamagedError(f"{path} ends early")
        file.truncate(size)
        file.seek(size)
        file.write(added.tobytes())
        file.flush()
        os.fsync(file.fileno())
