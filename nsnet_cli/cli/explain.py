"""`nsnet explain`: one video, and why it was tagged as it was."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nsnet_cli.cli.console import Console
from nsnet_cli.cli.options import (
    OPTIONS,
    Budget,
    CheckpointName,
    Command,
    Decoder,
    Device,
    Frames,
    PolicyName,
    Preview,
    Quiet,
    Seed,
    Threshold,
    Timeout,
    TopK,
    Verbose,
    new_app,
    tag_options,
)
from nsnet_cli.errors import UsageError, VideoError
from nsnet_cli.text import printable, spreadsheet_cell

if TYPE_CHECKING:
    from nsnet_cli.tagger import Tagger
    from nsnet_cli.types import VideoResult

app = new_app()
MOST_COLUMNS = 200
COLUMNS = ("pts_s", "fsm", "vgm", "saliency", "confidence", "chosen", "tag")


@app.command(cls=Command)
def explain(
    video: Annotated[str, typer.Argument(help="The video.", metavar="VIDEO")],
    as_json: Annotated[
        bool,
        typer.Option("--json", help="One JSON object: the result, and every preview frame.", rich_help_panel="Output"),
    ] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="One line a preview frame.", rich_help_panel="Output")] = False,
    png: Annotated[
        Path | None, typer.Option(help="Write a plot with thumbnails.", metavar="FILE", rich_help_panel="Output")
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            help="Write a page: video, timeline, frames; only the video stays outside.",
            metavar="FILE",
            rich_help_panel="Output",
        ),
    ] = None,
    checkpoint: CheckpointName = OPTIONS["checkpoint"].default,
    policy: PolicyName = OPTIONS["policy"].default,
    frames: Frames = None,
    preview: Preview = None,
    budget: Budget = None,
    seed: Seed = OPTIONS["seed"].default,
    top_k: TopK = OPTIONS["top_k"].default,
    threshold: Threshold = OPTIONS["threshold"].default,
    device: Device = OPTIONS["device"].default,
    decoder: Decoder = OPTIONS["decoder"].default,
    timeout: Timeout = OPTIONS["timeout"].default,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Show why: the saliency timeline of one video, the frames that were kept, the tags and what they rest on.

    On a terminal as a chart; --json, --csv, --png and --html give the same as data, plot and page.
    """
    console = Console(quiet, verbose)
    if as_json and as_csv:
        raise UsageError("--json and --csv both want stdout", "give one of them")
    from nsnet_cli.outputs.save import check_target

    for target in (png, html):
        if target is not None:
            check_target(target, video)
    options = tag_options(checkpoint, policy=policy, frames=frames, preview=preview, budget=budget, seed=seed,
                          top_k=top_k, threshold=threshold, decoder=decoder)  # fmt: skip
    from nsnet_cli.cores import usable_cores
    from nsnet_cli.tagger import Tagger

    tagger = Tagger.from_checkpoint(
        checkpoint,
        options,
        device=device,
        jpegs=png is not None or html is not None,
        threads=usable_cores(),
        say=console.info,
    )
    result = tag_one(tagger, video, timeout)
    if as_json:
        from nsnet_cli.outputs.jsonlines import explain_dict
        from nsnet_cli.text import json_text

        console.data(json_text(explain_dict(result)))
    if result.error is not None:
        raise VideoError(complaint(result), kind=result.error.kind)
    if as_csv:
        console.data(frames_csv(result), end="")
    if png is not None:
        from nsnet_cli.outputs.plot import plot_png
        from nsnet_cli.outputs.save import save

        save(png, plot_png(result))
        console.info(f"wrote {png}")
    if html is not None:
        from nsnet_cli.outputs.page import write_page

        write_page(result, html)
        console.info(f"wrote {html}")
    if not (as_json or as_csv or png or html):
        show(result, console)


def tag_one(tagger: Tagger, video: str, timeout_s: float) -> VideoResult:
    """The result of one video, decoded in a process that can be killed; a video's own fault is in `result.error`."""
    from nsnet_cli.batch import Job, run
    from nsnet_cli.video.pool import DecodePool

    job, pool = Job(video, Path(video).name), DecodePool(timeout_s=timeout_s or None)
    with closing(run(tagger, [job], pool=pool, threads=1, timeout_s=timeout_s or None)) as finished:  # type: ignore[type-var]
        return next(finished).result


def complaint(result: VideoResult) -> str:
    """What is wrong with a video, its name in it."""
    message = result.error.message if result.error else ""
    return message if result.path in message else f"{result.path}: {message}"


def show(result: VideoResult, console: Console) -> None:
    """The timeline in the terminal, as wide as that is."""
    from nsnet_cli.outputs.timeline import timeline

    width = min(shutil.get_terminal_size((80, 24)).columns, MOST_COLUMNS)
    console.data(timeline(result, width, unicode=speaks_unicode(), color=console.color), end="")


def speaks_unicode() -> bool:
    """Whether block characters can be shown: UTF-8, and not a terminal that says it can do nothing."""
    encoding = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "").replace("_", "")
    return encoding == "utf8" and os.environ.get("TERM") != "dumb"


def frames_csv(result: VideoResult) -> str:
    """One line a preview frame in order of time; what the policy did not compute is empty."""
    import csv
    import io

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for frame in result.frames:
        numbers = [frame.fsm, frame.vgm, frame.saliency, frame.confidence]
        cells = ["" if n is None else f"{n:.6g}" for n in numbers]
        tag = spreadsheet_cell(printable(frame.tag or ""))
        writer.writerow([f"{frame.pts_s:.6f}", *cells, "true" if frame.chosen else "false", tag])
    return out.getvalue()
