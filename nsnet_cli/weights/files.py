"""From a network row to a file on this machine whose bytes are what the row says."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

from nsnet_cli.errors import WeightsError
from nsnet_cli.weights.registry import HubSource, NetworkRow, PackageSource, Source


def sha256_of(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def network_file(row: NetworkRow, *, verify: bool = True) -> tuple[Path, Source]:
    """The first source of `row` that is here, its sha256 checked. Raises WeightsError if none is."""
    for source in row.sources:
        path = package_file(source) if isinstance(source, PackageSource) else None
        if path is None:
            continue
        if verify and (found := sha256_of(path)) != source.sha256:
            raise WeightsError(f"{path} has sha256 {found}, {row.name} needs {source.sha256}", "reinstall the package")
        return path, source
    where = ", ".join(s.repo_id if isinstance(s, HubSource) else s.distribution for s in row.sources)
    raise WeightsError(f"the weights of {row.name} are not on this machine", f"sources: {where}")


def package_file(source: PackageSource) -> Path | None:
    """The file of a package source, or None where the package is not installed."""
    spec = find_spec(source.module)
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / source.file
    return path if path.is_file() else None
