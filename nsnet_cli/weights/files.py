"""Where the files of network rows are on this machine. Uses no network and reads no contents."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from nsnet_cli.errors import WeightsError
from nsnet_cli.weights.folders import cache_folder, hub_cache
from nsnet_cli.weights.memory import pinned_sha256
from nsnet_cli.weights.rows import FolderSource, HubSource, PackageSource, Source, UrlSource


def local_file(source: Source) -> Path | None:
    """The path of a source's file on this machine, or None."""
    if isinstance(source, PackageSource):
        return package_file(source)
    if isinstance(source, FolderSource):
        return source.path if source.path.is_file() else None
    return cached_file(source) if isinstance(source, HubSource) else url_file(source)


def package_file(source: PackageSource) -> Path | None:
    """The file of a package source, or None if the package is not installed."""
    try:
        spec = find_spec(source.module)
    except (ImportError, ValueError):  # such as "__main__"
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / source.file
    return path if path.is_file() else None


def cached_file(source: HubSource) -> Path | None:
    """The file in huggingface_hub's cache, or None if it is not there.

    Written out here, by the cache's documented layout: importing the client takes 0.2 s, which most runs need not pay.
    """
    try:
        path = repo_cache(source.repo_id) / "snapshots" / source.revision / source.file
        return path if path.is_file() else None
    except (PermissionError, WeightsError):  # another user's cache; or no home, so no cache
        return None


def url_file(source: UrlSource) -> Path | None:
    """The file of an address in nsnet's cache, or None if it is not there."""
    try:
        path = url_cache(source)
        return path if path.is_file() else None
    except (PermissionError, WeightsError):
        return None


def url_cache(source: UrlSource) -> Path:
    """Where a file of an address is kept. Its hash is part of the path: the same address may give another file later.

    Raises WeightsError.
    """
    return cache_folder() / "weights" / source.sha256[:16] / source.file


def repo_cache(repo_id: str) -> Path:
    """The folder of a model repository in huggingface_hub's cache (HF_HUB_CACHE, HF_HOME). Raises WeightsError."""
    return hub_cache() / f"models--{repo_id.replace('/', '--')}"


def expected_sha256(source: Source) -> str | None:
    """The sha256 that the file must have: the row's, else this user's pin, else None."""
    if source.sha256 or not isinstance(source, HubSource):
        return source.sha256
    return pinned_sha256(source)
