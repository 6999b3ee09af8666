"""`nsnet find`: moments in videos that were tagged with -o, by words or by a picture."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nsnet_cli.cli.console import Console
from nsnet_cli.cli.options import OUTPUT, RUNNING, TALKING, Command, Shared, new_app, shared
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
Like = Annotated[
    str | None,
    typer.Option(
        help="Find moments that look like a picture, a clip, or a frame of one (clip.mp4@12.5), instead of words.",
        metavar="FILE[@SECONDS]",
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object per hit, one per line.", rich_help_panel=OUTPUT)
]
FOR_LIKE = {"help": "The checkpoint that the videos were tagged with, for --like.", "rich_help_panel": RUNNING}


@app.command(cls=Command)
@shared("device", *TALKING, checkpoint=FOR_LIKE)
def find(
    results: Results,
    words: Words = None,
    like: Like = None,
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
    if bool(asked) == bool(like):
        hint = 'give words or --like: nsnet find RESULTS "dog"'
        raise UsageError("words and --like are two questions" if like else "nothing to find", hint)
    if like:
        hits = by_picture(results, like, most, shared, console)
    else:
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


def by_picture(results: Path, what: str, most: int, shared: Shared, console: Console) -> list[Hit]:
    """The hits for `--like`."""
    from nsnet_cli.index.library import ask
    from nsnet_cli.index.like import like
    from nsnet_cli.index.question import embed, split

    split(what)  # a wrong path is told before any work
    ask(results, lambda library: tell(library.counts(), console, embeddings=True))
    question = embed(what, shared.checkpoint, shared.device)
    return ask(results, lambda library: like(library, question, most))


def tell(counts: Counts, console: Console, *, embeddings: bool = False) -> None:
    """Says what is left out of answers."""
    if counts.skipped:
        console.info(f"{counts.skipped:,} files are no results, or damaged: left out")
    if embeddings and counts.without:
        console.info(f"{counts.without:,} of {counts.videos:,} videos have no embeddings: tag them again")


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
