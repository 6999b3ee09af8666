"""The data behind `nsnet models`: the registry's rows, local folders and Hub checkpoints, and which files are here.

Downloads and hashes nothing; only `with_size` asks the Hub.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from nsnet_cli.errors import WeightsError
from nsnet_cli.records import dataclass
from nsnet_cli.text import megabytes
from nsnet_cli.weights.checkpoint import CONFIG_FILE, MODEL_FILE, row_sampler
from nsnet_cli.weights.fields import read_json
from nsnet_cli.weights.files import expected_sha256, local_file
from nsnet_cli.weights.hubspec import PREFIX, hub_sources
from nsnet_cli.weights.memory import pinned_files
from nsnet_cli.weights.rows import (
    VOCABULARIES,
    CheckpointRow,
    FolderSource,
    HubSource,
    NetworkRow,
    PackageSource,
    Registry,
    Source,
    UrlSource,
)
from nsnet_cli.weights.schema import CONFIG_BYTES
from nsnet_cli.weights.vocabulary import load_vocabulary


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file that an entry needs, and its place on this machine."""

    owner: str
    """The network row or Hub checkpoint that it belongs to, as `pull` takes it."""
    file: str
    source: Source | None
    """None: a file in a local folder."""
    path: Path | None
    size_bytes: int | None
    sha256: str | None
    pinned: bool = False
    """The sha256 comes from the user's lock file, not from the row."""

    @property
    def where(self) -> str:
        if isinstance(self.source, HubSource):
            return f"{self.source.repo_id}@{self.source.revision[:8]}"
        if isinstance(self.source, UrlSource):
            return self.source.host
        return f"package {self.source.distribution}" if isinstance(self.source, PackageSource) else "folder"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of `nsnet models list`: a checkpoint or a network."""

    name: str
    kind: Literal["checkpoint", "network"]
    role: str
    license: str
    origin: str
    """'nsnet', the user's registry file, 'folder' or 'hub'."""
    summary: str
    files: tuple[FileEntry, ...]
    """The files it needs, each from the source that is here, else from the one to download."""
    tags: str | None = None
    """Its list of tags, such as '400 (kinetics-400)'. None: it has no names, or they are not known here."""
    gflops: float | None = None
    """What recognising a video costs with as many frames or clips as the checkpoint takes."""
    published: str | None = None
    note: str | None = None
    """As in the row of the recogniser."""

    @property
    def here(self) -> bool:
        return all(file.path is not None for file in self.files)

    @property
    def size_bytes(self) -> int | None:
        sizes = [file.size_bytes for file in self.files]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    @property
    def size(self) -> str:
        """The size in words; '> ' and the rest, where that of a small file is not known."""
        unknown = [file.file for file in self.files if file.size_bytes is None]
        if any(not name.endswith(".json") for name in unknown):
            return "?"
        return "> " * bool(unknown) + megabytes(sum(file.size_bytes or 0 for file in self.files))

    @property
    def missing(self) -> tuple[FileEntry, ...]:
        return tuple(file for file in self.files if file.path is None)


def catalog(registry: Registry, folders: Sequence[Path] = ()) -> list[Entry]:
    """All rows, the checkpoints in `folders` (or in their subfolders), and the Hub checkpoints in the cache."""
    entries = [checkpoint_entry(row) for row in registry.checkpoints.values()]
    for folder in folders:
        inside = (
            [folder] if (folder / CONFIG_FILE).is_file() else sorted(p.parent for p in folder.glob(f"*/{CONFIG_FILE}"))
        )
        if not inside:
            raise WeightsError(f"no checkpoint in {folder}", "nsnet train writes one", "not_a_checkpoint")
        entries += [folder_entry(path, registry) for path in inside]
    specs = dict.fromkeys(f"{PREFIX}{name.rsplit('/', 1)[0]}" for name in pinned_files() if name.endswith(CONFIG_FILE))
    entries += [entry for entry in map(hub_entry, specs) if entry.here]
    return entries + [network_entry(row, registry) for row in registry.networks.values()]


def find(name: str, registry: Registry) -> Entry:
    """The entry for a name: a checkpoint or network row, a folder, or hub:owner/name@revision. Raises WeightsError."""
    if name in registry.checkpoints:
        return checkpoint_entry(registry.checkpoints[name])
    if name in registry.networks:
        return network_entry(registry.networks[name], registry)
    if name.startswith(PREFIX):
        return hub_entry(name)
    if Path(name).is_dir():
        return folder_entry(Path(name), registry)
    known = ", ".join([*registry.checkpoints, *registry.networks])
    raise WeightsError(f"no checkpoint, network or folder named {name!r}", f"known: {known}", "unknown_checkpoint")


def checkpoint_entry(row: CheckpointRow) -> Entry:
    uses = f"{row.preview.network.name}@{row.preview.size_px} -> {row.recogniser.network.name}@{row.recogniser.size_px}"
    folder, _, note = row_sampler(row)
    files = [file for network in row.networks for file in network_files(network)]
    if folder is not None:
        files.append(_folder_file(row.name, folder / MODEL_FILE, row.sampler_sha256))
    summary = uses if note is None else f"{uses} (no sampler)"
    used = row.recogniser.network
    return Entry(
        row.name,
        "checkpoint",
        "checkpoint",
        row.license,
        row.origin,
        summary,
        tuple(files),
        tags=_tags(used),
        gflops=None if row.gflops is None else row.frames * row.gflops,
        published=used.published,
        note=used.note,
    )


def _tags(row: NetworkRow) -> str | None:
    if row.image_text:
        return "any words"
    tags = len(load_vocabulary(row.vocabulary))
    named = f" ({row.vocabulary})" if isinstance(row.vocabulary, str) and row.vocabulary in VOCABULARIES else ""
    return f"{tags}{named}" if tags else None


def network_entry(row: NetworkRow, registry: Registry) -> Entry:
    users = registry.checkpoints.values()
    roles = [
        role
        for role, used in (
            ("preview", any(user.preview.network.name == row.name for user in users)),
            ("recogniser", any(user.recogniser.network.name == row.name for user in users)),
        )
        if used
    ]
    files = network_files(row)
    role, about = ", ".join(roles) or "network", (row.published, row.note)
    return Entry(row.name, "network", role, row.license, row.origin, files[0].where, files, None, None, *about)


def hub_entry(spec: str) -> Entry:
    files = tuple(_source_file(spec, source) for source in hub_sources(spec))
    licence = "unknown"
    if files[0].path is not None:
        licence = str(_config(files[0].path).get("license", "unknown"))
    return Entry(spec, "checkpoint", "checkpoint", licence, "hub", files[0].where, files)


def folder_entry(folder: Path, registry: Registry) -> Entry:
    """A local checkpoint folder with the networks it needs. Raises WeightsError if it is not one."""
    from nsnet_cli.weights.checkpoint import read_checkpoint

    found = read_checkpoint(folder, registry)
    networks = dict.fromkeys((found.preview.network, found.recogniser.network))
    uses = f"{found.preview.network.name}@{found.preview.size_px} -> {found.recogniser.network.name}@"
    files = [file for network in networks for file in network_files(network)]
    files += [_folder_file(str(folder), folder / name, None) for name in (CONFIG_FILE, MODEL_FILE)]
    summary = f"{uses}{found.recogniser.size_px}, {len(found.vocabulary)} tags"
    return Entry(str(folder), "checkpoint", "checkpoint", found.license, "folder", summary, tuple(files))


def network_files(row: NetworkRow) -> tuple[FileEntry, ...]:
    """A network's file of weights, and the tokenizer of a text tower, each from the best source."""
    return tuple(_best_file(row.name, sources) for sources in (row.sources, row.tokenizer) if sources)


def _best_file(owner: str, sources: tuple[Source, ...]) -> FileEntry:
    """The file from the first source that is here, or else from the one to download."""
    entries = [_source_file(owner, source) for source in sources]
    here = [entry for entry in entries if entry.path is not None]
    remote = [entry for entry in entries if not isinstance(entry.source, PackageSource | FolderSource)]
    return (here or remote or entries)[0]


def missing_files(entries: Iterable[Entry]) -> list[FileEntry]:
    """The files that a pull of `entries` would download, without duplicates."""
    return list({(file.owner, file.file): file for entry in entries for file in entry.missing}.values())


def with_size(file: FileEntry) -> FileEntry:
    """The file with its size. Asks the Hub if the row has none; raises WeightsError as the download would."""
    if file.size_bytes is not None or not isinstance(file.source, HubSource):
        return file
    from nsnet_cli.weights.download import remote_file

    return replace(file, size_bytes=remote_file(file.source, file.owner).size_bytes)


def _source_file(owner: str, source: Source) -> FileEntry:
    path = local_file(source)
    size = path.stat().st_size if path is not None else source.size_bytes
    pinned = isinstance(source, HubSource) and source.sha256 is None
    sha256 = expected_sha256(source)
    return FileEntry(owner, source.file, source, path, size, sha256, pinned and sha256 is not None)


def _folder_file(owner: str, path: Path, sha256: str | None) -> FileEntry:
    here = path.is_file()
    return FileEntry(owner, path.name, None, path if here else None, path.stat().st_size if here else None, sha256)


def _config(path: Path) -> dict[str, object]:
    try:
        data = read_json(path, CONFIG_BYTES)
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}
