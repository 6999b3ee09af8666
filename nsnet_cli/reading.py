"""What the video room is asked for. Not in the tagger, so that a worker can be asked before numpy is imported."""

from __future__ import annotations

from dataclasses import replace

from nsnet_cli.policies import POLICIES
from nsnet_cli.types import ReadOptions, TagOptions
from nsnet_cli.weights.checkpoint import Checkpoint


def read_options(checkpoint: Checkpoint, options: TagOptions, *, jpegs: bool, threads: int) -> ReadOptions:
    """What the video room is asked for."""
    network = checkpoint.recogniser.network
    alone = POLICIES[options.policy].known_ahead and options.budget is None
    most = options.frames if alone else options.preview
    defaults = ReadOptions(size_px=checkpoint.recogniser.size_px)
    return replace(
        defaults,
        crop=network.crop,
        interpolation=network.interpolation,
        max_frames=most,
        min_frames=min(defaults.min_frames, most),
        even=alone,
        decoder=options.decoder,
        threads=threads,
        jpegs=jpegs,
    )
