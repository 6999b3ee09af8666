"""`nsnet export`: hands kept results to other programs, without looking at a video again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nsnet_cli.cli.console import Console
from nsnet_cli.cli.options import OUTPUT, TALKING, Command, Shared, new_app, option, shared
from nsnet_cli.errors import EXIT_OK, EXIT_SOME_FAILED, UsageError
from nsnet_cli.outputs.exports.table import EXPORTS
from nsnet_cli.storage.urls import COPY_DOWN, refuse_url

if TYPE_CHECKING:
    from nsnet_cli.outputs.exports.write import Summary

app = new_app()
FOLDER = "export"

Results = Annotated[Path, typer.Argument(help="The folder of results that `nsnet tag -o` keeps.", metavar="RESULTS")]
To = Annotated[
    str | None,
    typer.Option(
        "--to",
        help="Formats, comma-separated. " + "; ".join(f"{row.name}: {row.help}" for row in EXPORTS.values()) + ".",
        metavar="FORMAT,...",
    ),
]
Undo = Annotated[
    str | None,
    typer.Option("--undo", help="Take out what these formats wrote beside the videos.", metavar="FORMAT,..."),
]
OutputDir = Annotated[
    Path | None,
    typer.Option(
        "--output-dir",
        "-o",
        help=f"Where to write. [default: RESULTS/{FOLDER}]",
        show_default=False,
        metavar="DIR",
        rich_help_panel=OUTPUT,
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Also replace exported files that were changed since.", rich_help_panel=OUTPUT),
]
TopK = Annotated[
    int | None, option("top_k", help="Most certain tags per video. [default: as kept]", show_default=False)
]
Threshold = Annotated[
    float | None, option("threshold", help="Leave out tags with a lower score. [default: as kept]", show_default=False)
]
Precision = Annotated[
    float | None,
    option(
        "precision",
        help="The share of certain tags that must be right; at least that of `nsnet tag`. [default: as kept]",
        show_default=False,
    ),
]


@app.command(cls=Command)
@shared(*TALKING)
def export(
    results: Results,
    to: To = None,
    undo: Undo = None,
    output_dir: OutputDir = None,
    overwrite: Overwrite = False,
    top_k: TopK = None,
    threshold: Threshold = None,
    precision: Precision = None,
    *,
    shared: Shared,
) -> int:
    """Hand kept results to other programs: editors, players, data and label tools.

    Only certain tags and their spans are exported. Videos need not be there any more. Prints the folder of the files.
    Sidecars and desktop tags go beside the videos; --undo takes nsnet's own out again.
    Files that nsnet did not write, or that were changed since, stay as they are. Exit codes: 0 all done, 2 wrong usage,
    3 a file stayed or a result could not be read, 4 no results found.
    """
    from nsnet_cli.outputs.exports import write
    from nsnet_cli.outputs.exports.entries import Choice
    from nsnet_cli.outputs.exports.table import chosen

    refuse_url(results, "results at a URL cannot be exported", COPY_DOWN)
    console, target = shared.console(), output_dir or results / FOLDER
    if (to is None) == (undo is None):
        raise UsageError("give either --to or --undo", "as in: nsnet export RESULTS --to parquet,vtt")
    if undo is not None:
        summary = write.undo(results, chosen("--undo", undo), target)
    else:
        formats = chosen("--to", to or "")
        for row in formats:
            row.check_packages()
        summary = write.export(results, formats, Choice(top_k, threshold, precision), target, overwrite)
        if summary.in_folder:
            console.data(str(target))
    tell(summary, console)
    return EXIT_SOME_FAILED if summary.refused or summary.unreadable else EXIT_OK


def tell(summary: Summary, console: Console) -> None:
    """Says how many files were written, and which videos are not in all of them."""
    from nsnet_cli.outputs.words import plural

    files = ", ".join(f"{name} {count:,}" for name, count in summary.files.items())
    console.info(f"{plural(summary.videos, 'video')}; files: {files or 'none'}")
    if summary.failed or summary.uncertain:
        console.info(
            f"{summary.uncertain:,} with nothing certain, {summary.failed:,} that could not be tagged: only"
            " tables and label tools have them"
        )
    if summary.uncalibrated:
        console.info(
            f"{plural(summary.uncalibrated, 'result')} without probabilities (from version 0.1, or a checkpoint that"
            " was never calibrated): tag again for certain tags"
        )
    if summary.gone:
        instead = f"; the sidecars of {len(summary.apart):,} are in the folder" if summary.apart else ""
        console.warn(f"{plural(len(summary.gone), 'video')} no longer there: nothing was written beside them{instead}")
