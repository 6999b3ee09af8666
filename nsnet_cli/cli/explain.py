"""`nsnet explain`: why one video got its tags."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nsnet_cli.cli.console import Console
from nsnet_cli.cli.options import TAGGING, TALKING, WORDS, Command, Shared, new_app, shared
from nsnet_cli.errors import UsageError, VideoError
from nsnet_cli.storage.urls import located
from nsnet_cli.text import harmless, printable, spreadsheet_cell

if TYPE_CHECKING:
    from nsnet_cli.types import VideoResult

app = new_app()
MOST_COLUMNS = 200
COLUMNS = ("pts_s", "fsm", "vgm", "saliency", "confidence", "chosen", "tag")


@app.command(cls=Command)
@shared("top_k", "threshold", "precision", *TAGGING, *WORDS, *TALKING)
def explain(
    video: Annotated[str, typer.Argument(help="The video to explain.", metavar="VIDEO")],
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print one JSON object: the result and every preview frame.", rich_help_panel="Output"
        ),
    ] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print CSV, one line per preview frame.", rich_help_panel="Output")
    ] = False,
    png: Annotated[
        Path | None, typer.Option(help="Write a plot with thumbnails.", metavar="FILE", rich_help_panel="Output")
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            help="Write a page with player, timeline and frames. It links the video and contains the rest.",
            metavar="FILE",
            rich_help_panel="Output",
        ),
    ] = None,
    *,
    shared: Shared,
) -> None:
    """Show why a video got its tags, and why they are or are not certain.

    Prints the saliency over time as a chart, the frames that were kept and the evidence for each tag. --json, --csv,
    --png and --html give the same as data, plot and page.
    """
    if as_json and as_csv:
        raise UsageError("--json and --csv both write to stdout", "give one of them")
    from nsnet_cli.outputs.save import check_target

    for target in (png, html):
        if target is not None:
            check_target(target, video)
    console = shared.console()
    result = tag_one(video, shared, jpegs=png is not None or html is not None)
    if as_json:
        from nsnet_cli.text import json_text

        console.data(json_text(explained(result)))
    if result.error is not None:
        raise VideoError(complaint(result), kind=result.error.kind)
    if as_csv:
        console.data(frames_csv(result), end="")
    write_files(result, png, html, console)
    if not (as_json or as_csv or png or html):
        show(result, console)


def tag_one(video: str, shared: Shared, *, jpegs: bool) -> VideoResult:
    """The result of one video, decoded in a process that can be killed. `result.error` has the video's own fault."""
    from nsnet_cli.cores import usable_cores
    from nsnet_cli.run.jobs import Job
    from nsnet_cli.run.opening import prepare

    opening = prepare(shared.asked(), jpegs=jpegs, threads=usable_cores())
    jobs = [Job(video, located(video).name)]
    with closing(opening.one_by_one(jobs, shared.timeout_s)) as finished:  # type: ignore[type-var]
        return next(finished).result


def write_files(result: VideoResult, png: Path | None, html: Path | None, console: Console) -> None:
    """Writes the plot and the page that the user asked for."""
    if png is not None:
        from nsnet_cli.outputs.plot import plot_png
        from nsnet_cli.outputs.save import save

        save(png, plot_png(result))
        console.info(f"wrote {png}")
    if html is not None:
        from nsnet_cli.outputs.page import write_page

        write_page(result, html)
        console.info(f"wrote {html}")


def complaint(result: VideoResult) -> str:
    """What is wrong with a video, in a message that names it."""
    message = result.error.message if result.error else ""
    return message if result.path in message else f"{result.path}: {message}"


def show(result: VideoResult, console: Console) -> None:
    """Prints the timeline, and why tags are or are not certain, as wide as the terminal."""
    from nsnet_cli.outputs.timeline import Pen, timeline

    width = min(shutil.get_terminal_size((80, 24)).columns, MOST_COLUMNS)
    unicode, color = speaks_unicode(), console.color
    console.data(timeline(result, width, unicode=unicode, color=color), end="")
    if lines := why_lines(result, width):
        console.data(Pen(unicode, color).done(["", *lines]), end="")


def why_lines(result: VideoResult, width: int) -> list[str]:
    """One paragraph for each tag, and for what is perhaps there. Empty if nothing was calibrated."""
    import textwrap

    from nsnet_cli.why import words

    perhaps = result.perhaps if result.perhaps not in result.tags else None
    told = [("", tag) for tag in result.tags if tag.certain]
    told += [("perhaps ", perhaps)] if perhaps else []
    told += [("", tag) for tag in result.tags if not tag.certain]
    found = [before + said for before, tag in told if (said := words(tag, result.precision))]
    return [line for text in found for line in textwrap.wrap(harmless(text), width, subsequent_indent="  ")]


def explained(result: VideoResult) -> dict[str, Any]:
    """The object of `nsnet explain --json`: each tag with its field `why`."""
    from nsnet_cli.outputs.jsonlines import explain_dict
    from nsnet_cli.why import to_dict

    row = explain_dict(result)
    for tag, entry in zip(result.tags, row["tags"], strict=True):
        entry["why"] = to_dict(tag, result.precision)
    if result.perhaps is not None:
        row["perhaps"]["why"] = to_dict(result.perhaps, result.precision)
    return row


def speaks_unicode() -> bool:
    """Whether block characters can be shown: stdout is UTF-8, and TERM is not dumb."""
    encoding = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "").replace("_", "")
    return encoding == "utf8" and os.environ.get("TERM") != "dumb"


def frames_csv(result: VideoResult) -> str:
    """CSV with one line per preview frame in time order. Values that the policy did not compute are empty."""
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
