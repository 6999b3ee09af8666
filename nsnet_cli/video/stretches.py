"""Tracks planned frames: the stretches of a plan, each decoder's share, and frames found, missing or not needed."""

from __future__ import annotations

import itertools
import threading
from bisect import bisect_left, bisect_right
from contextlib import suppress

import av
import av.error

from nsnet_cli.media import PlannedFrame, PreviewPlan
from nsnet_cli.records import dataclass
from nsnet_cli.video.container import OpenVideo
from nsnet_cli.video.opened import StoreFile

LEAST_KEY_BYTES, KEY_BYTES, KEY_SHARE = 32 << 10, 128 << 10, 0.1
"""How long a key frame is taken to be if the index does not tell: all of them at most this share of the video."""
KEY_WORK_S = 1.0
"""A key frame takes a decoder as long as this many seconds of video. An estimate."""
SKIPPING_FRAMES = 1.5
"""If the tolerance is more than this many frames, every unreferenced frame may be skipped."""
SKIPPING_B_FRAMES = 2.0
"""If it is more than this many, every B picture: mostly one picture in four is none."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A key frame, and the planned frames up to the next one."""

    key_s: float
    wants_key: bool
    fills: tuple[PlannedFrame, ...]


@dataclass(frozen=True, slots=True)
class Decoded:
    pts_s: float
    frame: av.VideoFrame


def stretches(plan: PreviewPlan, key_times_s: tuple[float, ...]) -> list[Stretch]:
    """Cuts a plan at the key frames, in order of time."""
    keys = key_times_s or (plan.frames[0].pts_s,)
    out: list[Stretch] = []

    def key_before(frame: PlannedFrame) -> int:
        return max(0, bisect_right(keys, frame.pts_s + 1e-6) - 1)

    for at, group in itertools.groupby(plan.frames, key_before):
        frames = tuple(group)
        fills = tuple(frame for frame in frames if not frame.key)
        out.append(Stretch(keys[at], any(frame.key for frame in frames), fills))
    return out


def even_shares(parts: list[Stretch], decoders: int) -> list[list[Stretch]]:
    """Gives each stretch, in order of time, to the decoder that has least to do so far, so that all end together.

    It is settled before any begins: damaged files would else be read differently from run to run.
    """
    shares: list[list[Stretch]] = [[] for _ in range(decoders)]
    work_s = [0.0] * decoders
    for part in parts:
        least = work_s.index(min(work_s))
        shares[least].append(part)
        work_s[least] += KEY_WORK_S + max(0.0, part.fills[-1].pts_s - part.key_s if part.fills else 0.0)
    return shares


class Shared:
    """What the decoders of one file know of each other."""

    def __init__(self, parts: list[Stretch]) -> None:
        self.parts = parts
        self._given: set[float] = set()
        self._wanted = False
        self._lock = threading.Lock()

    def want(self, video: OpenVideo, keys: int) -> None:
        """Tells a store where in the file all the stretches are. One decoder does so, before any reads a stretch.

        `keys`: how many key frames the video has.
        """
        with self._lock:
            if not self._wanted and isinstance(video.file, StoreFile):
                video.file.want(wanted_ranges(video, self.parts, keys))
                self._wanted = True

    def new(self, pts_s: float) -> bool:
        """Whether no decoder has given this frame yet: one can be the nearest to two planned times."""
        with self._lock:
            new = pts_s not in self._given
            self._given.add(pts_s)
            return new


def wanted_ranges(video: OpenVideo, parts: list[Stretch], keys: int) -> list[tuple[int, int]]:
    """Returns where in the file the stretches are: (start, end) in bytes, as far as its index tells.

    `keys`: how many key frames the video has.
    It is a hint. Matroska's index tells where a key frame begins, not where it ends.
    """
    if not parts:
        return []
    with suppress(av.error.FFmpegError):
        video.container.seek(video.ticks(parts[0].key_s), stream=video.stream)  # Matroska reads its cues at a seek
    index = video.stream.index_entries
    guess = min(KEY_BYTES, max(LEAST_KEY_BYTES, int(KEY_SHARE * video.identity.size_bytes / max(1, keys))))
    out = []
    for part in parts:
        first = index.search_timestamp(video.ticks(part.key_s))
        if first < 0:
            continue
        start, size = index[first].pos, index[first].size
        end = start + (size or guess)
        if part.fills:
            last = index.search_timestamp(video.ticks(part.fills[-1].pts_s), backward=False, any_frame=True)
            end = max(end, index[last].pos + index[last].size) if last >= 0 else end
        out.append((start, min(end, video.identity.size_bytes)))
    return out


class Run:
    """Tracks one stretch: the planned frames still to come, and those for which no frame was found."""

    def __init__(self, part: Stretch, again: bool = False) -> None:
        """`again`: leaving out all B pictures did not do."""
        self.part, self.again = part, again
        self.targets = list(part.fills)
        self.missing: list[PlannedFrame] = []
        self.key_due = part.wants_key
        self.stopped = False
        """Whether it ended early, because a picture needs one that was left out."""
        self.seen: list[float] = []
        """Times of all packets that went into the decoder."""
        self.reached = False
        """Whether one of them is as late as the last planned frame."""
        self.times = [fill.pts_s for fill in part.fills]
        self.leeway_s = min((fill.tolerance_s for fill in part.fills), default=0.0)

    def see(self, time_s: float) -> None:
        """Takes note of a packet for the decoder."""
        self.seen.append(time_s)
        self.reached |= not self.times or time_s >= self.times[-1]

    def settle(self, found: Decoded | None) -> Decoded | None:
        """Returns the frame for the next target if it is near enough, or as near as any packet seen; else None."""
        target = self.targets.pop(0)
        if found is not None:
            off_s = abs(found.pts_s - target.pts_s)
            if off_s <= target.tolerance_s:
                return found
            if off_s <= min((abs(time_s - target.pts_s) for time_s in self.seen), default=off_s) + 1e-6:
                return found
        self.missing.append(target)
        return None

    def sparse(self, frame_s: float) -> bool:
        """Whether the tolerance spans so many frames that every B picture may be skipped."""
        return not self.again and self.leeway_s > SKIPPING_B_FRAMES * frame_s

    def needs(self, time_s: float, frame_s: float) -> bool:
        """Whether an unreferenced frame at this time may be the one for a planned frame."""
        if self.leeway_s > SKIPPING_FRAMES * frame_s:
            return False
        after = bisect_left(self.times, time_s - 1.05 * frame_s)
        return after < len(self.times) and self.times[after] <= time_s + 1.05 * frame_s


def nearest(time_s: float, before: Decoded | None, after: Decoded) -> Decoded:
    if before is not None and time_s - before.pts_s <= after.pts_s - time_s:
        return before
    return after


class Clock:
    """Gives presentation times if they ascend as they should, or decode times if those have fewer faults.

    Frames leave a decoder in the order they are shown. AVI files with packed B-frames have pairs of times swapped.
    FFmpeg guesses in the same way (best_effort_timestamp), but PyAV does not pass its guess on. Each stretch is judged
    anew: a frame's time must not depend on what its decoder did before.
    """

    def __init__(self, guessed: bool = False) -> None:
        """`guessed`: the container has no presentation times, so those that there are count as one fault."""
        self._guessed = guessed
        self.restart()

    def restart(self) -> None:
        self.last: list[int | None] = [None, None]
        self.faults = [int(self._guessed), 0]

    def ticks(self, pts: int | None, dts: int | None) -> int | None:
        for which, ticks in enumerate((pts, dts)):
            last = self.last[which]
            if ticks is not None:
                self.faults[which] += last is not None and ticks <= last
                self.last[which] = ticks
        if pts is not None and (dts is None or self.faults[0] <= self.faults[1]):
            return pts
        return dts
