"""`nsnet tag`: find the videos, leave out what is done, tag the rest side by side, write each as it ends."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from nsnet_cli.cli.console import Console
from nsnet_cli.cli.finding import Exclude, Hidden
from nsnet_cli.cli.options import (
    OPTIONS,
    OUTPUT,
    RUNNING,
    Budget,
    CheckpointName,
    Command,
    Decoder,
    Device,
    Frames,
    Jobs,
    PolicyName,
    Preview,
    Quiet,
    Seed,
    Threshold,
    Timeout,
    TopK,
    Verbose,
    check_budget,
    new_app,
    tag_options,
)
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
    list[str] | None, typer.Argument(help="Videos, folders, globs; - is a list on stdin.", metavar="PATHS")
]
FromList = Annotated[
    str | None, _running("--from", "Paths in a file, one a line or parted by NUL; - is stdin.", "FILE")
]
JsonLines = Annotated[bool, _output("--json", help="One JSON object a line; the same as --format jsonl.")]
Formats = Annotated[
    Format | None,
    _output(
        "--format",
        "-f",
        help="What is written: "
        + "; ".join(f"{row.name}: {row.help}" for row in FORMATS.values())
        + f". [default: {DEFAULT}]",
        env="NSNET_FORMAT",
    ),
]
OutputDir = Annotated[
    Path | None,
    _output(
        "--output-dir", "-o", help="Keep results as a tree like the inputs'; done ones are skipped.", metavar="DIR"
    ),
]
Thumbnails = Annotated[Path | None, _output("--thumbnails", help="Write the salient frames as JPEG.", metavar="DIR")]
Sheets = Annotated[Path | None, _output("--contact-sheet", help="Write a contact sheet a video.", metavar="DIR")]
Report = Annotated[Path | None, _output("--report", help="Write a page over all videos.", metavar="DIR")]
Shard = Annotated[str | None, _running("--shard", "Only the I-th of N parts of the videos.", "I/N")]
Overwrite = Annotated[bool, _running("--overwrite", "Tag videos again that are done.")]
RetryFailed = Annotated[bool, _running("--retry-failed", "Try videos again that failed.")]
DryRun = Annotated[bool, _running("--dry-run", "Say what would be done, and do nothing.")]


@app.command(cls=Command)
def tag(
    paths: Paths = None,
    from_list: FromList = None,
    json_lines: JsonLines = False,
    format: Formats = None,
    output_dir: OutputDir = None,
    thumbnails: Thumbnails = None,
    contact_sheet: Sheets = None,
    report: Report = None,
    top_k: TopK = OPTIONS["top_k"].default,
    threshold: Threshold = OPTIONS["threshold"].default,
    checkpoint: CheckpointName = OPTIONS["checkpoint"].default,
    policy: PolicyName = OPTIONS["policy"].default,
    frames: Frames = None,
    preview: Preview = None,
    budget: Budget = None,
    seed: Seed = OPTIONS["seed"].default,
    device: Device = OPTIONS["device"].default,
    decoder: Decoder = OPTIONS["decoder"].default,
    jobs: Jobs = OPTIONS["jobs"].default,
    timeout: Timeout = OPTIONS["timeout"].default,
    shard: Shard = None,
    overwrite: Overwrite = False,
    retry_failed: RetryFailed = False,
    dry_run: DryRun = False,
    exclude: Exclude = None,
    hidden: Hidden = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> int:
    """Tag videos: files, folders (searched by content), globs or lists.

    One result a video on stdout, everything else on stderr. Exit code: 0 all done, 3 some videos failed, 4 no video
    found, 2 usage, 5 weights or device unavailable, 130 interrupted.
    """
    from nsnet_cli.cli.tag_run import Request, TagRun

    request = Request(
        paths=tuple(paths or ()),
        from_list=from_list,
        format=_format(json_lines, format),
        chosen_format=json_lines or format is not None,
        output_dir=output_dir,
        thumbnails=thumbnails,
        contact_sheet=contact_sheet,
        report=report,
        checkpoint=checkpoint,
        device=device,
        jobs=jobs,
        timeout_s=timeout or None,
        shard=shard,
        overwrite=overwrite,
        retry_failed=retry_failed,
        dry_run=dry_run,
        exclude=tuple(exclude or ()),
        hidden=hidden,
    )
    if not request.paths and from_list is None:
        raise UsageError("no video was given", "give files or folders, as in: nsnet tag ./videos")
    options = partial(
        tag_options,
        checkpoint,
        frames=frames,
        preview=preview,
        budget=check_budget(budget),
        policy=policy,
        top_k=top_k,
        threshold=threshold,
        seed=seed,
        decoder=decoder,
    )
    return TagRun(request, options, Console(quiet, verbose)).run()


def _format(json_lines: bool, format: Format | None) -> Format:
    if json_lines and format not in (None, "jsonl"):
        raise UsageError(f"--json and --format {format} contradict each other", "give one of them")
    return "jsonl" if json_lines else format or DEFAULT
