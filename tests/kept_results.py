"""Folders of results as `nsnet tag -o` keeps them, made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nsnet_cli.outputs.store import ResultStore
from nsnet_cli.types import Source, VideoResult


def keep(root: Path, results: Mapping[str, VideoResult], videos: str = "/videos") -> Path:
    """Keeps each result under its name, made from the video of that name below `videos`. Returns `root`."""
    store = ResultStore(root)
    store.check()
    for name, result in results.items():
        store.save(name, result, "f", Source(f"{videos}/{name}", 1, 1))
    store.close()
    return root
