"""Words and numbers that the views share: clock times, costs, and the time that a preview frame covers."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

from nsnet_cli.policies import POLICIES
from nsnet_cli.storage.urls import is_url
from nsnet_cli.text import harmless
from nsnet_cli.types import VideoResult


def clock(seconds: float, decimals: int = 1) -> str:
    """12.44 -> '0:12.4', 3723 -> '1:02:03.0'; rounded first, so that 59.99 becomes 1:00.0."""
    ticks = round(max(seconds, 0.0) * 10**decimals)
    whole, fraction = divmod(ticks, 10**decimals)
    hours, rest = divmod(whole, 3600)
    minutes, secs = divmod(rest, 60)
    text = f"{hours}:{minutes:02d}:{secs:02d}" if hours else f"{minutes}:{secs:02d}"
    return f"{text}.{fraction:0{decimals}d}" if decimals else text


def plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def duration_s(result: VideoResult) -> float:
    """Length of the time axis: the container's duration, or the last preview frame if that is later."""
    last = result.frames[-1].pts_s if result.frames else max((f.pts_s for f in result.salient_frames), default=0.0)
    known = result.duration_s if result.duration_s is not None and math.isfinite(result.duration_s) else 0.0
    return max(known, last, 1e-3)


def covered(result: VideoResult) -> list[tuple[float, float]]:
    """The (start_s, end_s) that each preview frame covers: half way to its neighbours, or to the video's ends."""
    times = [frame.pts_s for frame in result.frames]
    if not times:
        return []
    middles = [(a + b) / 2 for a, b in pairwise(times)]
    return list(zip([0.0, *middles], [*middles, duration_s(result)], strict=True))


def is_scored(result: VideoResult) -> bool:
    """Whether the policy scored the frames. Policies that choose without looking do not."""
    policy = POLICIES.get(result.sampling.policy) if result.sampling else None
    return bool(result.frames) and (policy is None or policy.looks)


def saliency_mass(result: VideoResult) -> float | None:
    """Mean saliency over time, in [0, 1]: the salient share of the video. None if no frame was scored."""
    parts = covered(result)
    if not is_scored(result):
        return None
    total = sum(end - start for start, end in parts)
    weighted = sum(f.saliency * (end - start) for f, (start, end) in zip(result.frames, parts, strict=True))
    return weighted / total if total > 0 else result.frames[0].saliency


def columns(times: Sequence[float], values: Sequence[float], end_s: float, count: int) -> list[float]:
    """`values` at `times`, drawn on `count` columns over [0, end_s].

    A column has the highest of its frames, or lies on the straight line between frames if it has none. So no peak is
    lost, and none is invented.
    """
    import numpy as np

    edges = np.linspace(0, end_s, count + 1)
    out = np.interp((edges[:-1] + edges[1:]) / 2, times, values)
    filled = np.full(count, -1.0)
    where = np.clip((np.asarray(times) / end_s * count).astype(int), 0, count - 1)
    np.maximum.at(filled, where, values)
    return [float(v) for v in np.clip(np.where(filled >= 0, filled, out), 0, 1)]


def poster_frame(result: VideoResult) -> int | None:
    """Index of the most salient frame, of the chosen ones if there are any."""
    if not result.frames:
        return None
    return max(range(len(result.frames)), key=lambda i: (result.frames[i].chosen, result.frames[i].saliency))


def axis_ticks(end_s: float, most: int) -> list[float]:
    """At most `most` + 1 round times from 0 to `end_s`: steps of 1, 2, 5, 10, 15, 30 s, minutes, hours."""
    steps = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
    step = next((s for s in steps if end_s / s <= max(most, 1)), end_s)
    return [k * step for k in range(int(end_s / step + 1e-9) + 1)]


def cost_words(result: VideoResult) -> str | None:
    """'6.8 GFLOPs, 3.8 times less than dense (26.1: the recogniser on all 29 preview frames)'."""
    cost, sampling = result.cost, result.sampling
    if cost is None or cost.gflops <= 0:
        return None
    words = f"{cost.gflops:.1f} GFLOPs"
    if cost.dense_gflops <= 0:
        return words
    ratio = cost.dense_gflops / cost.gflops
    against = f"{ratio:.1f} times less than" if ratio >= 1.05 else "as much as" if ratio > 0.95 else "more than"
    count = f"all {sampling.preview_frames} preview frames" if sampling else "every preview frame"
    return f"{words}, {against} dense ({cost.dense_gflops:.1f}: the recogniser on {count})"


def facts(result: VideoResult) -> list[str]:
    """Short facts about the video and its sampling: '0:29.1', '640×360', 'h264', ..."""
    pieces = [clock(result.duration_s)] if result.duration_s is not None else []
    if result.info is not None:
        pieces += [f"{result.info.width_px}×{result.info.height_px}", harmless(result.info.codec)]
    if result.sampling is not None:
        s = result.sampling
        pieces.append(f"{plural(s.preview_frames, 'preview frame')}, {s.salient_frames} recognised")
        if s.policy != "nsnet":
            pieces.append(f"policy {s.policy}")
    return pieces


def relative_url(target: str, directory: Path) -> str:
    """`target` as a percent-encoded link from a page in `directory`; a file URI if no relative link is possible."""
    if is_url(target):
        return target
    path = Path(target).absolute()
    try:
        text = Path(os.path.relpath(path, directory.absolute())).as_posix()
    except ValueError:  # another drive on Windows
        return path.as_uri()
    return quote(os.fsencode(f"./{text}" if ":" in text.split("/")[0] else text))
