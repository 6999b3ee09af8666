"""`nsnet frames`: the salient frames of videos as files, for any other tool in a pipeline."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nsnet_cli.cli.console import Console
from nsnet_cli.cli.explain import complaint
from nsnet_cli.cli.options import (
    OPTIONS,
    Budget,
    CheckpointName,
    Command,
    Decoder,
    Device,
    Frames,
    PolicyName,
    Preview,
    Quiet,
    Seed,
    Timeout,
    Verbose,
    new_app,
    tag_options,
)
from nsnet_cli.errors import EXIT_OK, EXIT_SOME_FAILED, NoInputError
from nsnet_cli.text import harmless

if TYPE_CHECKING:
    from nsnet_cli.types import VideoResult

app = new_app()


@app.command(cls=Command)
def frames_command(
    videos: Annotated[list[str], typer.Argument(help="Videos, folders or globs.", metavar="VIDEO...")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Write them here. [default: nsnet-frames]",
            show_default=False,
            metavar="DIR",
            rich_help_panel="Output",
        ),
    ] = None,
    image: Annotated[
        Literal["jpg", "png"], typer.Option("--format", help="What to write.", rich_help_panel="Output")
    ] = "jpg",
    times: Annotated[
        bool,
        typer.Option(
            "--times",
            help="Write no files; print seconds, saliency and video, parted by tabs.",
            rich_help_panel="Output",
        ),
    ] = False,
    print0: Annotated[
        bool, typer.Option("--print0", "-0", help="End lines with NUL, for xargs -0.", rich_help_panel="Output")
    ] = False,
    checkpoint: CheckpointName = OPTIONS["checkpoint"].default,
    policy: PolicyName = OPTIONS["policy"].default,
    frames: Frames = None,
    preview: Preview = None,
    budget: Budget = None,
    seed: Seed = OPTIONS["seed"].default,
    device: Device = OPTIONS["device"].default,
    decoder: Decoder = OPTIONS["decoder"].default,
    timeout: Timeout = OPTIONS["timeout"].default,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> int:
    """Write the salient frames of videos as pictures and print the path of each, best used with xargs.

    The pictures have the preview's size: the whole frame, its longest side at most 320 px. For full-size frames take
    --times and let ffmpeg cut them out.
    """
    console = Console(quiet, verbose)
    from nsnet_cli.batch import Job, run
    from nsnet_cli.cores import usable_cores
    from nsnet_cli.inputs import find_videos, relative_name
    from nsnet_cli.outputs.store import output_names

    found = find_videos(videos)
    if not found.videos:
        raise NoInputError(f"no video in {', '.join(videos)}", "give a video, a folder of videos or a glob")
    options = tag_options(checkpoint, policy=policy, frames=frames, preview=preview, budget=budget, seed=seed,
                          decoder=decoder)  # fmt: skip
    from nsnet_cli.tagger import Tagger
    from nsnet_cli.video.pool import DecodePool

    tagger = Tagger.from_checkpoint(
        checkpoint, options, device=device, jpegs=not times, threads=usable_cores(), say=console.info
    )
    names = output_names(relative_name(video.path, found.base) for video in found.videos)
    jobs = [Job(v.path, name, v.error) for v, name in zip(found.videos, names, strict=True)]
    folder, end, failed, count = out or Path("nsnet-frames"), "\0" if print0 else "\n", 0, 0
    pool = DecodePool(timeout_s=timeout or None)
    with closing(run(tagger, jobs, pool=pool, threads=1, timeout_s=timeout or None)) as finished:  # type: ignore[type-var]
        for item in finished:
            if item.result.error is not None:
                failed += 1
                console.error(harmless(complaint(item.result)))
                continue
            lines = time_lines(item.result) if times else write_frames(item.result, folder, item.job.name, image)
            for line in lines:
                count += 1
                console.data(line, end=end)
    if not times and count:
        console.info(f"wrote {count} frames to {folder} (preview size, at most 320 px)")
    return EXIT_SOME_FAILED if failed else EXIT_OK


def time_lines(result: VideoResult) -> Iterator[str]:
    """'12.400<TAB>0.97<TAB>clip.mp4' for each salient frame, in order of time."""
    for frame in result.salient_frames:
        yield f"{frame.pts_s:.6f}\t{frame.saliency:.4f}\t{result.path}"


def write_frames(result: VideoResult, folder: Path, name: str, image: str) -> Iterator[str]:
    """Write each salient frame as `folder`/`name`.00012.400s.jpg and yield its path."""
    from nsnet_cli.outputs.save import save
    from nsnet_cli.outputs.store import fit_name
    from nsnet_cli.outputs.thumbnails import thumbnails

    parent, _, stem = name.rpartition("/")
    for suffix, jpeg in thumbnails(result):
        suffix = suffix.removesuffix(".jpg") + f".{image}"
        path = folder / parent / fit_name(stem, suffix)
        save(path, jpeg if image == "jpg" else to_png(jpeg))
        yield str(path)


def to_png(jpeg: bytes) -> bytes:
    """The same pixels as PNG."""
    from PIL import Image

    out = io.BytesIO()
    Image.open(io.BytesIO(jpeg)).save(out, "PNG")
    return out.getvalue()
