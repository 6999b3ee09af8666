"""One video's way: read the preview, score its frames, choose K, recognise them, say what was seen and what it cost."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from nsnet_cli.answer import answer
from nsnet_cli.errors import UsageError, VideoError
from nsnet_cli.media import ReadOptions
from nsnet_cli.nets.build import build_engine
from nsnet_cli.nets.engine import Engine, check_not_forked
from nsnet_cli.policies import POLICIES, Seen, select
from nsnet_cli.reading import read_options
from nsnet_cli.selection import Budget, confidence, settled
from nsnet_cli.stages import Choice, Looked, Preview, Scores
from nsnet_cli.types import ALGORITHM_VERSION, SCHEMA_VERSION, ModelInfo, TagOptions, VideoResult
from nsnet_cli.video import open_video
from nsnet_cli.video.reader import VideoReader
from nsnet_cli.weights.checkpoint import Checkpoint, resolve_checkpoint
from nsnet_cli.weights.vocabulary import load_vocabulary

Opener = Callable[[Path, ReadOptions], VideoReader]
"""Where videos are read: `open_video` in this process, `DecodePool.open` in processes that can be killed."""
Views = Callable[[np.ndarray], np.ndarray]
"""Pixels (K, S, S, 3), or (K, F, S, S, 3) of clips, of the preview frames with these indices (K,)."""
logger = logging.getLogger(__name__)


class Tagger:
    """Tags videos with one checkpoint and one set of options. Safe to use from several threads."""

    def __init__(
        self, checkpoint: Checkpoint, engine: Engine, options: TagOptions, *, read: ReadOptions | None = None
    ) -> None:
        """`read`: how videos are read; None follows from checkpoint and options."""
        self.checkpoint = checkpoint
        self.engine = engine
        self.options = options
        self.budget = Budget.parse(options.budget) if options.budget else None
        self.read_options = read or read_options(checkpoint, options, jpegs=False, threads=1)
        preview = checkpoint.preview.network
        self.preview_vocabulary = load_vocabulary(preview.vocabulary)
        self._made_by = os.getpid()
        self._lanes = ThreadPoolExecutor(engine.lanes, thread_name_prefix="lane")

    @classmethod
    def from_checkpoint(
        cls,
        name: str | Checkpoint = "imagenet-lite",
        options: TagOptions | None = None,
        *,
        device: str = "auto",
        read: ReadOptions | None = None,
    ) -> Tagger:
        """A tagger for a checkpoint: downloads what is not here, exports what this machine has not run yet.

        Args:
            name: A registry name, a checkpoint folder, hub:owner/name@revision, or a checkpoint that is resolved.
            options: How to sample and what to keep; None: as the checkpoint was made for.
            device: auto, cpu, torch-cpu, cuda or mps.
            read: How videos are read; None follows from checkpoint and options.

        Raises:
            UsageError: The options contradict each other.
            WeightsError: The checkpoint is unknown, missing or damaged.
            DeviceError: The device is not there.

        Example:
            tagger = Tagger.from_checkpoint("imagenet-lite", TagOptions(top_k=3))
            print(tagger.tag("clip.mp4").tags)
        """
        checkpoint = resolve_checkpoint(name) if isinstance(name, str) else name
        options = checked(options or TagOptions(frames=checkpoint.frames, preview=checkpoint.preview_frames))
        if POLICIES[options.policy].sampler and checkpoint.sampler is None:
            why = checkpoint.sampler_note or "no sampler is trained"
            logger.info("%s: %s; using --policy confidence", checkpoint.name, why)
            options = replace(options, policy="confidence")
        return cls(checkpoint, build_engine(checkpoint, device), options, read=read)

    def tag(self, path: str | Path, *, open: Opener = open_video) -> VideoResult:
        """Tag one video.

        Args:
            path: The video.
            open: What reads it: by default in this process, without protection from damaged files. `DecodePool.open`
                reads in a process that can be killed.

        Returns:
            The result, with status "ok".

        Raises:
            VideoError: The video cannot be tagged; `kind` says why.
        """
        check_not_forked(self._made_by)
        started = time.perf_counter()
        with open(Path(path), self.read_options) as video:
            preview = self._preview(Path(path), video)
            if self.engine.input.frames == 1:
                video.close()  # all pixels are in hand: its process can go on to the next video
            saliency = self._saliency(preview)
            chosen = self._choose(preview, saliency, self._views(preview, video), started)
        return answer(
            preview,
            saliency,
            chosen,
            self.options,
            self.model,
            self.checkpoint.vocabulary,
            self.preview_vocabulary,
            self.engine.cost,
            time.perf_counter() - started,
        )

    def try_tag(self, path: str | Path, *, open: Opener = open_video) -> VideoResult:
        """As `tag`, but a video that cannot be tagged is a result with status 'error'."""
        try:
            return self.tag(path, open=open)
        except VideoError as error:
            return VideoResult.failed(str(path), error.kind, str(error), self.model)

    @property
    def model(self) -> ModelInfo:
        return ModelInfo(self.checkpoint.name, self.checkpoint.hash)

    def fingerprint(self, path: str | Path) -> str:
        """16 hex digits over all that can change the result: the file's size and mtime, what tags it, and how."""
        stat = Path(path).stat()
        how = [ALGORITHM_VERSION, self.engine.name, self.engine.precision, SCHEMA_VERSION]
        parts = [stat.st_size, stat.st_mtime_ns, self.checkpoint.hash, asdict(self.options), *how]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    # ---- the stages, in order ----

    def _preview(self, path: Path, video: VideoReader) -> Preview:
        """Read the planned frames; the preview network runs on each batch while the next ones are decoded."""
        looks = POLICIES[self.options.policy].looks
        batches, waiting = [], []
        for batch in video.preview():
            batches.append(batch)
            if looks:
                waiting.append(self._lanes.submit(self._look, batch.pixels))
        if not batches:
            raise VideoError(f"{path}: no frame could be decoded", "is the file whole?", kind="no_frames")
        pts_s = np.concatenate([batch.pts_s for batch in batches])
        order = np.argsort(pts_s, kind="stable")
        looked = [future.result() for future in waiting]
        frames = [frame for batch in batches for frame in batch.pixels]
        jpegs = [jpeg for batch in batches for jpeg in batch.jpegs]
        return Preview(
            path=path,
            info=video.info,
            plan=video.plan,
            report=video.report,
            pixels=tuple(frames[i] for i in order),
            pts_s=pts_s[order],
            jpegs=tuple(jpegs[i] for i in order) if jpegs else (),
            features=np.concatenate([look.features for look in looked])[order] if looks else None,
            logits=np.concatenate([look.logits for look in looked])[order] if looks else None,
            seconds=sum(look.seconds for look in looked),
        )

    def _look(self, pixels: np.ndarray) -> Looked:
        self.engine.load()
        start = time.perf_counter()
        return Looked(*self.engine.preview(pixels), time.perf_counter() - start)

    def _saliency(self, preview: Preview) -> Scores:
        start = time.perf_counter()
        count = len(preview.pts_s)
        if preview.features is None or preview.logits is None:
            return Scores(np.ones(count), None, None, None, 0.0)
        sure, best = confidence(preview.logits), preview.logits.argmax(1)
        policy, out, seen = POLICIES[self.options.policy], None, Seen(sure)
        if policy.sampler:
            out = self.engine.saliency(preview.features, preview.logits, preview.times())
            seen = Seen(sure, out.fsm, out.vgm, out.combined)
        assert policy.score is not None
        saliency = policy.score(seen)
        assert saliency is not None
        return Scores(saliency, out, sure, best, time.perf_counter() - start)

    def _choose(self, preview: Preview, scores: Scores, views: Views, started: float) -> Choice:
        """Which frames the recogniser sees, and what it says; with a budget, only until the answer is settled.

        A budget of seconds is told by the clock since the video was `started`: decoding and the preview overlap, so
        that their seconds do not add up to it.
        """
        start = time.perf_counter()
        policy, count = self.options.policy, len(preview.pts_s)
        most = self.budget.most_frames(count) if self.budget else self.options.frames
        order = select(policy, scores.saliency, preview.pts_s, most, features=preview.features, seed=self.options.seed)
        if self.budget is None:
            frame_scores = self._recognise(views, order)
            return Choice(order, frame_scores, None, time.perf_counter() - start)
        deadline = started + (self.budget.seconds or np.inf)
        frame_scores, stopped = np.empty((0, len(self.checkpoint.vocabulary)), np.float32), self.budget.reason()
        for n in range(len(order)):
            new = self._recognise(views, order[n : n + 1])
            frame_scores = np.concatenate([frame_scores, new])
            if settled(frame_scores, scores.saliency[order[: n + 1]]):
                stopped = "settled"
                break
            if time.perf_counter() > deadline:
                break
        return Choice(order[: len(frame_scores)], frame_scores, stopped, time.perf_counter() - start)

    def _views(self, preview: Preview, video: VideoReader) -> Views:
        """What the recogniser looks at: single frames are in hand, clips are read around them."""
        spec = self.engine.input
        if spec.frames == 1:
            return lambda chosen: np.stack([preview.pixels[i] for i in chosen])
        return lambda chosen: video.views([float(preview.pts_s[i]) for i in chosen], spec).pixels

    def _recognise(self, views: Views, chosen: np.ndarray) -> np.ndarray:
        """Scores (K, C) of the chosen frames. At most 32 in a batch: a dense policy may choose every frame."""
        parts = np.array_split(chosen, max(min(self.engine.lanes, len(chosen)), math.ceil(len(chosen) / 32)))
        seen = [views(part) for part in parts]
        return np.concatenate(list(self._lanes.map(self._scored, seen)))

    def _scored(self, views: np.ndarray) -> np.ndarray:
        return self.checkpoint.head.scores(*self.engine.recognise(views))


def checked(options: TagOptions) -> TagOptions:
    """The same options, or UsageError where two of them contradict each other; each checked itself (types.py)."""
    if options.policy not in POLICIES:
        raise UsageError(f"--policy {options.policy!r} is not a policy", f"known: {', '.join(POLICIES)}")
    if options.frames > options.preview and not POLICIES[options.policy].known_ahead:
        raise UsageError(
            f"--frames {options.frames} is more than --preview {options.preview}", "recognise fewer frames"
        )
    return options
