"""`nsnet find`: moments in videos that were tagged with -o, by words or by a picture."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nsnet_cli.cli.console import Console
from nsnet_cli.cli.options import OPTIONS, OUTPUT, RUNNING, TALKING, Command, Shared, new_app, shared
from nsnet_cli.errors import EXIT_OK, EXIT_SOME_FAILED, NoInputError, UsageError
from nsnet_cli.storage.urls import COPY_DOWN, refuse_url

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nsnet_cli.index.hits import Hit
    from nsnet_cli.index.library import Counts, Library
    from nsnet_cli.index.pictures import Clipped
    from nsnet_cli.words import Matched

app = new_app()
MOST_TOLD = 4
"""How many names a message lists."""

Results = Annotated[
    Path, typer.Argument(help="The folder that `nsnet tag -o` wrote to.", metavar="RESULTS", show_default=False)
]
Words = Annotated[
    list[str] | None,
    typer.Argument(
        help="A tag, a synonym, or what stands over tags; a comma separates alternatives. Or any words (see above).",
        metavar="[WORDS]...",
        show_default=False,
    ),
]
LikeFile = Annotated[
    str | None,
    typer.Option(
        "--like",
        help="Find moments that look like a picture, a clip, or a frame of one (clip.mp4@12.5), instead of words.",
        metavar="FILE[@SECONDS]",
    ),
]
Duplicates = Annotated[
    bool, typer.Option("--duplicates", help="List near-duplicate videos: recoded, scaled or trimmed copies.")
]
Most = Annotated[
    int, typer.Option("--top-k", "-n", help="Most hits.", min=1, max=1_000_000, metavar="N", rich_help_panel=OUTPUT)
]
Least = Annotated[
    float,
    typer.Option(
        "--precision",
        help="Leave out hits for words that are less likely than this.",
        min=0.0,
        max=1.0,
        metavar="P",
        rich_help_panel=OUTPUT,
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object per hit, one per line.", rich_help_panel=OUTPUT)
]
Clips = Annotated[
    Path | None,
    typer.Option(
        "--clips",
        help="Also cut each hit out of its video, into this folder. Nothing is recoded or overwritten.",
        metavar="DIR",
        rich_help_panel=OUTPUT,
    ),
]
PageFolder = Annotated[
    Path | None,
    typer.Option(
        "--page",
        help="Also write a page with a picture of each hit into this folder. Without a question: a page of all videos.",
        metavar="DIR",
        rich_help_panel=OUTPUT,
    ),
]
FOR_LIKE = {
    "help": "The checkpoint that the videos were tagged with, for --like. One for any words: answer WORDS with it.",
    "rich_help_panel": RUNNING,
}


@app.command(cls=Command)
@shared("device", *TALKING, checkpoint=FOR_LIKE)
def find(
    results: Results,
    words: Words = None,
    like: LikeFile = None,
    duplicates: Duplicates = False,
    most: Most = 10,
    least: Least = 0.0,
    as_json: AsJson = False,
    clips: Clips = None,
    page: PageFolder = None,
    *,
    shared: Shared,
) -> int:
    """Find moments in videos that were tagged with -o, the best first. No video is decoded.

    `nsnet find results dog` also finds terriers. A question mark stands after what is only a guess. Where no video has
    the tag, and videos were tagged with a checkpoint for any words, the words are compared with the kept images.
    """
    refuse_url(results, "results at a URL cannot be searched", COPY_DOWN)
    console, asked = shared.console(), " ".join(words or ()).strip()
    if page and not (asked or like or duplicates or clips):
        return write_all(results, page, console)
    if bool(asked) + bool(like) + duplicates != 1:
        message = "nothing to find" if not (asked or like or duplicates) else "more than one question"
        raise UsageError(message, 'give either words, as in nsnet find RESULTS "dog", or --like, or --duplicates')
    if duplicates:
        if clips or page:
            raise UsageError("--duplicates has no clips and no page", "leave out --clips and --page")
        return show_duplicates(results, as_json, console)
    if page:
        from nsnet_cli.outputs.save import check_folder

        check_folder(page, ["index.html"], ["index.html"])
    if like:
        hits = by_picture(results, like, most, shared, console)
    else:
        hits = by_words(results, asked, most, least, shared, console)
    made = cut_clips(hits, clips, console) if clips else []
    if page and hits:
        write_page(asked or f"like {like}", hits, made, page, console)
    show(hits, made, as_json, console)
    return EXIT_SOME_FAILED if any(each.clip is None for each in made) else EXIT_OK


def write_all(results: Path, folder: Path, console: Console) -> int:
    """Writes the page of all videos."""
    from nsnet_cli.outputs.index import INDEX
    from nsnet_cli.outputs.keptpage import write_library

    left_out = write_library(results, folder)
    console.info(f"wrote {folder / INDEX}")
    return EXIT_SOME_FAILED if left_out else EXIT_OK


# ---- questions -------------------------------------------------------------------------------------------------------


def by_words(results: Path, words: str, most: int, least: float, shared: Shared, console: Console) -> list[Hit]:
    """The hits for words: of tags, or of what an image-text run kept if no tag is meant.

    Raises NoInputError if no tag is meant and no images were kept.
    """
    from nsnet_cli.index.library import ask

    def put(library: Library) -> tuple[list[Hit], str | None]:
        found = library.names().match(words)
        if not found.tags and (made_by := library.image_checkpoint()) is not None:
            return [], made_by
        return by_tags(library, words, found, most, least, console), None

    spec: str | None = shared.checkpoint
    if not _takes_words(shared.checkpoint):
        hits, spec = ask(results, put)
        if spec is None:
            return hits
        console.info(f"no video has the tag {words!r}: comparing the words with kept images")
    return by_text(results, words, str(spec), most, least, console)


def _takes_words(spec: str) -> bool:
    """Whether the checkpoint that was named takes any words. The default one, which takes none, is not looked at."""
    if spec == OPTIONS["checkpoint"].default:
        return False
    from nsnet_cli.weights.checkpoint import resolve_checkpoint
    from nsnet_cli.weights.text_head import TextHead

    return isinstance(resolve_checkpoint(spec).head, TextHead)


def by_tags(library: Library, words: str, found: Matched, most: int, least: float, console: Console) -> list[Hit]:
    tell(library.counts(), console)
    if not found.known:
        tags = "see the tags: nsnet models show NAME --json"
        raise NoInputError(f"no tag {words!r}", f"did you mean {_either(found.offered)}?" if found.offered else tags)
    if found.instead:
        console.info(f"{words!r} is not a tag of its own: these are hits for {_list(found.instead)}")
    hits = library.by_tags(found.tags, most, least)
    if not hits:
        console.info(f"nothing found for {words!r}")
    return hits


def by_text(results: Path, words: str, spec: str, most: int, least: float, console: Console) -> list[Hit]:
    """The hits for any words, among the images that a run with the checkpoint `spec` kept."""
    from nsnet_cli.index.free_text import embed_text
    from nsnet_cli.index.library import ask
    from nsnet_cli.index.like import like

    if least:
        raise UsageError("--precision is for tags: hits for any words have no probability", "leave it out")
    question = embed_text(words, spec)

    def put(library: Library) -> list[Hit]:
        counts = library.counts()
        tell(counts, console)
        if counts.without_images:
            console.info(f"{counts.without_images:,} of {counts.videos:,} videos have no images for words: left out")
        return like(library, question, most)

    hits = ask(results, put)
    if not hits:
        console.info(f"nothing found for {words!r}")
    return hits


def by_picture(results: Path, what: str, most: int, shared: Shared, console: Console) -> list[Hit]:
    """The hits for `--like`."""
    from concurrent.futures import ThreadPoolExecutor

    from nsnet_cli.index.library import ask
    from nsnet_cli.index.like import like
    from nsnet_cli.index.question import embed, split

    split(what)  # a wrong path is told before any work
    if not results.is_dir():
        raise NoInputError(f"{results} is not a folder", "give the folder that `nsnet tag -o` wrote to")
    with ThreadPoolExecutor(1) as beside:  # networks load while the index is brought up to date
        question = beside.submit(embed, what, shared.checkpoint, shared.device)

        def put(library: Library) -> list[Hit]:
            tell(library.counts(), console, embeddings=True)
            return like(library, question.result(), most)

        return ask(results, put)


def show_duplicates(results: Path, as_json: bool, console: Console) -> int:
    from nsnet_cli.index.duplicates import Pair, duplicates, pair_dict, pairs_table
    from nsnet_cli.index.library import ask
    from nsnet_cli.text import json_text

    def question(library: Library) -> list[Pair]:
        tell(library.counts(), console, embeddings=True)
        return duplicates(library)

    pairs = ask(results, question)
    if as_json:
        for pair in pairs:
            console.data(json_text(pair_dict(pair)))
    elif pairs:
        console.data(pairs_table(pairs, _width(console), console.color), end="")
    else:
        console.info("no near-duplicates")
    return EXIT_OK


def tell(counts: Counts, console: Console, *, embeddings: bool = False) -> None:
    """Says what is left out of answers."""
    if counts.skipped:
        console.info(f"{counts.skipped:,} files are no results, or damaged: left out")
    if embeddings and counts.without:
        console.info(f"{counts.without:,} of {counts.videos:,} videos have no embeddings: tag them again")


# ---- answers ---------------------------------------------------------------------------------------------------------


def cut_clips(hits: list[Hit], folder: Path, console: Console) -> list[Clipped]:
    from nsnet_cli.index.pictures import clips
    from nsnet_cli.video.pool import DecodePool

    with DecodePool() as pool:
        made = list(clips(hits, folder, pool))
    if written := sum(each.clip is not None and each.clip.written for each in made):
        console.info(f"wrote {written} clips to {folder}; each begins at the key frame before its hit")
    return made


def write_page(question: str, hits: list[Hit], made: Sequence[Clipped], folder: Path, console: Console) -> None:
    from nsnet_cli.index.pictures import INDEX, page, pictures
    from nsnet_cli.outputs.save import save
    from nsnet_cli.video.pool import DecodePool

    with DecodePool() as pool:
        jpegs = pictures(hits, pool)
    save(folder / INDEX, page(question, hits, jpegs, made, folder).encode())
    console.info(f"wrote {folder / INDEX}")


def show(hits: list[Hit], made: Sequence[Clipped], as_json: bool, console: Console) -> None:
    from nsnet_cli.index.hits import hit_dict, hits_table
    from nsnet_cli.text import json_text

    if as_json:
        made_of = {id(each.hit): each.clip for each in made}
        for hit in hits:
            console.data(json_text(hit_dict(hit, made_of.get(id(hit)))))
    elif hits:
        console.data(hits_table(hits, _width(console), console.color), end="")


def _width(console: Console) -> int | None:
    return shutil.get_terminal_size((80, 24)).columns if console.data_is_terminal else None


def _list(names: tuple[str, ...]) -> str:
    more = len(names) - MOST_TOLD
    return ", ".join(names[:MOST_TOLD]) + (f" and {more} more" if more > 0 else "")


def _either(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " or " + names[-1]
