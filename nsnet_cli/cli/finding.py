"""What a command is given, found: paths, lists, patterns; what is left out on the way is said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nsnet_cli import inputs, lists
from nsnet_cli.cli.console import Console
from nsnet_cli.cli.options import RUNNING
from nsnet_cli.errors import EXIT_OK, NoInputError
from nsnet_cli.looking import look_at_each
from nsnet_cli.outputs.formats import FORMATS
from nsnet_cli.outputs.names import apart
from nsnet_cli.text import json_text, printable

if TYPE_CHECKING:
    from nsnet_cli.batch import Job
    from nsnet_cli.outputs.files import FileOutputs

MOST_ENDINGS = 5
LONGEST_ENDING = 12
"""Characters; what is longer is no ending but a name with a dot in it."""

Exclude = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude",
        help="Leave out what matches, in folders and globs, by the rules of .gitignore. Repeatable.",
        metavar="PATTERN",
        rich_help_panel=RUNNING,
    ),
]
Hidden = Annotated[
    bool,
    typer.Option(
        "--hidden",
        help="Search hidden entries and the system's folders (@eaDir, #recycle, .Trash) too.",
        rich_help_panel=RUNNING,
    ),
]


def find(given: Sequence[str], search: inputs.Search, console: Console) -> inputs.FoundInputs:
    """The videos of paths, folders and globs. Raises NoInputError where there is none."""
    found = inputs.find_videos(given, search)
    for warning in found.warnings:
        console.warn(warning)
    if found.duplicates:
        console.detail(f"{found.duplicates} videos given more than once, tagged once")
    if not found.videos:
        what = ", ".join(given[:3]) + (", ..." if len(given) > 3 else "") or "the list"
        other = f" ({left_out_words(found.left_out)})" if found.skipped else ""
        raise NoInputError(f"no video in {what}{other}", "give a video file, or a folder that holds some")
    return found


def listed(name: str, console: Console) -> list[str]:
    """The paths of a list. Its folders are told before any work: a line too many could mean a whole disk."""
    found = lists.read_list_file(name)
    paths = [Path(path) for path in found.paths]
    is_folder = look_at_each(paths, inputs.is_folder)
    folders = [path for path, folder in zip(found.paths, is_folder, strict=True) if folder]
    if not folders:
        return found.paths
    words = ", ".join(printable(path) for path in folders[:3]) + (", ..." if len(folders) > 3 else "")
    count = f"{len(folders)} folder{'s' if len(folders) > 1 else ''}"
    if found.lines:
        console.info(f"the list names {count} to search: {words}")
        return found.paths
    console.warn(f"the list names {count}, left out: {words} (a folder counts on a line of its own)")
    return [path for path, folder in zip(found.paths, is_folder, strict=True) if not folder]


def left_out_words(left_out: Counter[str]) -> str:
    """'left out: 12 .jpg, 3 .txt, 1 without ending': the most common endings."""
    named: Counter[str] = Counter()
    for ending, count in left_out.items():
        named["without ending" if len(ending) < 2 else ending if len(ending) <= LONGEST_ENDING else "others"] += count
    rest = named.pop("others", 0)
    ranked = sorted(named.items(), key=lambda item: (-item[1], not item[0].startswith("."), item[0]))
    rest += sum(count for _, count in ranked[MOST_ENDINGS:])
    words = [f"{count} {ending}" for ending, count in ranked[:MOST_ENDINGS]]
    return "left out: " + ", ".join(words + ([f"{rest} others"] if rest else []))


def show_plan(jobs: list[Job], todo: list[Job], files: FileOutputs, format: str, console: Console) -> int:
    """What a run would do, one video per line."""
    waiting, taken = {job.path: job for job in todo}, set[str]()
    for job in (waiting.get(job.path, job) for job in jobs):
        action = "skip" if job.path not in waiting else "tag" if job.error is None else "fail"
        target = _target(job, files, taken)
        if FORMATS[format].is_json:
            console.data(json_text({"path": job.path, "action": action, "output": target}))
        else:
            reason = f"  ({job.error.kind})" if job.error else ""
            console.data(f"{action}\t{printable(job.path)}{reason}" + (f"\t{printable(target)}" if target else ""))
    console.info(f"{len(todo)} of {len(jobs)} videos to tag; nothing was done (--dry-run)")
    return EXIT_OK


def _target(job: Job, files: FileOutputs, taken: set[str]) -> str | None:
    """Where the result of a job will lie; `taken`: the names of those before it."""
    if files.results is None:
        return None
    name = files.look(job.name, lambda: None, job.source).name
    if name in taken and job.source is not None:
        name = apart(job.name, job.source.path)
    taken.add(name)
    return str(files.results.path(name))
