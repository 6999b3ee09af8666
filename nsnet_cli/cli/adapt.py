"""`nsnet adapt`: a checkpoint whose sampler has learned a user's own footage, without labels."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nsnet_cli.cli.console import Console
from nsnet_cli.cli.finding import Exclude, Hidden
from nsnet_cli.cli.options import TALKING, Command, Shared, new_app, shared

if TYPE_CHECKING:
    from nsnet_cli.adapting.footage import OwnVideo
    from nsnet_cli.adapting.run import Outcome
    from nsnet_cli.labelled.gather import ReadSettings
    from nsnet_cli.labelled.labels import LabelSet
    from nsnet_cli.weights.checkpoint import Checkpoint

app = new_app()
TRAINING = "Training"

Videos = Annotated[list[str], typer.Argument(help="Videos, folders or globs.", metavar="VIDEO...")]
Output = Annotated[
    Path, typer.Option("--output", "-o", help="Checkpoint folder to write, for nsnet tag --checkpoint.", metavar="DIR")
]
Most = Annotated[
    int,
    typer.Option(
        "--videos",
        min=4,
        help="Most videos to learn from; of more, these are taken evenly over the list.",
        metavar="N",
        rich_help_panel=TRAINING,
    ),
]


@app.command(cls=Command)
@shared(
    *("preview", "device", "decoder", "jobs", *TALKING),
    checkpoint={"help": "Checkpoint whose sampler is adapted. It must know ImageNet's tags or any words."},
    seed={"help": "The same seed gives the same weights.", "rich_help_panel": TRAINING, "envvar": None},
)
def adapt(
    videos: Videos,
    output: Output,
    most: Most = 200,
    exclude: Exclude = None,
    hidden: Hidden = False,
    *,
    shared: Shared,
) -> int:
    """Adapt a checkpoint's sampler to your footage, without labels, and write it as a checkpoint folder.

    What comes back in your videos and is never surely anything is learned as scenery. The new sampler is kept only if
    what each half of your videos teaches helps the other half, and if nothing that it knew is lost. Otherwise nothing
    is written, the reason is said, and the exit code is 0. To undo it, delete the folder.
    """
    from nsnet_cli.adapting.folder import check_adaptable
    from nsnet_cli.adapting.kept import classifier_of, kept_file, read_kept
    from nsnet_cli.adapting.run import adapt_checkpoint
    from nsnet_cli.labelled.gather import ReadSettings
    from nsnet_cli.weights.checkpoint import resolve_checkpoint

    console, base = shared.console(), resolve_checkpoint(shared.checkpoint)
    check_adaptable(base, output)
    file = kept_file(base)
    labels = _found(videos, exclude or [], hidden, most, console)
    settings = ReadSettings(shared.preview or base.preview_frames, shared.device, shared.decoder, shared.jobs)
    own = _read(labels, base, settings, console)
    kept = read_kept(file, classifier_of(base.preview))
    command = shlex.join(["nsnet", *sys.argv[1:]])
    _report(adapt_checkpoint(own, base, kept, output, seed=shared.seed, command=command), base, output, console)
    return 0


def _found(videos: list[str], exclude: list[str], hidden: bool, most: int, console: Console) -> LabelSet:
    """The videos to learn from, at most `most`, in order of their names."""
    from nsnet_cli.errors import UsageError
    from nsnet_cli.labelled.labels import LabelledVideo, LabelSet
    from nsnet_cli.run.finding import find
    from nsnet_cli.search import Search
    from nsnet_cli.storage.urls import is_url, shown

    if urls := [path for path in videos if is_url(path)]:
        raise UsageError(f"{shown(urls[0])}: adapt reads local files only", "copy some of the videos to this machine")
    found = find(videos, Search(exclude, hidden)).videos
    for video in found:
        if video.error:
            console.warn(f"{video.path}: {video.error.message}")
    paths = sorted(video.path for video in found if video.error is None)
    taken = [paths[i * len(paths) // most] for i in range(most)] if len(paths) > most else paths
    if len(taken) < len(paths):
        console.info(f"learning from {len(taken)} of {len(paths)} videos (--videos takes more)")
    return LabelSet(Path(videos[0]), tuple(LabelledVideo(Path(path), (), path) for path in taken))


def _read(labels: LabelSet, base: Checkpoint, settings: ReadSettings, console: Console) -> list[OwnVideo]:
    """The videos as the networks see them. The recogniser says what is sure, if it has the preview network's tags."""
    from nsnet_cli.adapting.footage import own_video
    from nsnet_cli.cli.labelled import gather

    preview, recogniser = base.preview.network, base.recogniser.network
    same = recogniser.vocabulary is not None and recogniser.vocabulary == preview.vocabulary and recogniser.frames == 1
    found = gather(labels, base, settings, console, recogniser=same)
    return [own_video(str(video.path), features) for video, features in found]


def _report(outcome: Outcome, base: Checkpoint, output: Path, console: Console) -> None:
    from nsnet_cli.adapting.folder import share

    made = outcome.made
    if made.sampler is None:
        console.info(f"not adapted, nothing was written: {made.refused}")
        console.info(f"{base.name} stays the better choice for these videos")
        return
    assert made.memory is not None
    console.info(f"learned {made.frames} frames of scenery from {made.videos} videos")
    for number, half in enumerate(made.halves, 1):
        console.info(f"ROC-AUC in half {number} of the videos, learned from the other: {half}")
    console.info(f"ROC-AUC in kept footage: {made.memory}")
    before, after = map(share, outcome.promises)
    if outcome.calibrated:
        console.info(f"the calibration still holds: certain tags of kept sequences {before} before, {after} after")
    elif base.calibration is not None:
        console.warn(
            f"the calibration was not shown to hold (certain tags {before} before, {after} after) and is left out: no"
            f" tag can be certain; to calibrate: nsnet calibrate LABELS --checkpoint {shlex.quote(str(output))}"
        )
    console.data(str(output))
    console.info(f"try it: nsnet tag --checkpoint {shlex.quote(str(output))} VIDEO; to undo it, delete that folder")
