"""A fine-tuned recogniser: its weights lie in the checkpoint's folder, and config.json has their hash.

Everything else about it, such as its input and the architecture, is the row's that it was tuned from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from nsnet_cli.atomic import write_whole
from nsnet_cli.errors import WeightsError
from nsnet_cli.weights.rows import FolderSource, NetworkUse

TUNED_FILE = "recogniser.safetensors"


def tuned_use(use: NetworkUse, folder: Path, sha256: str | None) -> NetworkUse:
    """Returns the network with the weights in `folder`. Without a hash none are there: it is the row's own."""
    if sha256 is None:
        return use
    return replace(use, network=replace(use.network, sources=(FolderSource(folder / TUNED_FILE, sha256),)))


def tuned_source(use: NetworkUse) -> FolderSource | None:
    """Returns where a fine-tuned network's weights are. None: the network is as its row says."""
    return next((source for source in use.network.sources if isinstance(source, FolderSource)), None)


def use_config(use: NetworkUse) -> dict[str, Any]:
    """Returns what config.json says about a network."""
    source = tuned_source(use)
    return {"network": use.network.name, "size_px": use.size_px} | ({"sha256": source.sha256} if source else {})


def is_tuned(config: Any) -> bool:
    """Whether a config.json speaks of a fine-tuned recogniser."""
    recogniser = config.get("recogniser") if isinstance(config, Mapping) else None
    return isinstance(recogniser, Mapping) and recogniser.get("sha256") is not None


def place_tuned(use: NetworkUse, folder: Path) -> None:
    """Writes a fine-tuned network's weights into a checkpoint folder, or removes those that are no longer used.

    Raises WeightsError.
    """
    source, target = tuned_source(use), folder / TUNED_FILE
    try:
        if source is None:
            target.unlink(missing_ok=True)
        elif source.path.resolve() != target.resolve():
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(target, source.path.read_bytes())
    except OSError as error:
        raise WeightsError(f"cannot write the checkpoint {folder}: {error}", "choose another folder with -o") from error
