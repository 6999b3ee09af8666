"""`nsnet tag`: find the videos, leave out what is done, tag the rest side by side, write each as it ends."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from nsnet_cli.cli.console import Console
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
    new_app,
    tag_options,
)
from nsnet_cli.errors import UsageError

app = new_app()
Format = Literal["table", "jsonl", "json", "csv", "vtt", "xmp"]


@app.command(cls=Command)
def tag(
    paths: Annotated[
        list[str] | None, typer.Argument(help="Videos, folders, globs; - reads a list from stdin.", metavar="PATHS...")
    ] = None,
    from_list: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="FILE", help="Read paths from FILE, one a line or separated by NUL; - is stdin."
        ),
    ] = None,
    json_lines: Annotated[
        bool, typer.Option("--json", help="One JSON object a line; the same as --format jsonl.", rich_help_panel=OUTPUT)
    ] = False,
    format: Annotated[
        Format | None,
        typer.Option(
            "--format", "-f", envvar="NSNET_FORMAT", help="What is written. [default: table]", rich_help_panel=OUTPUT
        ),
    ] = None,
    output_dir: Annotated[
        Path | None,
        typer.Option(
            "--output-dir",
            "-o",
            help="Keep results here, as a tree like the inputs'; done videos are skipped.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    thumbnails: Annotated[
        Path | None, typer.Option("--thumbnails", help="Write the salient frames here as JPEG.", rich_help_panel=OUTPUT)
    ] = None,
    contact_sheet: Annotated[
        Path | None, typer.Option("--contact-sheet", help="Write a contact sheet a video here.", rich_help_panel=OUTPUT)
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Write a page over all videos here.", rich_help_panel=OUTPUT)
    ] = None,
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
    shard: Annotated[
        str | None,
        typer.Option("--shard", metavar="I/N", help="Only the I-th of N parts of the videos.", rich_help_panel=RUNNING),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Tag videos again that are done.", rich_help_panel=RUNNING)
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try videos again that failed.", rich_help_panel=RUNNING)
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.", rich_help_panel=RUNNING)
    ] = False,
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
    )
    if not request.paths and from_list is None:
        raise UsageError("no video was given", "give files or folders, as in: nsnet tag ./videos")
    options = tag_options(
        checkpoint,
        frames=frames,
        preview=preview,
        budget=budget,
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
    return "jsonl" if json_lines else format or "table"
