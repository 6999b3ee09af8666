"""`nsnet merge`: makes one file of the rows of many parts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nsnet_cli.cli.options import OUTPUT, TALKING, Command, Shared, new_app, shared
from nsnet_cli.errors import EXIT_OK, EXIT_SOME_FAILED
from nsnet_cli.text import harmless, printable

app = new_app()

Parts = Annotated[
    list[Path],
    typer.Argument(
        help="Rows as .jsonl, .csv or .parquet, or folders of results.", metavar="PARTS", show_default=False
    ),
]
Output = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        help="The file to write: .jsonl, .csv or .parquet.",
        metavar="FILE",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
]


@app.command(cls=Command)
@shared(*TALKING)
def merge(parts: Parts, output: Output, *, shared: Shared) -> int:
    """Make one file of the rows of shards, with each video once.

    Of two rows of a video, the one that is tagged counts, else the later one. Exit codes: 0 all done, 2 wrong usage,
    3 a part could not be read whole (its whole rows are in the file), 4 a part is not there.
    """
    from nsnet_cli.outputs.merging import merge as merge_parts

    console = shared.console()
    merged = merge_parts(parts, output)
    for part, why in merged.torn.items():
        console.warn(f"{printable(str(part))}: {harmless(why)}")
    doubled = f"; {merged.doubled:,} of videos that stand there already, left out" if merged.doubled else ""
    console.info(f"{merged.rows:,} rows in {printable(str(output))}{doubled}")
    return EXIT_SOME_FAILED if merged.torn else EXIT_OK
