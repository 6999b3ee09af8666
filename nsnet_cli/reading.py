"""What the video room is asked for. Not in the tagger, so that a worker can be asked before numpy is imported."""

from __future__ import annotations

from dataclasses import replace

from nsnet_cli.media import ReadOptions
from nsnet_cli.policies import POLICIES
from nsnet_cli.types import TagOptions
from nsnet_cli.weights.checkpoint import Checkpoint


def read_options(checkpoint: Checkpoint, options: TagOptions, *, jpegs: bool, threads: int) -> ReadOptions:
    """What the video room is asked for."""
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
