"""`nsnet evaluate`: accuracy against cost on labelled videos, for every policy at several K."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nsnet_cli.cli.console import Console
from nsnet_cli.cli.options import OUTPUT, SAMPLING, TALKING, WORDS, Command, Shared, new_app, shared
from nsnet_cli.errors import UsageError

if TYPE_CHECKING:
    from nsnet_cli.evaluation.evaluate import Report
    from nsnet_cli.labelled.features import VideoFeatures
    from nsnet_cli.labelled.gather import ReadSettings
    from nsnet_cli.labelled.labels import LabelledVideo, LabelSet
    from nsnet_cli.weights.checkpoint import Checkpoint

app = new_app()
SplitName = Literal["auto", "all", "train", "val", "test"]


Labels = Annotated[
    Path,
    typer.Argument(
        help="CSV with path,label[;label...][,split][,segments], or a folder with one folder per class.",
        metavar="LABELS",
    ),
]
Budgets = Annotated[
    str,
    typer.Option(
        "--frames", "-K", metavar="K,K,...", help="Numbers of recognised frames to compare.", rich_help_panel=SAMPLING
    ),
]
Split = Annotated[
    SplitName,
    typer.Option("--split", help="Rows to measure on; auto: the rows marked test, or all rows if none is."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.", rich_help_panel=OUTPUT)]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print CSV.", rich_help_panel=OUTPUT)]
Plot = Annotated[
    Path | None,
    typer.Option(
        "--plot", metavar="FILE", help="Plot accuracy against GFLOPs and seconds as PNG.", rich_help_panel=OUTPUT
    ),
]


@app.command(cls=Command)
@shared("checkpoint", *WORDS, "preview", "seed", "precision", "device", "decoder", "jobs", *TALKING)
def evaluate(
    labels: Labels,
    frames: Budgets = "1,2,4,8",
    split: Split = "auto",
    json: AsJson = False,
    csv: AsCsv = False,
    plot: Plot = None,
    *,
    shared: Shared,
) -> int:
    """Measure accuracy against cost on labelled videos, for every policy.

    Features are extracted once and kept in your cache. All policies are then compared on the same scores, chosen and
    combined as `nsnet tag` does. If LABELS has segments, also measures how well saliency finds them, and compares
    with an oracle, a policy that knows them. If the checkpoint is calibrated, a second table measures the tags that
    are certain at --precision.
    """
    from nsnet_cli.cli.labelled import read_label_file
    from nsnet_cli.evaluation import show
    from nsnet_cli.evaluation.evaluate import to_dict
    from nsnet_cli.labelled.gather import ReadSettings
    from nsnet_cli.outputs.figures import figure_target
    from nsnet_cli.text import json_text
    from nsnet_cli.weights.checkpoint import resolve_checkpoint

    if json and csv:
        raise UsageError("--json and --csv contradict each other", "give one of them")
    target = None if plot is None else figure_target(plot)
    console, ks, row = shared.console(), _budgets(frames), resolve_checkpoint(shared.checkpoint, words=shared.words())
    chosen = _of_split(read_label_file(labels, console), split, console)
    if str(row.training.get("data")) == str(labels) and not any(video.split == "test" for video in chosen.videos):
        console.warn(f"{row.name} was trained on {labels}: these numbers will be too good")
    settings = ReadSettings(shared.preview or row.preview_frames, shared.device, shared.decoder, shared.jobs)
    report = _run(chosen, row, settings, ks, shared, console)
    if json:
        console.data(json_text(to_dict(report)))
    elif csv:
        console.data(show.csv_text(report), end="")
    else:
        console.data(show.table(report))
        if certain := show.certain_table(report):
            console.data("\n" + certain)
        console.info(f"measured on {report.videos} of {report.asked} videos")
        for note in show.notes(report):
            console.info(note)
    if target is not None:
        show.plot(report, target)
    return 0


def _budgets(text: str) -> tuple[int, ...]:
    try:
        ks = tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        ks = (0,)
    if ks[0] < 1:
        raise UsageError(f"--frames {text!r} is not a list of whole numbers", "write it as in --frames 1,2,4,8")
    return ks


def _of_split(labels: LabelSet, split: SplitName, console: Console) -> LabelSet:
    from dataclasses import replace

    if split == "auto":
        split = "test" if any(video.split == "test" for video in labels.videos) else "all"
        if split == "test":
            console.info("measuring on the rows marked test (--split all takes every row)")
    if split == "all":
        return labels
    videos = tuple(video for video in labels.videos if video.split == split)
    if not videos:
        raise UsageError(
            f"{labels.source} has no row with split {split!r}", "mark rows in its column split, or use --split all"
        )
    return replace(labels, videos=videos, missing=tuple(video for video in labels.missing if video.split == split))


def _run(
    labels: LabelSet,
    checkpoint: Checkpoint,
    settings: ReadSettings,
    ks: tuple[int, ...],
    shared: Shared,
    console: Console,
) -> Report:
    from nsnet_cli.cli.labelled import gather
    from nsnet_cli.evaluation.evaluate import evaluate as measure_all
    from nsnet_cli.evaluation.evaluate import report, score_video
    from nsnet_cli.evaluation.timing import measure
    from nsnet_cli.labelled.labels import label_indices
    from nsnet_cli.nets.build import build_engine
    from nsnet_cli.presence import Judge
    from nsnet_cli.video.pool import DecodePool

    indices = dict(
        zip((v.path for v in labels.videos), label_indices(labels.videos, checkpoint.vocabulary), strict=True)
    )
    found: list[tuple[LabelledVideo, VideoFeatures]] = gather(labels, checkpoint, settings, console)
    engine = build_engine(checkpoint, settings.device)
    if checkpoint.sampler is None:
        console.warn(f"{checkpoint.name} has no trained sampler: nsnet, nsnet-fsm and nsnet-vgm are left out")
    videos = [score_video(v, indices[v.path], f, checkpoint, engine) for v, f in found]
    paths, sampler = [video.path for video, _ in found], checkpoint.sampler is not None
    with DecodePool() as pool:
        costs = measure(paths, settings.options(checkpoint), ks, engine, pool.open, sampler=sampler)
    judge = Judge.of(checkpoint)
    if shared.precision and (reason := judge.never_certain(checkpoint, "nsnet")):
        console.info(f"{checkpoint.name}: {reason}")
    rows = measure_all(videos, ks, engine.cost, costs, shared.seed, judge=judge, precision=shared.precision)
    asked = len(labels.videos) + len(labels.missing)
    return report(str(labels.source), checkpoint, videos, rows, costs, asked)
