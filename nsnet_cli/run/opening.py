"""How a tagger is opened: checkpoint, options and read options are resolved once, before numpy is imported."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nsnet_cli.media import Decoder, ReadOptions
from nsnet_cli.reading import read_options
from nsnet_cli.types import TagOptions
from nsnet_cli.weights.checkpoint import Checkpoint, resolve_checkpoint

if TYPE_CHECKING:
    from nsnet_cli.run.jobs import Finished, Job
    from nsnet_cli.tagger import Tagger

_DEFAULT = TagOptions()


@dataclass(frozen=True, slots=True)
class Asked:
    """What a user asked of a tagger. None: as the checkpoint was made for."""

    checkpoint: str = "imagenet-lite"
    policy: str = _DEFAULT.policy
    frames: int | None = None
    preview: int | None = None
    budget: str | None = None
    seed: int = _DEFAULT.seed
    top_k: int = _DEFAULT.top_k
    threshold: float = _DEFAULT.threshold
    decoder: Decoder = _DEFAULT.decoder
    device: str = "auto"

    def options(self, checkpoint: Checkpoint) -> TagOptions:
        """Raises UsageError naming what cannot be carried out."""
        return TagOptions(
            policy=self.policy,
            frames=self.frames or checkpoint.frames,
            preview=self.preview or max(checkpoint.preview_frames, self.frames or 0),
            budget=self.budget or None,
            seed=self.seed,
            top_k=self.top_k,
            threshold=self.threshold,
            decoder=self.decoder,
        )


@dataclass(frozen=True, slots=True)
class Opening:
    """A tagger that is still to be made. A decode process can be asked for a video with `read` by then."""

    checkpoint: Checkpoint
    options: TagOptions
    read: ReadOptions
    device: str

    def tagger(self) -> Tagger:
        """Raises UsageError, WeightsError, DeviceError."""
        from nsnet_cli.tagger import Tagger

        return Tagger.from_checkpoint(self.checkpoint, self.options, device=self.device, read=self.read)

    def one_by_one(self, jobs: Sequence[Job], timeout_s: float | None) -> Iterator[Finished]:
        """The rows of `jobs`, one video at a time, all cores on it. Close it."""
        from nsnet_cli.run import batch
        from nsnet_cli.video.pool import DecodePool

        pool = DecodePool(timeout_s=timeout_s)
        if jobs[0].error is None:
            pool.open_ahead(Path(jobs[0].path), self.read)  # it is decoded while the networks load
        try:
            tagger = self.tagger()
        except BaseException:
            pool.close()
            raise
        return batch.run(tagger, jobs, pool=pool, threads=1, timeout_s=timeout_s)


def prepare(asked: Asked, *, jpegs: bool = False, threads: int = 1) -> Opening:
    """Resolve what was asked. `jpegs`: also keep each preview frame as a picture. `threads`: decoders of one video.

    Raises UsageError, WeightsError.
    """
    checkpoint = resolve_checkpoint(asked.checkpoint)
    options = asked.options(checkpoint)
    return Opening(checkpoint, options, read_options(checkpoint, options, jpegs=jpegs, threads=threads), asked.device)
