"""Tags one video: reads the preview, scores its frames, chooses K, recognises them, returns tags and cost."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from nsnet_cli.answer import answer
from nsnet_cli.errors import UsageError, VideoError
from nsnet_cli.fingerprint import Way
from nsnet_cli.kept import Kept
from nsnet_cli.media import ReadOptions
from nsnet_cli.nets.auto import Workload
from nsnet_cli.nets.build import build_engine
from nsnet_cli.nets.engine import Engine, check_not_forked
from nsnet_cli.outputs.kept_results import pack
from nsnet_cli.policies import POLICIES, Seen, select
from nsnet_cli.presence import Judge
from nsnet_cli.previewing import Later, Looking, Previewing, distinct
from nsnet_cli.reading import read_options
from nsnet_cli.render import render
from nsnet_cli.selection import Budget, confidence
from nsnet_cli.stages import Choice, Looked, Preview, Scores
from nsnet_cli.stopping import Stopping
from nsnet_cli.stopwatch import stage
from nsnet_cli.storage.urls import Place, located
from nsnet_cli.types import ModelInfo, TagOptions, VideoResult
from nsnet_cli.video import open_video
from nsnet_cli.video.reader import VideoReader
from nsnet_cli.viewing import Views, worth_a_clip
from nsnet_cli.weights.checkpoint import Checkpoint, resolve_checkpoint
from nsnet_cli.weights.projection import load_projection
from nsnet_cli.weights.text_head import TextHead
from nsnet_cli.weights.vocabulary import load_vocabulary

Opener = Callable[[Place, ReadOptions], VideoReader]
"""Opens a video: `open_video` in this process, `DecodePool.open` in a process that can be killed."""
MOST_FRAMES = 32
"""Most frames in a batch for the recogniser: a dense policy chooses every frame."""
logger = logging.getLogger(__name__)


class Tagger:
    """Tags videos with one checkpoint and one set of options. Safe to use from several threads."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        engine: Engine,
        options: TagOptions,
        *,
        read: ReadOptions | None = None,
        keep: bool = False,
        embed_all: bool = False,
    ) -> None:
        """`read`: how videos are read. None: as checkpoint and options require.

        `keep`: results carry what is kept of a look, in `VideoResult.kept`. `embed_all`: an image-text checkpoint then
        embeds all preview frames, not only the salient ones.
        """
        self.checkpoint = checkpoint
        self.engine = engine
        self.options = options
        self.budget = Budget.parse(options.budget) if options.budget else None
        self.read_options = read or read_options(checkpoint, options, jpegs=False, threads=1, in_rounds=not embed_all)
        self.preview_vocabulary = load_vocabulary(checkpoint.preview.network.vocabulary)
        self.judge = Judge.of(checkpoint)
        self.projection = load_projection(checkpoint, engine.widths[0]) if keep else None
        self.tower = checkpoint.head.tower if keep and isinstance(checkpoint.head, TextHead) else None
        self.embed_all = embed_all and self.tower is not None
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
        keep: bool = False,
        embed_all: bool = False,
        videos: int | None = None,
        fast: bool = False,
    ) -> Tagger:
        """Returns a tagger for a checkpoint. Downloads and exports its networks on first use.

        Args:
            name: A registry name, a checkpoint folder, hub:owner/name@revision, or a resolved checkpoint.
            options: How to sample and what to keep. None: the checkpoint's defaults.
            device: auto, cpu, torch-cpu, cuda or mps.
            read: How videos are read. None: as checkpoint and options require.
            keep: Whether results carry what is kept of a look (`VideoResult.kept`), for later questions.
            embed_all: Whether an image-text checkpoint embeds all preview frames for these, not only the salient ones.
            videos: How many videos it will tag, for `auto`: a GPU takes seconds to start. None: some, not known.
            fast: Whether the CPU computes with less precision: in bf16 if it can, else the preview in 8 bits.

        Raises:
            UsageError: The options contradict each other.
            WeightsError: The checkpoint is unknown, missing or damaged.
            DeviceError: The device is not available.

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
        engine = build_engine(checkpoint, device, Workload.of(options, videos, embed_all=embed_all), fast=fast)
        tagger = cls(checkpoint, engine, options, read=read, keep=keep, embed_all=embed_all)
        tagger.judge.prepare()
        if options.precision and (reason := tagger.judge.never_certain(checkpoint, options.policy)):
            logger.info("%s: %s", checkpoint.name, reason)
        return tagger

    def tag(self, path: str | Place, *, open: Opener = open_video) -> VideoResult:
        """Tag one video.

        Args:
            path: The video, or its URL.
            open: Opens the video: by default in this process, without protection from damaged files; `DecodePool.open`
                opens it in a process that can be killed.

        Returns:
            The result, with status "ok".

        Raises:
            VideoError: The video cannot be tagged; `kind` says why.
        """
        check_not_forked(self._made_by)
        started = time.perf_counter()
        with open(located(path), self.read_options) as video:
            preview, saliency = self._preview(located(path), video)
            if self.engine.input.frames == 1:
                video.close()  # all pixels are read: its process can go on to the next video
            chosen = self._choose(preview, saliency, video, started)
        with stage("answers"):
            how = self.options, self.model, self.judge, self.preview_vocabulary, self.engine.cost
            kept = answer(preview, saliency, chosen, *how, time.perf_counter() - started)
            kept = self._with_embeddings(kept, preview, chosen)
            result = replace(render(kept, self.options, str(path)), jpegs=preview.jpegs)
            return result if self.projection is None else replace(result, kept=pack(kept))

    def try_tag(self, path: str | Place, *, open: Opener = open_video) -> VideoResult:
        """Tags one video, as `tag` does. If it cannot be tagged, the result has status "error"."""
        try:
            return self.tag(path, open=open)
        except VideoError as error:
            return VideoResult.failed(str(path), error.kind, str(error), self.model)

    @property
    def model(self) -> ModelInfo:
        return ModelInfo(self.checkpoint.name, self.checkpoint.hash)

    @property
    def way(self) -> Way:
        """How it looks at videos."""
        return Way(
            self.options,
            self.checkpoint.hash,
            self.engine.name,
            self.engine.precision,
            self.projection.identity if self.projection else None,
            self.embed_all,
        )

    def fingerprint(self, path: str | Place) -> str:
        """Returns 16 hex digits, a hash of all that can change what is seen in a video. See `Way.fingerprint`."""
        return self.way.fingerprint(path)

    # ---- the stages, in order ----

    def _preview(self, path: Place, video: VideoReader) -> tuple[Preview, Scores]:
        """Reads and scores the planned frames; then also those beside the frames that would be chosen, if left out."""
        policy = POLICIES[self.options.policy]
        previewing = Previewing(path, video, Looking(self._lanes, self._look) if policy.looks else None)
        preview = previewing.read(video.preview())
        scores, later = self._saliency(preview), Later(video.plan.later)
        while later.count:
            features = preview.features
            best = select(policy.name, scores.saliency, preview.pts_s, self.options.frames, features=features)
            wanted = later.beside(best, scores.saliency, preview)
            if not wanted and len(preview.pts_s) < self._asked(len(preview.pts_s) + later.count):
                wanted = later.rest()
            if not wanted:
                break
            preview, before_s = previewing.read(video.more(wanted)), scores.seconds
            scores = self._saliency(preview)
            scores = replace(scores, seconds=scores.seconds + before_s)
        return replace(preview, left=later.count), scores

    def _asked(self, planned: int) -> int:
        """Returns how many of the `planned` preview frames the recogniser is to see. A clock may allow more."""
        if self.budget is None or self.budget.seconds:
            return self.options.frames
        return self.budget.most_frames(planned)

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

    def _choose(self, preview: Preview, scores: Scores, video: VideoReader, started: float) -> Choice:
        """Chooses frames and recognises them. With a budget it stops once the tags are settled.

        A budget in seconds is measured from `started`: decoding and preview overlap, so their seconds cannot be added.
        """
        start = time.perf_counter()
        planned = len(preview.pts_s) + preview.left
        most = planned if self.budget and self.budget.seconds else self._asked(planned)
        order = self._order(preview, scores, most)
        views = Views(preview, scores.saliency, order, self.engine.input, video)
        if self.budget is None:
            (found, features), stopped = self._recognise(views, 0, len(order)), None
        else:
            found, features, stopped = self._recognise_until_settled(preview, scores, order, views, started)
        spans_s = None if views.spans_s is None else views.spans_s[: len(found)]
        seconds = time.perf_counter() - start
        return Choice(order[: len(found)], found, stopped, seconds, spans_s, views.frames_decoded, features)

    def _order(self, preview: Preview, scores: Scores, most: int) -> np.ndarray:
        """Returns the frames to recognise (K,), the most wanted first. Clips that are nearly the same count once."""
        policy, spec = POLICIES[self.options.policy], self.engine.input
        clips = spec.frames > 1 and not policy.every_frame
        wanted = len(preview.pts_s) if clips and policy.looks else most
        saliency, options = scores.saliency, self.options
        order = select(policy.name, saliency, preview.pts_s, wanted, features=preview.features, seed=options.seed)
        if not clips:
            return order
        return worth_a_clip(order, saliency, preview.pts_s, preview.info.duration_s, spec)[:most]

    def _recognise_until_settled(
        self, preview: Preview, scores: Scores, order: np.ndarray, views: Views, started: float
    ) -> tuple[np.ndarray, np.ndarray, str]:
        """Returns scores and features of the first frames of `order`, and why these are enough. Needs a budget."""
        assert self.budget is not None
        deadline = started + (self.budget.seconds or np.inf)
        stopping = Stopping(self.judge, preview, scores, self.options.precision)
        found, features = self._recognise(views, 0, 1)
        for n in range(1, len(order) + 1):
            if stopping.enough(order[:n], found):
                return found, features, "settled"
            if n == len(order) or time.perf_counter() > deadline:
                break
            more = self._recognise(views, n, n + 1)
            found, features = np.concatenate([found, more[0]]), np.concatenate([features, more[1]])
        return found, features, self.budget.reason()

    def _recognise(self, views: Views, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns scores (n, C) and features (n, D) of these views."""
        found: list[tuple[np.ndarray, np.ndarray]] = []
        for start in range(first, last, views.most):
            pixels = views.read(start, min(start + views.most, last))
            kinds, of = distinct(pixels)
            most = max(1, MOST_FRAMES // self.engine.input.frames)
            parts = max(min(self.engine.splits, len(kinds)), math.ceil(len(kinds) / most))
            scored = zip(*self._lanes.map(self._scored, np.array_split(pixels[kinds], parts)), strict=True)
            scores, features = map(np.concatenate, scored)
            found.append((scores[of], features[of]))
        scores, features = map(np.concatenate, zip(*found, strict=True))
        return scores, features

    def _scored(self, views: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        features, logits = self.engine.recognise(views)
        return self.checkpoint.head.scores(features, logits), features

    def _with_embeddings(self, kept: Kept, preview: Preview, choice: Choice) -> Kept:
        """Returns a look with the embeddings that later questions need, if it is to be kept."""
        if self.projection is None:
            return kept
        features = None if preview.features is None else self.projection.reduced(preview.features)
        kept = replace(kept, features=features, projection=self.projection.identity)
        if self.tower is None or choice.features is None:
            return kept
        of, images = choice.frames, choice.features
        if self.embed_all and len(rest := np.setdiff1d(np.arange(len(preview.pts_s)), of)):
            start = time.perf_counter()
            of, images = np.concatenate([of, rest]), np.concatenate([images, *self._embedded(preview, rest)])
            kept = kept.with_work(len(rest) * self.engine.cost.recogniser, time.perf_counter() - start)
        order = np.argsort(of)
        return replace(
            kept, images=images[order].astype(np.float16), images_of=of[order].astype(np.int32), tower=self.tower
        )

    def _embedded(self, preview: Preview, frames: np.ndarray) -> Iterator[np.ndarray]:
        """Yields the recogniser's features of preview frames that were not chosen, in their order, batch by batch."""
        parts = np.array_split(frames, math.ceil(len(frames) / MOST_FRAMES))
        return self._lanes.map(
            lambda part: self.engine.recognise(np.stack([preview.pixels[i] for i in part]))[0], parts
        )


def checked(options: TagOptions) -> TagOptions:
    """Returns the same options. Raises UsageError if two contradict each other; types.py checks each alone."""
    if options.frames > options.preview and not POLICIES[options.policy].known_ahead:
        raise UsageError(
            f"--frames {options.frames} is more than --preview {options.preview}", "lower --frames or raise --preview"
        )
    return options
