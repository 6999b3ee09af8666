"""`nsnet tag`: finds videos, skips those that are done, tags the rest in parallel, writes each when it ends."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from nsnet_cli.cli.finding import Exclude, Hidden, given
from nsnet_cli.cli.options import OUTPUT, RUNNING, TAGGING, TALKING, WORDS, Command, Shared, new_app, shared
from nsnet_cli.errors import UsageError
from nsnet_cli.outputs.formats import DEFAULT, FORMATS

app = new_app()
if TYPE_CHECKING:
    Format = str
else:
    Format = Literal[tuple(FORMATS)]


def _output(*flags: str, help: str, metavar: str | None = None, env: str | None = None) -> Any:
    return typer.Option(*flags, help=help, metavar=metavar, envvar=env, rich_help_panel=OUTPUT)


def _running(flag: str, help: str, metavar: str | None = None) -> Any:
    return typer.Option(flag, help=help, metavar=metavar, rich_help_panel=RUNNING)


Paths = Annotated[
    list[str] | None, typer.Argument(help="Videos, folders, globs or URLs; - reads a list from stdin.", metavar="PATHS")
]
FromList = Annotated[
    str | None,
    _running(
        "--from",
        "Read paths from a file, one per line or NUL-separated (- is stdin), or from a manifest: .csv, .jsonl or"
        " .parquet with a column path or url, whose other columns pass through.",
        "FILE",
    ),
]
JsonLines = Annotated[bool, _output("--json", help="Print one JSON object per line, like --format jsonl.")]
Formats = Annotated[
    Format | None,
    _output(
        "--format",
        "-f",
        help="Output format. "
        + "; ".join(f"{row.name}: {row.help}" for row in FORMATS.values())
        + f". [default: {DEFAULT}]",
        env="NSNET_FORMAT",
    ),
]
OutputDir = Annotated[
    str | None,
    _output(
        "--output-dir",
        "-o",
        help="Keep results, in folders like the inputs', also at a URL. A later run skips videos that are done.",
        metavar="DIR",
    ),
]
Thumbnails = Annotated[Path | None, _output("--thumbnails", help="Write the salient frames as JPEG.", metavar="DIR")]
Sheets = Annotated[Path | None, _output("--contact-sheet", help="Write one contact sheet per video.", metavar="DIR")]
Report = Annotated[Path | None, _output("--report", help="Write one page about all videos.", metavar="DIR")]
Shard = Annotated[str | None, _running("--shard", "Tag only part I of N, to share the work between machines.", "I/N")]
Overwrite = Annotated[bool, _running("--overwrite", "Also tag videos that are done.")]
RetryFailed = Annotated[bool, _running("--retry-failed", "Also tag videos that failed before.")]
Ray = Annotated[
    str | None,
    _running(
        "--ray",
        "Work on a Ray cluster: auto (the one that runs here, or RAY_ADDRESS), local (start one on this machine) or its"
        " address.",
        "auto|local|ADDRESS",
    ),
]
Profile = Annotated[bool, _running("--profile", "At the end, show where the seconds went, by stage, on stderr.")]
DryRun = Annotated[bool, _running("--dry-run", "Print the plan without running it.")]


@app.command(cls=Command)
@shared("top_k", "threshold", "precision", *TAGGING, *WORDS, "index_frames", "jobs", *TALKING)
def tag(
    paths: Paths = None,
    from_list: FromList = None,
    json_lines: JsonLines = False,
    format: Formats = None,
    output_dir: OutputDir = None,
    thumbnails: Thumbnails = None,
    contact_sheet: Sheets = None,
    report: Report = None,
    shard: Shard = None,
    ray: Ray = None,
    overwrite: Overwrite = False,
    retry_failed: RetryFailed = False,
    profile: Profile = False,
    dry_run: DryRun = False,
    exclude: Exclude = None,
    hidden: Hidden = False,
    *,
    shared: Shared,
) -> int:
    """Tag videos: files, folders, globs or lists. In folders, videos are found by their content.

    Prints one result per video to stdout, and everything else to stderr. Exit codes: 0 all done, 2 wrong usage, 3 some
    videos failed, 4 no video found, 5 weights or device unavailable, 130 interrupted.
    """
    from nsnet_cli import startup
    from nsnet_cli.cli.tag_run import TagRun
    from nsnet_cli.inputs import parse_shard
    from nsnet_cli.run.tagging import Request
    from nsnet_cli.search import Search
    from nsnet_cli.storage.urls import located

    console, chosen = shared.console(), _format(json_lines, format)
    watch = startup.stopwatch() if profile else None
    if not paths and from_list is None:
        raise UsageError("no video was given", "give files or folders, as in: nsnet tag ./videos")
    named = given(paths or (), from_list, console)
    request = Request(
        given=named.paths,
        columns=named.columns,
        asked=shared.asked(),
        search=Search(tuple(exclude or ()), hidden),
        shard=parse_shard(shard) if shard else None,
        output_dir=located(output_dir) if output_dir else None,
        format=chosen,
        thumbnails=thumbnails,
        contact_sheet=contact_sheet,
        report=report,
        jobs=shared.jobs,
        timeout_s=shared.timeout_s,
        ray=ray or None,
        overwrite=overwrite,
        retry_failed=retry_failed,
        dry=dry_run,
    )
    return TagRun(request, chosen, json_lines or format is not None, console, watch).run()


def _format(json_lines: bool, format: Format | None) -> Format:
    if json_lines and format not in (None, "jsonl"):
        raise UsageError(f"--json and --format {format} contradict each other", "give one of them")
    return "jsonl" if json_lines else format or DEFAULT
