"""How the preview's features are reduced for keeping: a fixed projection, so that videos can be compared for ever.

It belongs to the preview network. A checkpoint folder may have it as `index.safetensors`, whose sha256 config.json
names; else that of a shipped folder for the same network is used. If there is none, the projection is random but fixed:
it keeps likeness less exactly.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from nsnet_cli.errors import WeightsError
from nsnet_cli.weights.checkpoint import CONFIG_FILE, Checkpoint
from nsnet_cli.weights.fields import read_json, regular_size
from nsnet_cli.weights.keys import HINT
from nsnet_cli.weights.registry import PACKAGE_DIR
from nsnet_cli.weights.schema import CONFIG_BYTES

INDEX_FILE = "index.safetensors"
REDUCED = 192
"""Width of a random projection: 60 frames of it take 23 kB."""
MOST_WIDTH, MOST_BYTES = 256, 64 << 20


@dataclass(frozen=True, eq=False)
class Projection:
    """Reduces features (T, D) to (T, D'). Safe to use from several threads."""

    identity: str
    """Reduced features can be compared only with those of the same projection."""
    mean: np.ndarray  # (D,)
    matrix: np.ndarray  # (D, D')

    def reduced(self, features: np.ndarray) -> np.ndarray:
        """features (T, D) -> (T, D') float16."""
        found = features.astype(np.float32) @ self._matrix - self._shift
        limit = float(np.finfo(np.float16).max)
        return np.clip(found, -limit, limit).astype(np.float16)

    @cached_property
    def _matrix(self) -> np.ndarray:
        return self.matrix.astype(np.float32)

    @cached_property
    def _shift(self) -> np.ndarray:
        return self.mean.astype(np.float32) @ self._matrix


def load_projection(checkpoint: Checkpoint, width: int) -> Projection:
    """The projection for a checkpoint whose preview network gives `width` features. Raises WeightsError."""
    for path, sha256 in _files(checkpoint):
        return _read(path, sha256, width)
    return random_projection(width)


def random_projection(width: int) -> Projection:
    """A projection onto random orthogonal directions: the same for the same `width` on every machine."""
    drawn = np.random.RandomState(width).standard_normal((width, min(REDUCED, width)))  # its numbers never change
    return Projection(f"random-{width}", np.zeros(width, np.float32), np.linalg.qr(drawn)[0].astype(np.float32))


def _files(checkpoint: Checkpoint) -> Iterator[tuple[Path, str]]:
    """Files that fit the preview network, with their sha256: the checkpoint's own, then shipped ones."""
    shipped = sorted((PACKAGE_DIR / "checkpoints").glob(f"*/{INDEX_FILE}"))
    for folder in (*([checkpoint.sampler] if checkpoint.sampler else []), *(path.parent for path in shipped)):
        if not (folder / INDEX_FILE).is_file():
            continue
        try:
            config = read_json(folder / CONFIG_FILE, CONFIG_BYTES)
            network, sha256 = config["preview"]["network"], config.get("index_sha256")
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        if network == checkpoint.preview.network.name and isinstance(sha256, str):
            yield folder / INDEX_FILE, sha256


def _read(path: Path, sha256: str, width: int) -> Projection:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        regular_size(path, MOST_BYTES)
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != sha256:
            raise ValueError(f"{CONFIG_FILE} says that its sha256 is {sha256}")
        tensors = load(data)
        mean, matrix = tensors["index.mean"], tensors["index.projection"]
        if matrix.ndim != 2 or matrix.shape[0] != width or not 1 <= matrix.shape[1] <= MOST_WIDTH:
            raise ValueError(f"index.projection has shape {matrix.shape}, not ({width}, 1 to {MOST_WIDTH})")
        if mean.shape != (width,) or {mean.dtype.kind, matrix.dtype.kind} != {"f"}:
            raise ValueError(f"index.mean has shape {mean.shape}, not ({width},), or there are no fractions")
        if not (np.isfinite(mean).all() and np.isfinite(matrix).all()):
            raise ValueError("it has numbers that are not finite")
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise WeightsError(f"cannot read {path}: {error}", HINT, "bad_tensors") from error
    return Projection(sha256[:16], mean, matrix)
