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
SplitName = Literal["auto", "all", "train", "val", "test", "1", "2", "3", "1,2,3"]
HERE = "{split}"
"""Stands for the number of a split in --checkpoint."""


Labels = Annotated[
    Path,
    typer.Argument(
        help="CSV with path,label[;label...][,split][,segments], a folder with one folder per class, or a benchmark.",
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
    typer.Option(
        "--split",
        help="Rows to measure on; auto: of a benchmark those that papers report on, else the rows marked test, or all"
        " rows if none is. 1, 2 or 3: the test videos of that split of UCF101; 1,2,3: the mean over them, with"
        " {split} in --checkpoint.",
    ),
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
@shared("checkpoint", *WORDS, "preview", "seed", "precision", "device", "fast", "decoder", "jobs", *TALKING)
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

    A benchmark is a folder with its videos and lists, written as activitynet:DIR, fcvid:DIR, mini-kinetics:DIR or
    ucf101:DIR. What papers report on it is then measured, over the videos that are there.
    """
    from nsnet_cli.evaluation import show
    from nsnet_cli.evaluation.evaluate import to_dict
    from nsnet_cli.evaluation.splits import mean_report
    from nsnet_cli.outputs.figures import figure_target
    from nsnet_cli.text import json_text

    if json and csv:
        raise UsageError("--json and --csv contradict each other", "give one of them")
    target = None if plot is None else figure_target(plot)
    console, ks = shared.console(), _budgets(frames)
    folds = split.split(",") if split[0].isdigit() else [""]
    if len(folds) > 1 and HERE not in shared.checkpoint:
        raise UsageError(
            f"--split {split} with one checkpoint: each split of the others' test videos was trained on",
            f"train one for each, and write it as in --checkpoint ucf101-{HERE}",
        )
    report = mean_report([_of_fold(labels, split, fold, ks, shared, console) for fold in folds], shared.checkpoint)
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


def _of_fold(
    source: Path, split: SplitName, fold: str, ks: tuple[int, ...], shared: Shared, console: Console
) -> Report:
    """Measures the checkpoint of one split of a benchmark that has several. Of all other labels: the only one."""
    from nsnet_cli.cli.labelled import read_label_file
    from nsnet_cli.labelled.benchmark import known_to
    from nsnet_cli.labelled.gather import ReadSettings
    from nsnet_cli.weights.checkpoint import resolve_checkpoint

    name = shared.checkpoint.replace(HERE, fold) if fold else shared.checkpoint
    row = resolve_checkpoint(name, words=shared.words())
    chosen = read_label_file(source, console, fold, lambda labels: _of_split(labels, split, console))
    chosen = known_to(chosen, row.vocabulary)
    if _saw(str(row.training.get("data")), source, fold, chosen):
        console.warn(f"{row.name} was trained on {row.training['data']}: these numbers will be too good")
    preview = shared.preview or row.preview_frames
    settings = ReadSettings(preview, shared.device, shared.decoder, shared.jobs, shared.fast)
    return _run(chosen, row, settings, ks, shared, console)


def _saw(data: str, source: Path, fold: str, chosen: LabelSet) -> bool:
    """Whether training on `data` saw videos that are measured now."""
    from nsnet_cli.labelled.protocol import trained_on

    if chosen.benchmark is None:
        return data == str(source) and not any(video.split == "test" for video in chosen.videos)
    if data == trained_on(source, fold):
        return any(video.split != chosen.benchmark.measured for video in chosen.videos)
    return bool(fold) and data.startswith(trained_on(source, ""))


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

    if labels.benchmark is not None and (split == "auto" or split[0].isdigit()):
        split = labels.benchmark.measured
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
    from nsnet_cli.nets.auto import Workload
    from nsnet_cli.nets.build import build_engine
    from nsnet_cli.presence import Judge
    from nsnet_cli.video.pool import DecodePool

    indices = dict(
        zip((v.path for v in labels.videos), label_indices(labels.videos, checkpoint.vocabulary), strict=True)
    )
    found: list[tuple[LabelledVideo, VideoFeatures]] = gather(labels, checkpoint, settings, console, mapped=True)
    engine = build_engine(checkpoint, settings.device, Workload(len(labels.videos)), fast=settings.fast)
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
    return report(str(labels.source), checkpoint, videos, rows, costs, asked, labels.benchmark)
