"""Decides how videos are read. Not part of the tagger, so that a worker can begin before numpy is imported."""

from __future__ import annotations

from dataclasses import replace

from nsnet_cli.media import InputSpec, ReadOptions
from nsnet_cli.policies import POLICIES
from nsnet_cli.types import TagOptions
from nsnet_cli.weights.checkpoint import Checkpoint


def preview_view(checkpoint: Checkpoint) -> InputSpec:
    """Returns what the preview's frames are decoded to.

    A recogniser of single frames takes the same frames. Clips are read apart from the preview: it is then made as for
    the default checkpoint, twice as large as the preview network's input, and pooled.
    """
    view = checkpoint.recogniser.input
    return view if view.frames == 1 else replace(checkpoint.preview.input, size_px=2 * checkpoint.preview.size_px)


def read_options(
    checkpoint: Checkpoint, options: TagOptions, *, jpegs: bool, threads: int, in_rounds: bool = False
) -> ReadOptions:
    """Returns how to read videos for this checkpoint and these options.

    `in_rounds`: look closely only where something is salient, if the policy tells where that is.
    """
    alone = POLICIES[options.policy].known_ahead and options.budget is None
    most = options.frames if alone else options.preview
    found = ReadOptions.of(
        preview_view(checkpoint),
        max_frames=most,
        even=alone,
        decoder=options.decoder,
        threads=threads,
        jpegs=jpegs,
        in_rounds=in_rounds and POLICIES[options.policy].looks,
    )
    return replace(found, min_frames=min(found.min_frames, most))
