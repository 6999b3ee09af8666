"""Finds moments that look like a picture, or as words say: a cosine with every kept frame, then the best stretches."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from nsnet_cli.errors import UsageError
from nsnet_cli.index.hits import Hit
from nsnet_cli.index.library import Library
from nsnet_cli.index.question import Question
from nsnet_cli.index.vectors import Frames, frames_of
from nsnet_cli.records import dataclass
from nsnet_cli.spans import Stretch, times

INSIDE = 0.9
"""A stretch is the frames around its best one whose cosine is at least this share of the best."""
BESIDE = 0.6
"""Frames around a stretch belong to no other one while their cosine is at least this share of the best."""
GONE = -2.0
"""The cosine of a frame that is not to be found, or was."""


@dataclass(frozen=True, slots=True, eq=False)
class Owned:
    """The frames of a library, and which video has which: V videos, in the order of the file."""

    frames: Frames
    video: np.ndarray  # (V,) keys
    first: np.ndarray  # (V,) first row
    count: np.ndarray  # (V,) rows, at least 1


def owned(library: Library, projection: str, *, text: bool = False) -> Owned:
    """Raises UsageError if no video was embedded by this projection. `text`: by an image tower, for text."""
    db = library.index.db
    row = db.execute("SELECT frames, holder FROM frames WHERE projection = ? AND live > 0", (projection,)).fetchone()
    if row is None and text:
        message = "no video here was tagged with this checkpoint, so there is nothing to compare words with"
        raise UsageError(message, "give the --checkpoint that they were tagged with, or tag them with it and -o")
    if row is None:
        others = db.execute("SELECT 1 FROM frames WHERE live > 0 AND holder = 'videos'").fetchone()
        if others:
            message = "these videos were embedded by another preview network, or another version of nsnet"
            raise UsageError(message, "give the --checkpoint that they were tagged with, or tag them again")
        raise UsageError("no video here has embeddings", "tag the videos again with -o")
    frames, holder = row
    sql = f"SELECT video, first, count FROM {holder} WHERE frames = ? AND count > 0 ORDER BY first"
    table = np.array(db.execute(sql, (frames,)).fetchall(), np.int64).reshape(-1, 3)
    return Owned(frames_of(library.index, frames), *table.T)


def like(library: Library, question: Question, most: int) -> list[Hit]:
    """Returns the stretches that are most like the question, the most alike first."""
    of = owned(library, question.projection, text=question.text)
    if question.text:
        of = replace(of, frames=replace(of.frames, mean=np.zeros_like(of.frames.mean)))
    cosines = of.frames.cosines(question.features)
    cosines[~_alive(of)] = GONE
    return [_hit(library, of, *found, text=question.text) for found in _best(of, cosines, most)]


def _alive(of: Owned) -> np.ndarray:
    """(rows,) bool: whether a video of the library owns the row."""
    step = np.zeros(of.frames.rows + 1, np.int8)
    np.add.at(step, of.first, 1)
    np.add.at(step, of.first + of.count, -1)
    return np.asarray(np.cumsum(step[:-1], dtype=np.int8).astype(bool))


def _best(of: Owned, cosines: np.ndarray, most: int) -> Iterator[tuple[int, int, Stretch]]:
    """Yields position of the video, row of the best frame, and stretch. Changes `cosines`."""
    if not len(of.first):
        return
    peaks = np.maximum.reduceat(cosines, of.first)
    best = np.argsort(-peaks, kind="stable")[:most]  # no other video can have a hit among the first `most`
    waiting = [(-float(peaks[n]), int(n)) for n in best]
    heapq.heapify(waiting)
    for _ in range(most):
        if not waiting or waiting[0][0] >= 0:
            return
        _, n = heapq.heappop(waiting)
        own = cosines[of.first[n] : of.first[n] + of.count[n]]
        at = int(own.argmax())
        stretch = Stretch(*_around(own, at, INSIDE), share=float(own[at]))
        yield n, at, stretch
        first, last = _around(own, at, BESIDE)
        own[first : last + 1] = GONE
        heapq.heappush(waiting, (-float(own.max()), n))


def _around(cosines: np.ndarray, at: int, share: float) -> tuple[int, int]:
    """First and last of the frames around `at` whose cosine is at least this share of its own."""
    below = np.flatnonzero(cosines < share * cosines[at])
    before, after = below[below < at], below[below > at]
    return (int(before[-1]) + 1 if len(before) else 0), (int(after[0]) - 1 if len(after) else len(cosines) - 1)


def _hit(library: Library, of: Owned, n: int, at: int, stretch: Stretch, *, text: bool) -> Hit:
    pts_s = of.frames.read(int(of.first[n]), int(of.count[n]))["pts_s"]
    video, at_s = int(of.video[n]), float(pts_s[at])
    if text and (preview := _preview_times(library, video)) is not None:
        # images are of salient frames, maybe minutes apart: a hit ends at the preview frames beside its own
        first, last = np.searchsorted(preview, pts_s[[stretch.first, stretch.last]])
        stretch, pts_s = replace(stretch, first=int(first), last=min(int(last), len(preview) - 1)), preview
    said = library.of_video(video)
    start_s, end_s = times(stretch, pts_s, said["duration_s"] or 0.0)
    return Hit(**said, start_s=start_s, end_s=end_s, at_s=at_s, similarity=min(1.0, stretch.share))


def _preview_times(library: Library, video: int) -> np.ndarray | None:
    """The times of a video's preview frames, (T,); None if their embeddings were not kept."""
    sql = "SELECT frames, first, count FROM videos WHERE video = ? AND frames IS NOT NULL"
    row = library.index.db.execute(sql, (video,)).fetchone()
    return None if row is None else frames_of(library.index, row[0]).read(*row[1:])["pts_s"].copy()
