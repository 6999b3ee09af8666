"""Opens a tagger: checkpoint, options and read options are resolved once, before numpy is imported."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from nsnet_cli.errors import UsageError
from nsnet_cli.media import Decoder, ReadOptions
from nsnet_cli.reading import read_options
from nsnet_cli.records import dataclass
from nsnet_cli.types import IndexFrames, TagOptions
from nsnet_cli.weights.checkpoint import ANY_WORDS, Checkpoint, resolve_checkpoint
from nsnet_cli.weights.text_head import TextHead
from nsnet_cli.weights.wordlist import WordList

if TYPE_CHECKING:
    from nsnet_cli.run.jobs import Finished, Job
    from nsnet_cli.tagger import Tagger

_DEFAULT = TagOptions()


@dataclass(frozen=True, slots=True)
class Asked:
    """A user's settings for a tagger. None: the checkpoint's default."""

    checkpoint: str = "imagenet-lite"
    policy: str = _DEFAULT.policy
    frames: int | None = None
    preview: int | None = None
    budget: str | None = None
    seed: int = _DEFAULT.seed
    top_k: int = _DEFAULT.top_k
    threshold: float = _DEFAULT.threshold
    precision: float = _DEFAULT.precision
    decoder: Decoder = _DEFAULT.decoder
    device: str = "auto"
    words: WordList | None = None
    """What a checkpoint for any words looks for."""
    index_frames: IndexFrames = "salient"
    fast: bool = False
    """Whether the CPU computes with less precision."""

    def shown(self) -> TagOptions:
        """Returns options of which only those count that choose what is shown. Raises UsageError for a wrong one."""
        return TagOptions(top_k=self.top_k, threshold=self.threshold, precision=self.precision)

    def options(self, checkpoint: Checkpoint) -> TagOptions:
        """Returns the options for a checkpoint. Raises UsageError that names a wrong one."""
        return TagOptions(
            policy=self.policy,
            frames=self.frames or checkpoint.frames,
            preview=self.preview or max(checkpoint.preview_frames, self.frames or 0),
            budget=self.budget or None,
            seed=self.seed,
            top_k=self.top_k,
            threshold=self.threshold,
            precision=self.precision,
            decoder=self.decoder,
        )


@dataclass(frozen=True, slots=True)
class Opening:
    """A tagger that is still to be made. A decode process can already read a video with `read`."""

    checkpoint: Checkpoint
    options: TagOptions
    read: ReadOptions
    device: str
    keep: bool = False
    """Whether results carry what is kept of a look."""
    embed_all: bool = False
    """Whether an image-text checkpoint embeds all preview frames for these."""
    fast: bool = False

    def tagger(self, videos: int | None = None) -> Tagger:
        """Makes the tagger. `videos`: how many it will tag. Raises UsageError, WeightsError, DeviceError."""
        from nsnet_cli.tagger import Tagger

        return Tagger.from_checkpoint(
            self.checkpoint,
            self.options,
            device=self.device,
            read=self.read,
            keep=self.keep,
            embed_all=self.embed_all,
            videos=videos,
            fast=self.fast,
        )

    def one_by_one(self, jobs: Sequence[Job], timeout_s: float | None) -> Iterator[Finished]:
        """Yields the rows of `jobs`, one video at a time on all cores. The iterator must be closed."""
        from nsnet_cli.run import batch
        from nsnet_cli.video.pool import DecodePool

        pool = DecodePool(timeout_s=timeout_s)
        if jobs[0].error is None:
            pool.open_ahead(jobs[0].place, self.read)  # it is decoded while the networks load
        try:
            tagger = self.tagger(len(jobs))
        except BaseException:
            pool.close()
            raise
        return batch.run(tagger, jobs, pool=pool, threads=1, timeout_s=timeout_s)


def prepare(asked: Asked, *, jpegs: bool = False, threads: int = 1, keep: bool = False) -> Opening:
    """Resolves a user's settings. Raises UsageError, WeightsError.

    `jpegs`: also keep each preview frame as a picture. `threads`: decoders per video. `keep`: results carry what is
    kept of a look.
    """
    checkpoint = resolve_checkpoint(asked.checkpoint, words=asked.words)
    options = asked.options(checkpoint)
    embed_all = asked.index_frames == "all"
    read = read_options(checkpoint, options, jpegs=jpegs, threads=threads, in_rounds=not embed_all)
    if embed_all and not isinstance(checkpoint.head, TextHead):
        raise UsageError(f"--index-frames all needs a checkpoint for any words; {asked.checkpoint} is none", ANY_WORDS)
    return Opening(checkpoint, options, read, asked.device, keep, embed_all, asked.fast)
