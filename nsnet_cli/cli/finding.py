"""The videos a command is given (paths, lists, patterns), and the plan that --dry-run prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nsnet_cli import inputs, lists
from nsnet_cli.cli.console import Console
from nsnet_cli.cli.options import RUNNING
from nsnet_cli.errors import EXIT_OK
from nsnet_cli.looking import look_at_each
from nsnet_cli.outputs.formats import FORMATS
from nsnet_cli.outputs.names import apart
from nsnet_cli.records import dataclass
from nsnet_cli.text import json_text, printable

if TYPE_CHECKING:
    from nsnet_cli.outputs.files import FileOutputs
    from nsnet_cli.run.jobs import Job

Exclude = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude",
        help="Skip matching files in folders and globs; written as in .gitignore. Repeatable.",
        metavar="PATTERN",
        rich_help_panel=RUNNING,
    ),
]
Hidden = Annotated[
    bool,
    typer.Option(
        "--hidden",
        help="Also search hidden files and system folders (@eaDir, #recycle, .Trash).",
        rich_help_panel=RUNNING,
    ),
]


@dataclass(frozen=True, slots=True)
class Given:
    """What a command was given. `columns`: what manifests say about each path, beside where it is."""

    paths: tuple[str, ...]
    columns: Mapping[str, Mapping[str, Any]]


def given(paths: Sequence[str], from_list: str | None, console: Console) -> Given:
    """The paths from the command line and from the lists and manifests named there (`-` is a list on stdin)."""
    names = [name for name in (from_list, *("-" for path in paths if path == "-")) if name]
    found = [path for path in paths if path != "-"]
    columns: Mapping[str, Mapping[str, Any]] = {}
    if not names:
        return Given(tuple(found), columns)
    from nsnet_cli.manifests import read_manifest

    for name in dict.fromkeys(names):
        manifest = read_manifest(name)
        if manifest is None:
            found += listed(name, console)
            continue
        if manifest.without:
            console.warn(f"{name}: {manifest.without} rows have neither path nor url, left out")
        announce(manifest.paths, "manifest", console)
        found, columns = found + manifest.paths, manifest.columns
    return Given(tuple(found), columns)


def listed(name: str, console: Console) -> list[str]:
    """The paths of a list. Folders count only in one with a path per line."""
    found = lists.read_list_file(name)
    if found.lines:
        announce(found.paths, "list", console)
        return found.paths
    folders = set(_folders(found.paths))
    if folders:
        words = _some([path for path in found.paths if path in folders])
        why = "a folder counts only in a list with one path per line"
        console.warn(f"the list has {words[0]}, left out: {words[1]} ({why})")
    return [path for path in found.paths if path not in folders]


def announce(paths: Sequence[str], what: str, console: Console) -> None:
    """Says which folders are to be searched, before any work: one wrong line could mean a whole disk."""
    if folders := _folders(paths):
        count, words = _some(folders)
        console.info(f"the {what} has {count} to search: {words}")


def _folders(paths: Sequence[str]) -> list[str]:
    is_folder = look_at_each([Path(path) for path in paths], inputs.is_folder)
    return [path for path, folder in zip(paths, is_folder, strict=True) if folder]


def _some(folders: Sequence[str]) -> tuple[str, str]:
    words = ", ".join(printable(path) for path in folders[:3]) + (", ..." if len(folders) > 3 else "")
    return f"{len(folders)} folder{'s' if len(folders) > 1 else ''}", words


def show_plan(
    jobs: list[Job], todo: list[Job], again: list[Job], files: FileOutputs, format: str, console: Console
) -> int:
    """Prints what a run would do, one video per line. `again`: what is only rendered anew."""
    waiting, taken = {job.path: job for job in todo}, set[str]()
    anew = {job.path for job in again}
    for job in (waiting.get(job.path, job) for job in jobs):
        left = "render" if job.path in anew else "skip"
        action = left if job.path not in waiting else "tag" if job.error is None else "fail"
        target = _target(job, files, taken)
        if FORMATS[format].is_json:
            console.data(json_text({"path": job.path, "action": action, "output": target}))
        else:
            reason = f"  ({job.error.kind})" if job.error else ""
            console.data(f"{action}\t{printable(job.path)}{reason}" + (f"\t{printable(target)}" if target else ""))
    rendered = f", {len(again)} to render anew" if again else ""
    console.info(f"{len(todo)} of {len(jobs)} videos to tag{rendered}; nothing was done (--dry-run)")
    return EXIT_OK


def _target(job: Job, files: FileOutputs, taken: set[str]) -> str | None:
    """Where the result of a job will be. `taken`: the names of the jobs before it."""
    if files.results is None:
        return None
    if files.in_parts:
        return str(files.results.root)
    name = files.look(job.name, lambda: None, job.source).name
    if name in taken and job.source is not None:
        name = apart(job.name, job.source.path)
    taken.add(name)
    return str(files.results.path(name))
