"""Conversions: pickles of networks as safetensors files in the user's cache.

A pickle is a program, a safetensors file is only data. So a downloaded pickle is opened once, after its hash was
checked; from then on its conversion is read. A conversion is a folder with model.safetensors and meta.json, which
holds the hashes of both files. It is checked like an export: see `nets/intact.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from nsnet_cli.errors import WeightsError
from nsnet_cli.nets import intact
from nsnet_cli.weights.folders import cache_folder
from nsnet_cli.weights.memory import remembered_sha256

if TYPE_CHECKING:
    from torch import Tensor

MODEL_FILE = "model.safetensors"


def find(pickle: Path) -> Path | None:
    """The conversion of a checked pickle, or None if it is not there, or is not what was written."""
    try:
        sha256 = remembered_sha256(pickle)
        folder = _folder(pickle, sha256)
    except (OSError, WeightsError):  # a user without a home has no cache
        return None
    meta = intact.read_meta(folder)
    if meta is None or meta.get("source_sha256") != sha256 or not intact.is_whole(folder):
        return None
    intact.note_use(folder)
    return folder / MODEL_FILE


def keep(pickle: Path, state: Mapping[str, Tensor]) -> None:
    """Writes the conversion of a checked pickle that holds `state`. Raises OSError, WeightsError."""
    from filelock import FileLock
    from safetensors.torch import save_file

    sha256 = remembered_sha256(pickle)
    folder = _folder(pickle, sha256)
    folder.parent.mkdir(parents=True, exist_ok=True)
    own = {name: tensor.clone().contiguous() for name, tensor in state.items()}  # tensors may share their memory
    with FileLock(folder.parent / "converted.lock"):
        with intact.written(folder, {"source_sha256": sha256}) as temporary:
            save_file(own, temporary / MODEL_FILE)
        intact.prune(folder.parent, {folder})


def _folder(pickle: Path, sha256: str) -> Path:
    return cache_folder() / "converted" / f"{pickle.stem}-{sha256[:16]}"
