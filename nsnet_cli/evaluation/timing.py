"""How long each stage takes, measured in the run that reports it, on a few of its videos."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from nsnet_cli.errors import VideoError
from nsnet_cli.evaluation.policies import EVALUATED
from nsnet_cli.labelled.features import Opener
from nsnet_cli.media import InputSpec, ReadOptions
from nsnet_cli.nets.engine import Engine
from nsnet_cli.records import dataclass

TIMED_VIDEOS = 3


@dataclass(frozen=True, slots=True)
class StageSeconds:
    """Seconds by stage of one video under one policy."""

    decode: float
    preview: float
    sampler: float
    recognise: float

    @property
    def total(self) -> float:
        return self.decode + self.preview + self.sampler + self.recognise


@dataclass(frozen=True, slots=True)
class MeasuredCosts:
    """Mean seconds over the timed videos: to decode a video, per frame of a network, per video of the sampler."""

    videos: int
    decode_preview_s: float
    decode_even_s: dict[int, float]
    """By K: to decode K evenly spaced frames and nothing else, as `uniform` does."""
    preview_frame_s: float
    sampler_video_s: float
    recognise_frame_s: float

    def stages(self, policy: str, k: int, previewed: float, recognised: float, *, sampler: bool) -> StageSeconds:
        """Seconds of a video with these numbers of frames previewed and recognised."""
        alone = EVALUATED[policy].known_ahead
        return StageSeconds(
            decode=self.decode_even_s[k] if alone else self.decode_preview_s,
            preview=previewed * self.preview_frame_s,
            sampler=self.sampler_video_s if sampler else 0.0,
            recognise=recognised * self.recognise_frame_s,
        )


def measure(
    paths: Sequence[Path], read: ReadOptions, ks: Sequence[int], engine: Engine, open: Opener, *, sampler: bool
) -> MeasuredCosts:
    """Times the stages on at most TIMED_VIDEOS of `paths`, spread over the list.

    A video that cannot be decoded is left out. Raises VideoError if none can.
    """
    chosen = [paths[i] for i in np.unique(np.linspace(0, len(paths) - 1, TIMED_VIDEOS).round().astype(int))]
    decode: list[float] = []
    even, preview, saliency, recognise = [], [], [], []
    for path in chosen:
        try:
            seconds, pixels = _decode(open, path, read)
            evenly = [_decode(open, path, replace(read, even=True, max_frames=k, min_frames=k))[0] for k in ks]
        except VideoError:
            if path == chosen[-1] and not decode:
                raise
            continue
        decode.append(seconds)
        even.append(evenly)
        count = max(4, *ks)
        few = pixels[:count] if engine.input.frames == 1 else black_clips(count, engine.input)
        features, logits = engine.preview(pixels)
        preview.append(_seconds(engine.preview, pixels) / len(pixels))
        engine.recognise(few)
        recognise.append(_seconds(engine.recognise, few) / len(few))
        if sampler:
            times = np.linspace(0, 1, len(pixels), dtype=np.float32)
            engine.saliency(features, logits, times)
            saliency.append(_seconds(engine.saliency, features, logits, times))
    return MeasuredCosts(
        videos=len(decode),
        decode_preview_s=float(np.mean(decode)),
        decode_even_s=dict(zip(ks, np.mean(even, axis=0).tolist(), strict=True)),
        preview_frame_s=float(np.mean(preview)),
        sampler_video_s=float(np.mean(saliency)) if saliency else 0.0,
        recognise_frame_s=float(np.mean(recognise)),
    )


def black_clips(count: int, view: InputSpec) -> np.ndarray:
    """Clips (K, F, S, S, 3) to measure a network with: what they show costs nothing more or less."""
    return np.zeros((count, view.frames, view.size_px, view.size_px, 3), np.uint8)


def _decode(open: Opener, path: Path, read: ReadOptions) -> tuple[float, np.ndarray]:
    """The decoder's seconds, and pixels (T, S, S, 3)."""
    with open(path, read) as video:
        batches = [batch.pixels for batch in video.preview()]
    return video.report.decode_s, np.concatenate(batches)


def _seconds(call: Callable[..., object], *arguments: np.ndarray) -> float:
    """Seconds of a call that was made before: the first one takes longer."""
    start = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - start
