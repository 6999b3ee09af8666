"""`nsnet frames`: the salient frames of videos as files, for other tools in a pipeline."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nsnet_cli.cli.explain import complaint
from nsnet_cli.cli.finding import Exclude, Hidden
from nsnet_cli.cli.options import OUTPUT, TAGGING, TALKING, WORDS, Command, Shared, new_app, shared
from nsnet_cli.errors import EXIT_OK, EXIT_SOME_FAILED, EXIT_UNEXPECTED, OutputError
from nsnet_cli.text import harmless

if TYPE_CHECKING:
    from nsnet_cli.outputs.store import ResultStore
    from nsnet_cli.run.jobs import Finished, Job
    from nsnet_cli.types import VideoResult

app = new_app()


Videos = Annotated[list[str], typer.Argument(help="Videos, folders or globs.", metavar="VIDEO...")]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        help="Folder for the pictures. [default: nsnet-frames]",
        show_default=False,
        metavar="DIR",
        rich_help_panel=OUTPUT,
    ),
]
Image = Annotated[Literal["jpg", "png"], typer.Option("--format", help="Picture format.", rich_help_panel=OUTPUT)]
Times = Annotated[
    bool,
    typer.Option(
        "--times",
        help="Write no files; print time in seconds, saliency and video per frame, tab-separated.",
        rich_help_panel=OUTPUT,
    ),
]
Print0 = Annotated[
    bool, typer.Option("--print0", "-0", help="End each line with NUL, for xargs -0.", rich_help_panel=OUTPUT)
]


@app.command(cls=Command)
@shared(*TAGGING, *WORDS, *TALKING)
def frames_command(
    videos: Videos,
    out: Out = None,
    image: Image = "jpg",
    times: Times = False,
    print0: Print0 = False,
    exclude: Exclude = None,
    hidden: Hidden = False,
    *,
    shared: Shared,
) -> int:
    """Write the salient frames of videos as pictures, and print their paths, one per line, for tools such as xargs.

    A picture shows the whole frame, its longest side at most 320 px. For full-size frames, use --times and cut them out
    with ffmpeg.
    """
    from nsnet_cli.cores import usable_cores
    from nsnet_cli.outputs.names import output_name
    from nsnet_cli.outputs.store import ResultStore
    from nsnet_cli.run.finding import find, left_out_words
    from nsnet_cli.run.jobs import Job
    from nsnet_cli.run.opening import prepare
    from nsnet_cli.search import Search

    console = shared.console()
    found = find(videos, Search(tuple(exclude or ()), hidden))
    store = None if times else ResultStore(out or Path("nsnet-frames"))
    if store is not None:
        store.check()
    asked = replace(shared.asked(), precision=0.0)  # it shows no tags
    opening = prepare(asked, jpegs=not times, threads=usable_cores())
    jobs = [Job(v.path, output_name(v.name), v.error, v.source) for v in found.videos]
    end, failed, count = "\0" if print0 else "\n", 0, 0
    say = harmless if console.data_is_terminal and not print0 else str  # programs need names unchanged
    finished = opening.one_by_one(jobs, shared.timeout_s)
    with closing(store) if store is not None else nullcontext(), closing(finished):  # type: ignore[type-var]
        for item in finished:
            lines, error = outcome(item, store, image, say)
            if error is not None:
                failed += 1
                console.error(error)
            for line in lines:
                count += 1
                console.data(line, end=end)
    if store is not None and count:
        console.info(f"wrote {count} frames to {store.root} (preview size, at most 320 px)")
    if found.left_out:
        console.info(left_out_words(found.left_out))
    return EXIT_SOME_FAILED if failed else EXIT_OK


def outcome(
    item: Finished, store: ResultStore | None, image: str, say: Callable[[str], str]
) -> tuple[list[str], str | None]:
    """The lines to print for one video, and what is wrong with it, if anything. `say` spells a path."""
    if item.result.error is not None:
        return [], complaint(item.result)
    if store is None:
        return list(time_lines(item.result, say)), None
    try:
        return [say(str(path)) for path in write_frames(item.result, store, item.job, image)], None
    except OutputError as error:
        if error.exit_code == EXIT_UNEXPECTED:  # a full disk stops every video
            raise
        return [], f"{item.result.path}: {error}"


def time_lines(result: VideoResult, say: Callable[[str], str] = str) -> Iterator[str]:
    """'12.400<TAB>0.97<TAB>clip.mp4' per salient frame, in time order. `say` spells the path."""
    for frame in result.salient_frames:
        yield f"{frame.pts_s:.6f}\t{frame.saliency:.4f}\t{say(result.path)}"


def write_frames(result: VideoResult, store: ResultStore, job: Job, image: str) -> list[Path]:
    """Writes each salient frame below `store` as `job.name`.00012.400s.jpg and returns the paths. Raises OutputError.

    Pictures of another video with that name, and files that nsnet did not write, stay as they are.
    """
    from nsnet_cli.outputs.store import unseen
    from nsnet_cli.outputs.thumbnails import thumbnails

    source = job.source or unseen(job.path)
    pictures = [(suffix.removesuffix(".jpg") + f".{image}", jpeg) for suffix, jpeg in thumbnails(result)]
    with store.alone(job.name):
        name = store.picture_name(job.name, [suffix for suffix, _ in pictures], [source])
        written = [
            store.put(name, jpeg if image == "jpg" else to_png(jpeg), suffix, source) for suffix, jpeg in pictures
        ]
    return [path for path in written if path is not None]


def to_png(jpeg: bytes) -> bytes:
    """The same pixels as PNG."""
    from PIL import Image as Pillow

    out = io.BytesIO()
    Pillow.open(io.BytesIO(jpeg)).save(out, "PNG")
    return out.getvalue()
