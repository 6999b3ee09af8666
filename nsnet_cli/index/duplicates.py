"""Near-duplicates: copies of a video that were coded anew, scaled, or cut out of it.

Two videos are compared by their kept frames, less what all frames of the library have in common. First, each video is
cut into scenes, and pairs whose scenes are alike for most of the shorter video are candidates. Then the two are put in
step: the shift at which most frames are alike. They are near-duplicates if nearly every frame of the shorter one is
like the frame of the other one at the same moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from nsnet_cli.index.hits import table
from nsnet_cli.index.library import Library
from nsnet_cli.index.like import Owned, owned
from nsnet_cli.index.vectors import embeddings
from nsnet_cli.outputs.words import clock
from nsnet_cli.progress import progress
from nsnet_cli.records import dataclass
from nsnet_cli.spans import interval_s
from nsnet_cli.text import printable

SAME_SCENE = 0.85
"""Frames in a row belong to one scene while their cosine with its mean is at least this."""
MOST_SCENES = 16
"""Of each video the longest scenes are compared."""
CANDIDATE, CANDIDATE_SHARE = 0.8, 0.7
"""Two videos are looked at closely if scenes with this cosine fill this share of the shorter one."""
ALIKE = 0.75
"""Two frames with this cosine may show the same moment."""
LEAST_SHARE = 0.9
"""Near-duplicates are alike in this share of the shorter video's frames."""
SLACK_S = 1.0
"""How far apart frames of one moment may be, besides the distance between preview frames."""
SAME_LENGTH_S = 0.5
"""Videos of one scene are near-duplicates only if their lengths differ by no more."""
WHOLE_S, WHOLE = 2.0, 0.05
"""Videos whose lengths differ by no more, in seconds or as a share of the longer one, are copies as a whole."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two near-duplicates. `a` is the longer one."""

    a: dict[str, Any]
    b: dict[str, Any]
    similarity: float
    """Median cosine of frames at the same moment."""
    share: float
    """Share of the shorter video's frames that are alike."""
    shift_s: float
    """The shorter video begins at this time of the longer one."""

    @property
    def kind(self) -> str:
        """'copy': of the whole video. 'part': the shorter one is a part of the longer one."""
        lengths = [self.a["duration_s"] or 0.0, self.b["duration_s"] or 0.0]
        return "copy" if lengths[0] - lengths[1] <= max(WHOLE_S, WHOLE * lengths[0]) else "part"


def pair_dict(pair: Pair) -> dict[str, Any]:
    """The object of `nsnet find --duplicates --json`, in its documented order."""
    return {
        "kind": pair.kind,
        "path": pair.a["path"],
        "other": pair.b["path"],
        "similarity": round(pair.similarity, 4),
        "share": round(pair.share, 4),
        "shift_s": round(pair.shift_s, 1),
        "duration_s": pair.a["duration_s"],
        "other_duration_s": pair.b["duration_s"],
        "source": pair.a["source"],
        "other_source": pair.b["source"],
    }


def pairs_table(pairs: Sequence[Pair], width: int | None, color: bool) -> str:
    """The two videos of each pair, and how they are alike."""
    rows = [("Video", "Near-duplicate", "", "From", "Alike")]
    for pair in pairs:
        names = printable(pair.a["path"]), printable(pair.b["path"])
        rows.append((*names, pair.kind, clock(max(pair.shift_s, 0.0), 0), f"{pair.similarity:.2f}"))
    return table(rows, (3, 4), width, color)


@dataclass(frozen=True, slots=True, eq=False)
class Scenes:
    """S scenes of all videos: directions (S, D) float32, frames (S,), and where each video's scenes begin (V,)."""

    directions: np.ndarray
    lengths: np.ndarray
    first: np.ndarray

    def of(self, n: int) -> slice:
        """The scenes of the n-th video."""
        return slice(self.first[n], self.first[n + 1] if n + 1 < len(self.first) else len(self.lengths))

    def count(self, n: int) -> int:
        return len(self.lengths[self.of(n)])


def duplicates(library: Library) -> list[Pair]:
    """Returns all pairs of near-duplicates, the most alike first."""
    db, pairs = library.index.db, list[Pair]()
    projections = db.execute(
        "SELECT projection FROM frames WHERE live > 0 AND holder = 'videos' ORDER BY frames"
    ).fetchall()
    for (projection,) in projections:
        of = owned(library, projection)
        pairs += _pairs(library, of)
    return sorted(pairs, key=lambda pair: (-pair.share * pair.similarity, pair.a["path"], pair.b["path"]))


def _pairs(library: Library, of: Owned) -> Iterator[Pair]:
    scenes = _scenes(of)
    said = [library.of_video(int(video)) for video in of.video]
    length_s = np.array([each["duration_s"] or 0.0 for each in said])
    with progress("compare", len(said), "videos") as bar:
        for n in range(len(said)):
            longer = (length_s > length_s[n]) | ((length_s == length_s[n]) & (np.arange(len(said)) > n))
            if scenes.count(n) == 1:  # such as of a fixed camera: a part of it could be of any other day
                longer &= length_s - length_s[n] <= SAME_LENGTH_S
            for other in np.flatnonzero(longer & _candidates(scenes, n)):
                found = in_step(*_frames(of, n), *_frames(of, int(other)))
                if found is not None:
                    yield Pair(said[other], said[n], *found)
            bar.advance()


def _frames(of: Owned, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Times (T,) and directions (T, D) of a video's frames."""
    records = of.frames.read(int(of.first[n]), int(of.count[n]))
    return records["pts_s"].copy(), of.frames.directions(embeddings(records))


def _scenes(of: Owned) -> Scenes:
    directions, lengths, first = list[np.ndarray](), list[int](), list[int]()
    for n in range(len(of.video)):
        first.append(len(lengths))
        own = _cut(_frames(of, n)[1])
        for frames in sorted(own, key=len, reverse=True)[:MOST_SCENES]:
            directions.append(_unit(frames.sum(0)))
            lengths.append(len(frames))
    return Scenes(np.array(directions, np.float32), np.array(lengths), np.array(first))


def _cut(frames: np.ndarray) -> list[np.ndarray]:
    """Frames (T, D) as scenes: parts in which each frame is like the mean of those before it."""
    starts, total = [0], frames[0].copy()
    for n in range(1, len(frames)):
        if float(_unit(total) @ frames[n]) < SAME_SCENE:
            starts.append(n)
            total = np.zeros_like(total)
        total += frames[n]
    return np.split(frames, starts[1:])


def _unit(vector: np.ndarray) -> np.ndarray:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9), np.float32)


def _candidates(scenes: Scenes, n: int) -> np.ndarray:
    """(V,) bool: which videos have scenes like most of the n-th video's."""
    own = scenes.of(n)
    alike = scenes.directions[own] @ scenes.directions.T >= CANDIDATE  # (s, S)
    shared = np.logical_or.reduceat(alike, scenes.first, axis=1)  # (s, V)
    lengths = scenes.lengths[own]
    return np.asarray(lengths @ shared >= CANDIDATE_SHARE * lengths.sum())


def in_step(
    shorter_s: np.ndarray, shorter: np.ndarray, longer_s: np.ndarray, longer: np.ndarray
) -> tuple[float, float, float] | None:
    """Puts two videos in step, by times (T,) and directions (T, D) of their frames.

    Returns similarity, share and shift as in `Pair`; None if they are no near-duplicates.
    """
    cosines = shorter @ longer.T
    shifts = longer_s[None] - shorter_s[:, None]
    slack = SLACK_S + (interval_s(longer_s) or 0.0) / 2
    likely = np.round(shifts[cosines >= ALIKE], 1)
    best: tuple[float, float, float] | None = None
    for shift in (0.0, *_peaks(likely, slack)):  # in doubt, they begin together
        near = np.where(np.abs(shifts - shift) <= slack, cosines, -1.0).max(1)
        share = float((near >= ALIKE).mean())
        if share >= LEAST_SHARE and (best is None or share > best[1]):
            best = float(np.median(near)), share, float(shift)
    return best


def _peaks(shifts: np.ndarray, slack: float, most: int = 5) -> list[float]:
    """The shifts around which the most pairs of frames are, each the median of its pairs."""
    found = []
    for _ in range(most):
        if not len(shifts):
            break
        values, counts = np.unique(np.round(shifts / slack), return_counts=True)
        near = np.abs(shifts - values[counts.argmax()] * slack) <= slack
        found.append(float(np.median(shifts[near])))
        shifts = shifts[~near]
    return found
