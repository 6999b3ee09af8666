"""The registry of weights.toml: one frozen, validated row a network file and a checkpoint. Data, no I/O beyond one read.

No torch here: `nsnet models list` and `nsnet tag` with exported networks import this module alone.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from nsnet_cli.errors import WeightsError

SHA256 = re.compile(r"[0-9a-f]{64}")
REVISION = re.compile(r"[0-9a-f]{40}")
PACKAGE_DIR = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class PackageSource:
    """A file inside an installed Python package."""

    distribution: str
    module: str
    file: str
    sha256: str
    size_bytes: int | None = None
    keys: Literal["timm", "efficientnet-pytorch"] = "timm"


@dataclass(frozen=True, slots=True)
class HubSource:
    """A file of a Hugging Face Hub repository at a full revision. sha256 None = not known, pinned at first download."""

    repo_id: str
    revision: str
    file: str
    sha256: str | None = None
    size_bytes: int | None = None
    keys: Literal["timm", "efficientnet-pytorch"] = "timm"


Source = PackageSource | HubSource


@dataclass(frozen=True, slots=True)
class NetworkRow:
    """A classifier: timm architecture, preprocessing and where its weights come from, best source first."""

    name: str
    architecture: str
    license: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str
    crop: float
    vocabulary: str
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class NetworkUse:
    """A network at an input size."""

    network: NetworkRow
    size_px: int


@dataclass(frozen=True, slots=True)
class CheckpointRow:
    """Preview network + sampler + recogniser. `sampler` None: none is trained for this preview network."""

    name: str
    description: str
    license: str
    preview: NetworkUse
    recogniser: NetworkUse
    sampler: str | None
    frames: int


@dataclass(frozen=True, slots=True)
class Registry:
    networks: Mapping[str, NetworkRow]
    checkpoints: Mapping[str, CheckpointRow]

    def checkpoint(self, name: str) -> CheckpointRow:
        try:
            return self.checkpoints[name]
        except KeyError:
            known = ", ".join(self.checkpoints)
            raise WeightsError(f"no checkpoint named {name!r}", f"known: {known}; see nsnet models list") from None


def registry_path() -> Path:
    """weights.toml inside the installed package, or at the top of a source checkout."""
    inside = PACKAGE_DIR / "weights.toml"
    return inside if inside.exists() else PACKAGE_DIR.parent / "weights.toml"


@cache
def load_registry(path: Path | None = None) -> Registry:
    """Read and validate the registry. Raises WeightsError naming the row and the field that is wrong."""
    path = path or registry_path()
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise WeightsError(f"cannot read the registry {path}: {error}", "reinstall nsnet") from error
    networks = {name: _network(name, row) for name, row in data.get("networks", {}).items()}
    checkpoints = {name: _checkpoint(name, row, networks) for name, row in data.get("checkpoints", {}).items()}
    return Registry(networks, checkpoints)


def _field(row: Mapping[str, Any], where: str, key: str, kind: type | tuple[type, ...]) -> Any:
    if key not in row:
        raise WeightsError(f"weights.toml: {where} has no {key!r}")
    if not isinstance(row[key], kind):
        raise WeightsError(f"weights.toml: {where}.{key} = {row[key]!r} is of the wrong type")
    return row[key]


def _network(name: str, row: Mapping[str, Any]) -> NetworkRow:
    where = f"networks.{name}"
    triple = {}
    for key in ("mean", "std"):
        values = tuple(float(v) for v in _field(row, where, key, list))
        if len(values) != 3:
            raise WeightsError(f"weights.toml: {where}.{key} needs three numbers, has {len(values)}")
        triple[key] = values
    sources = tuple(_source(f"{where}.sources[{i}]", s) for i, s in enumerate(_field(row, where, "sources", list)))
    if not sources:
        raise WeightsError(f"weights.toml: {where} has no source")
    crop = float(_field(row, where, "crop", (int, float)))
    if not 0 < crop <= 1:
        raise WeightsError(f"weights.toml: {where}.crop = {crop} is not in (0, 1]")
    return NetworkRow(
        name=name,
        architecture=_field(row, where, "architecture", str),
        license=_field(row, where, "license", str),
        mean=triple["mean"],
        std=triple["std"],
        interpolation=_field(row, where, "interpolation", str),
        crop=crop,
        vocabulary=_field(row, where, "vocabulary", str),
        sources=sources,
    )


def _source(where: str, row: Mapping[str, Any]) -> Source:
    kind = _field(row, where, "kind", str)
    sha256 = row.get("sha256")
    if sha256 is not None and not SHA256.fullmatch(sha256):
        raise WeightsError(f"weights.toml: {where}.sha256 = {sha256!r} is not 64 hex digits")
    keys = row.get("keys", "timm")
    if keys not in ("timm", "efficientnet-pytorch"):
        raise WeightsError(f"weights.toml: {where}.keys = {keys!r} is unknown")
    file, size = _field(row, where, "file", str), row.get("size_bytes")
    if kind == "package":
        if sha256 is None:
            raise WeightsError(f"weights.toml: {where} is a package source and needs a sha256")
        distribution, module = _field(row, where, "distribution", str), _field(row, where, "module", str)
        return PackageSource(distribution, module, file, sha256, size, keys)
    if kind == "hub":
        revision = _field(row, where, "revision", str)
        if not REVISION.fullmatch(revision):
            raise WeightsError(f"weights.toml: {where}.revision = {revision!r} is not a full 40-hex revision")
        return HubSource(_field(row, where, "repo_id", str), revision, file, sha256, size, keys)
    raise WeightsError(f"weights.toml: {where}.kind = {kind!r}; known: package, hub")


def _checkpoint(name: str, row: Mapping[str, Any], networks: Mapping[str, NetworkRow]) -> CheckpointRow:
    where = f"checkpoints.{name}"

    def use(key: str) -> NetworkUse:
        value = _field(row, where, key, dict)
        network = _field(value, f"{where}.{key}", "network", str)
        if network not in networks:
            raise WeightsError(f"weights.toml: {where}.{key}.network = {network!r} is not a [networks] row")
        return NetworkUse(networks[network], _field(value, f"{where}.{key}", "size_px", int))

    return CheckpointRow(
        name=name,
        description=_field(row, where, "description", str),
        license=_field(row, where, "license", str),
        preview=use("preview"),
        recogniser=use("recogniser"),
        sampler=row.get("sampler"),
        frames=int(row.get("frames", 4)),
    )
