"""Decides how videos are read. Not part of the tagger, so that a worker can begin before numpy is imported."""

from __future__ import annotations

from dataclasses import replace

from nsnet_cli.media import ReadOptions
from nsnet_cli.policies import POLICIES
from nsnet_cli.types import TagOptions
from nsnet_cli.weights.checkpoint import Checkpoint


def read_options(checkpoint: Checkpoint, options: TagOptions, *, jpegs: bool, threads: int) -> ReadOptions:
    """Returns how to read videos for this checkpoint and these options."""
    alone = POLICIES[options.policy].known_ahead and options.budget is None
    most = options.frames if alone else options.preview
    found = ReadOptions.of(
        checkpoint.recogniser.input,
        max_frames=most,
        even=alone,
        decoder=options.decoder,
        threads=threads,
        jpegs=jpegs,
    )
    return replace(found, min_frames=min(found.min_frames, most))
