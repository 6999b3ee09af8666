"""`nsnet calibrate`: fits a checkpoint's probabilities to videos that a person has judged."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nsnet_cli.cli.console import Console
from nsnet_cli.cli.options import OUTPUT, TALKING, WORDS, Command, Shared, new_app, shared
from nsnet_cli.errors import OutputError, UsageError

if TYPE_CHECKING:
    from nsnet_cli.calibrating.calibrate import Measured
    from nsnet_cli.calibrating.examples import Examples, Truth
    from nsnet_cli.calibration import Calibration
    from nsnet_cli.labelled.gather import ReadSettings
    from nsnet_cli.labelled.labels import LabelSet
    from nsnet_cli.presence import Judge
    from nsnet_cli.weights.checkpoint import Checkpoint

app = new_app()

Labels = Annotated[
    list[Path],
    typer.Argument(
        help="CSV with path,right[,unjudged][,weight][,source][,part], or what nsnet train takes.",
        metavar="LABELS...",
        show_default=False,
    ),
]
Root = Annotated[
    Path | None,
    typer.Option(
        "--root", metavar="DIR", help="Folder of the paths in a CSV with a column right. [default: the CSV's own]"
    ),
]
Part = Annotated[
    str | None,
    typer.Option("--part", metavar="NAME", help="Only rows with this name in the column part, if there is one."),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="DIR",
        help="Checkpoint folder to write. [default: the checkpoint's own folder; ./NAME-calibrated if it has a name]",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.", rich_help_panel=OUTPUT)]
Plot = Annotated[
    Path | None,
    typer.Option(
        "--plot",
        metavar="FILE",
        help="Plot how often tags of a probability are right, as PNG.",
        rich_help_panel=OUTPUT,
    ),
]


@app.command(cls=Command)
@shared("checkpoint", *WORDS, "device", "decoder", "jobs", *TALKING)
def calibrate(
    labels: Labels,
    root: Root = None,
    part: Part = None,
    output: Output = None,
    json: AsJson = False,
    plot: Plot = None,
    *,
    shared: Shared,
) -> int:
    """Learn how likely tags are right, from videos that a person has judged, and keep it in a checkpoint folder.

    With it `nsnet tag` says which tags are certain. The table says how well a promised precision is kept, on sources
    that were left out of the fit. Clips of one recording, place or person should have the same source.
    """
    from nsnet_cli.calibrating import show
    from nsnet_cli.calibrating.calibrate import summary
    from nsnet_cli.labelled.gather import ReadSettings
    from nsnet_cli.outputs.figures import figure_target
    from nsnet_cli.text import json_text
    from nsnet_cli.weights.calibrated import calibrated_folder
    from nsnet_cli.weights.checkpoint import resolve_checkpoint

    target = None if plot is None else figure_target(plot)
    console, row = shared.console(), resolve_checkpoint(shared.checkpoint, words=shared.words())
    folder = calibrated_folder(shared.checkpoint, output)
    _check(row, folder)
    found = _read(labels, root, part, row, console)
    settings = ReadSettings(row.preview_frames, shared.device, shared.decoder, shared.jobs)
    calibration, measured = _fit(found, [str(source) for source in labels], row, settings, console)
    command = shlex.join(["nsnet", *sys.argv[1:]])
    _write(row, calibration, measured, folder, command)
    if json:
        console.data(json_text({"schema_version": 1, "checkpoint": str(folder), **summary(measured)}))
    else:
        console.data(show.table(measured))
        for note in show.notes():
            console.info(note)
    for warning in show.warnings(measured):
        console.warn(warning)
    if target is not None:
        show.plot(measured, folder.resolve().name, target)
    spec = str(folder) if len(folder.parts) > 1 else f"./{folder}"  # a bare name may be that of a row
    console.info(f"wrote {folder}; try it: nsnet tag --checkpoint {shlex.quote(spec)} VIDEO")
    return 0


def _check(row: Checkpoint, folder: Path) -> None:
    """Raises NsnetError if this checkpoint cannot be calibrated, or cannot be written there."""
    from nsnet_cli.outputs.owner import owner
    from nsnet_cli.outputs.save import check_folder
    from nsnet_cli.weights.calibrated import check_calibratable
    from nsnet_cli.weights.checkpoint import CARD_FILE, CONFIG_FILE, MODEL_FILE
    from nsnet_cli.weights.heads import OwnClassifier
    from nsnet_cli.weights.tuned import TUNED_FILE

    check_calibratable(row)
    if isinstance(row.head, OwnClassifier) and row.head.multi_label:
        message = f"{row.name} gives the recogniser's own tags independent scores"
        raise UsageError(message, "nsnet calibrate needs scores that sum to one there: set multi_label to false")
    check_folder(folder, (CONFIG_FILE, CARD_FILE, MODEL_FILE, TUNED_FILE), marks=(CONFIG_FILE,))
    if folder.is_dir() and any(folder.iterdir()) and not owner(folder / CONFIG_FILE).ours:
        raise OutputError(f"{folder} exists and is not a checkpoint of nsnet", "give another folder with -o")


def _read(sources: list[Path], root: Path | None, part: str | None, row: Checkpoint, console: Console) -> LabelSet:
    """The labels of several files as one set. Warns about missing videos."""
    from nsnet_cli.cli.labelled import warn_of_missing
    from nsnet_cli.labelled.judged import read_judged, together

    for source in sources:
        if str(row.training.get("data")) == str(source):
            console.warn(f"{row.name} was trained on {source}: its probabilities will be too high")
    found = together([read_judged(source, root=root, part=part) for source in sources])
    warn_of_missing(found, console)
    return found


def _fit(
    labels: LabelSet, sources: list[str], row: Checkpoint, settings: ReadSettings, console: Console
) -> tuple[Calibration, Measured]:
    """Reads the videos and fits. Names are checked before the first video is read."""
    from nsnet_cli.calibrating.calibrate import calibrate as fit
    from nsnet_cli.calibrating.examples import sign_names
    from nsnet_cli.calibrating.truths import truths
    from nsnet_cli.presence import Judge

    judge = Judge.of(row)
    names = sign_names(judge, sampler=row.sampler is not None)
    told = truths(labels.videos, judge.hierarchy)
    examples = _examples(labels, told, judge, names, row, settings, console)
    return fit(examples, judge, names, sources)


def _examples(
    labels: LabelSet,
    truths: list[Truth],
    judge: Judge,
    names: tuple[str, ...],
    row: Checkpoint,
    settings: ReadSettings,
    console: Console,
) -> list[Examples]:
    """What each readable video teaches, in the order of the labels."""
    from dataclasses import replace
    from functools import partial

    from nsnet_cli.calibrating.examples import UNKNOWN_WEIGHT, every_look
    from nsnet_cli.calibrating.look import scored
    from nsnet_cli.cli.labelled import gather
    from nsnet_cli.nets.auto import Workload
    from nsnet_cli.nets.build import build_engine
    from nsnet_cli.weights.heads import OwnClassifier

    by_path = {video.path: truth for video, truth in zip(labels.videos, truths, strict=True)}
    columns = {tag.id: column for column, tag in enumerate(row.vocabulary)}
    videos = gather(labels, row, settings, console)
    engine = build_engine(row, settings.device, Workload(len(labels.videos)))
    found: list[Examples] = []
    for video, features in videos:
        truth, seen = by_path[video.path], scored(judge, features, row, engine)
        found += every_look(judge, truth, seen.look, row.frames, names)
        known = [columns[tag] for tag in sorted(truth.right) if tag in columns]
        if truth.weight < 1 and known and isinstance(row.head, OwnClassifier):
            # what is made shows only what the networks know; most of what is filmed they do not
            unknown = replace(truth, weight=truth.weight * UNKNOWN_WEIGHT)
            found += every_look(judge, unknown, partial(seen.look, without=known), row.frames, names)
    return found


def _write(row: Checkpoint, calibration: Calibration, measured: Measured, folder: Path, command: str) -> None:
    from nsnet_cli.calibrating.show import card_section, with_section
    from nsnet_cli.weights.calibrated import calibrated_config, read_card, write_calibrated

    config = calibrated_config(row, calibration, folder)
    card = with_section(read_card(row, config), card_section(measured, command))
    write_calibrated(row, config, folder, card)
