"""The registry of weights.toml: one frozen, validated row a network and a checkpoint. Data, no I/O beyond reading it.

Rows of a user's own file (NSNET_WEIGHTS, or weights.toml in the user's configuration folder) are added to the shipped
ones. No torch here: `nsnet models` and `nsnet tag` with exported networks import this module.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from nsnet_cli.errors import WeightsError
from nsnet_cli.types import InputSpec, Interpolation, TagName

PACKAGE_DIR = Path(__file__).resolve().parents[1]
USER_VARIABLE = "NSNET_WEIGHTS"

Keys = Literal["timm", "efficientnet-pytorch"]


@dataclass(frozen=True, slots=True)
class PackageSource:
    """A file inside an installed Python package."""

    distribution: str
    module: str
    file: str
    sha256: str
    size_bytes: int | None = None
    keys: Keys = "timm"


@dataclass(frozen=True, slots=True)
class HubSource:
    """A file of a Hugging Face Hub repository at a full revision. sha256 None = not known, pinned at first download."""

    repo_id: str
    revision: str
    file: str
    sha256: str | None = None
    size_bytes: int | None = None
    keys: Keys = "timm"


Source = PackageSource | HubSource


@dataclass(frozen=True, slots=True)
class NetworkRow:
    """A classifier: timm architecture, preprocessing and where its weights come from, best source first."""

    name: str
    architecture: str
    license: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: Interpolation
    crop: float
    vocabulary: str | tuple[TagName, ...]
    """'imagenet-1k', the absolute path of a file of names, or the tags: `load_vocabulary` takes all three."""
    sources: tuple[Source, ...]
    origin: str = "nsnet"
    """'nsnet' for a shipped row, else the file that it comes from."""


@dataclass(frozen=True, slots=True)
class NetworkUse:
    """A network at an input size."""

    network: NetworkRow
    size_px: int

    @property
    def input(self) -> InputSpec:
        """What the network looks at once: one frame, as every timm classifier does."""
        row = self.network
        return InputSpec(self.size_px, row.crop, row.interpolation, row.mean, row.std)


@dataclass(frozen=True, slots=True)
class CheckpointRow:
    """Preview network + sampler + recogniser. `sampler` None: none is trained for this preview network."""

    name: str
    description: str
    license: str
    preview: NetworkUse
    recogniser: NetworkUse
    sampler: str | None
    """A folder of nsnet_cli/checkpoints by name, or the absolute path of a checkpoint folder."""
    frames: int
    sampler_sha256: str | None = None
    """Of the sampler folder's model.safetensors."""
    origin: str = "nsnet"

    @property
    def networks(self) -> tuple[NetworkRow, ...]:
        """The network rows this checkpoint needs, each once."""
        return tuple(dict.fromkeys((self.preview.network, self.recogniser.network)))


@dataclass(frozen=True, slots=True)
class Registry:
    networks: Mapping[str, NetworkRow]
    checkpoints: Mapping[str, CheckpointRow]

    def checkpoint(self, name: str) -> CheckpointRow:
        try:
            return self.checkpoints[name]
        except KeyError:
            known = ", ".join(self.checkpoints)
            raise WeightsError(
                f"no checkpoint named {name!r}", f"known: {known}; see nsnet models list", "unknown_checkpoint"
            ) from None


def registry_path() -> Path:
    """weights.toml inside the installed package, or at the top of a source checkout."""
    inside = PACKAGE_DIR / "weights.toml"
    return inside if inside.exists() else PACKAGE_DIR.parent / "weights.toml"


def user_registry_path() -> Path | None:
    """The user's own registry: the file that NSNET_WEIGHTS names, or weights.toml in their configuration folder."""
    if named := os.environ.get(USER_VARIABLE):
        try:
            return Path(named).expanduser().resolve()
        except RuntimeError as error:
            raise WeightsError(f"{USER_VARIABLE}={named}: {error}", "write its full path", "no_home") from error
    from nsnet_cli.weights.folders import config_folder

    folder = config_folder()
    path = folder / "weights.toml" if folder is not None else None
    return path if path is not None and os.path.isfile(path) else None  # noqa: PTH113  False where it may not look


def load_registry(path: Path | None = None) -> Registry:
    """The shipped rows and the user's, or the rows of `path` alone. Raises WeightsError naming file, row and field."""
    if path is not None:
        return _load(path, None)
    return _load(registry_path(), user_registry_path())


@cache
def _load(shipped: Path, user: Path | None) -> Registry:
    from nsnet_cli.weights.rows import parse_rows

    registry = parse_rows(_read(shipped, "reinstall nsnet"), "weights.toml", "nsnet", shipped.parent, Registry({}, {}))
    if user is None:
        return registry
    hint = f"correct it, or unset {USER_VARIABLE}" if os.environ.get(USER_VARIABLE) else "correct or remove it"
    return parse_rows(_read(user, hint), str(user), str(user), user.parent, registry)


def _read(path: Path, hint: str) -> dict[str, Any]:
    from nsnet_cli.weights.fields import read_bytes
    from nsnet_cli.weights.schema import REGISTRY_BYTES

    try:
        return tomllib.loads(read_bytes(path, REGISTRY_BYTES).decode("utf-8-sig"))
    except RecursionError:
        raise WeightsError(
            f"cannot read the registry {path}: too many tables or lists inside each other", hint, "bad_registry"
        ) from None
    except (OSError, ValueError) as error:
        raise WeightsError(f"cannot read the registry {path}: {error}", hint, "bad_registry") from error
