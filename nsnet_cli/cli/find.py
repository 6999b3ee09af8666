"""`nsnet find`: moments in videos that were tagged with -o, by words or by a picture."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nsnet_cli.cli.console import Console
from nsnet_cli.cli.options import OUTPUT, TALKING, Command, Shared, new_app, shared
from nsnet_cli.errors import EXIT_OK, NoInputError, UsageError

if TYPE_CHECKING:
    from nsnet_cli.index.hits import Hit
    from nsnet_cli.index.library import Counts, Library

app = new_app()

Results = Annotated[
    Path, typer.Argument(help="The folder that `nsnet tag -o` wrote to.", metavar="RESULTS", show_default=False)
]
Words = Annotated[
    list[str] | None,
    typer.Argument(
        help="What to find: a tag, a synonym, or what stands over tags. A comma separates alternatives.",
        metavar="[WORDS]...",
        show_default=False,
    ),
]
Most = Annotated[
    int, typer.Option("--top-k", "-n", help="Most hits.", min=1, max=1_000_000, metavar="N", rich_help_panel=OUTPUT)
]
Least = Annotated[
    float,
    typer.Option(
        "--precision",
        help="Leave out hits that are less likely than this.",
        min=0.0,
        max=1.0,
        metavar="P",
        rich_help_panel=OUTPUT,
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object per hit, one per line.", rich_help_panel=OUTPUT)
]


@app.command(cls=Command)
@shared(*TALKING)
def find(
    results: Results,
    words: Words = None,
    most: Most = 10,
    least: Least = 0.0,
    as_json: AsJson = False,
    *,
    shared: Shared,
) -> int:
    """Find moments in videos that were tagged with -o, the best first. No video is decoded.

    `nsnet find results dog` also finds terriers. A question mark stands after what is only a guess.
    """
    from nsnet_cli.index.library import ask

    console = shared.console()
    asked = " ".join(words or ()).strip()
    if not asked:
        raise UsageError("nothing to find", 'give words: nsnet find RESULTS "dog"')
    hits = ask(results, lambda library: by_words(library, asked, most, least, console))
    show(hits, as_json, console)
    return EXIT_OK


def by_words(library: Library, words: str, most: int, least: float, console: Console) -> list[Hit]:
    """The hits for words. Raises NoInputError if no tag is meant."""
    tell(library.counts(), console)
    names = library.names()
    found = names.match(words)
    if not found.known:
        offered = f"did you mean {_either(found.offered)}?" if found.offered else "see the tags: nsnet models show"
        raise NoInputError(f"no tag {words!r}", offered)
    if found.narrower is not None:
        console.info(f"{words!r} is no tag of its own: these are hits for {found.narrower!r}")
    hits = library.by_tags(found.tags, most, least)
    if not hits:
        console.info(f"nothing found for {words!r}")
    return hits


def tell(counts: Counts, console: Console) -> None:
    """Says what is left out of all answers."""
    if counts.skipped:
        console.info(f"{counts.skipped:,} files are no results, or damaged: left out")


def show(hits: list[Hit], as_json: bool, console: Console) -> None:
    from nsnet_cli.index.hits import hit_dict, hits_table
    from nsnet_cli.text import json_text

    if as_json:
        for hit in hits:
            console.data(json_text(hit_dict(hit)))
    elif hits:
        width = shutil.get_terminal_size((80, 24)).columns if console.data_is_terminal else None
        console.data(hits_table(hits, width, console.color), end="")


def _either(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " or " + names[-1]
