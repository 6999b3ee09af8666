"""From the tables of a weights.toml to rows. A mistake is reported with file, row, field and value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nsnet_cli.errors import WeightsError
from nsnet_cli.types import TagName
from nsnet_cli.weights.registry import (
    CheckpointRow,
    HubSource,
    NetworkRow,
    NetworkUse,
    PackageSource,
    Registry,
    Source,
)

SCHEMA_VERSION = 1
SHA256 = re.compile(r"[0-9a-f]{64}")
REVISION = re.compile(r"[0-9a-f]{40}")
REPO_ID = re.compile(r"[\w.-]+/[\w.-]+")
INTERPOLATIONS = ("bilinear", "bicubic", "area")
KEYS = ("timm", "efficientnet-pytorch")

NETWORK_FIELDS = {"architecture", "license", "mean", "std", "interpolation", "crop", "vocabulary", "sources"}
SOURCE_FIELDS = {
    "package": {"kind", "distribution", "module", "file", "sha256", "size_bytes", "keys"},
    "hub": {"kind", "repo_id", "revision", "file", "sha256", "size_bytes", "keys"},
}
CHECKPOINT_FIELDS = {"description", "license", "preview", "recogniser", "sampler", "sampler_sha256", "frames"}


def parse_rows(data: Mapping[str, Any], file: str, origin: str, folder: Path, onto: Registry) -> Registry:
    """The rows of `data` added to those of `onto`. Paths in rows are relative to `folder`. Raises WeightsError."""
    top = Table(data, file, "")
    top.only({"schema_version", "networks", "checkpoints"})
    if (version := top.get("schema_version", int)) != SCHEMA_VERSION:
        raise top.wrong("schema_version", f"{version} is not {SCHEMA_VERSION}, which this nsnet reads")
    networks, checkpoints = dict(onto.networks), dict(onto.checkpoints)
    for name, table in top.tables("networks").items():
        if name in networks:
            raise table.wrong("", f"the name {name!r} is taken by a row of nsnet; choose another")
        networks[name] = _network(name, table, origin, folder)
    for name, table in top.tables("checkpoints").items():
        if name in checkpoints:
            raise table.wrong("", f"the name {name!r} is taken by a row of nsnet; choose another")
        checkpoints[name] = _checkpoint(name, table, origin, folder, networks)
    return Registry(networks, checkpoints)


class Table:
    """One table of the file, which knows where it stands so that every complaint can say it."""

    def __init__(self, data: Mapping[str, Any], file: str, where: str) -> None:
        self.data, self.file, self.where = data, file, where

    def wrong(self, key: str, why: str) -> WeightsError:
        place = ".".join(part for part in (self.where, key) if part)
        return WeightsError(f"{self.file}: {place}: {why}", None, "bad_registry")

    def only(self, known: set[str]) -> None:
        """A misspelt field must not be a field left out."""
        for key in self.data:
            if key not in known:
                raise self.wrong(key, f"unknown field; known: {', '.join(sorted(known))}")

    def get(self, key: str, kind: type, default: Any = None) -> Any:
        value = self.data.get(key, default)
        if value is None:
            raise self.wrong(key, "missing")
        allowed = (int, float) if kind is float else (kind,)
        if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
            raise self.wrong(key, f"{value!r} is not of type {kind.__name__}")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        value: str = self.get(key, str, default)
        if not value:
            raise self.wrong(key, "is empty")
        return value

    def choice(self, key: str, choices: tuple[str, ...], default: str | None = None) -> Any:
        value = self.text(key, default)
        if value not in choices:
            raise self.wrong(key, f"{value!r} is none of {', '.join(choices)}")
        return value

    def matching(self, key: str, pattern: re.Pattern[str], what: str) -> str:
        value = self.text(key)
        if not pattern.fullmatch(value):
            raise self.wrong(key, f"{value!r} is not {what}")
        return value

    def positive(self, key: str, default: int | None = None) -> int:
        value: int = self.get(key, int, default)
        if value <= 0:
            raise self.wrong(key, f"{value} is not above 0")
        return value

    def table(self, key: str) -> Table:
        return Table(self.get(key, dict), self.file, ".".join(part for part in (self.where, key) if part))

    def tables(self, key: str) -> dict[str, Table]:
        """A table of tables, which may be absent."""
        if key not in self.data:
            return {}
        inner = self.table(key)
        return {name: inner.table(name) for name in inner.data}


def _network(name: str, table: Table, origin: str, folder: Path) -> NetworkRow:
    table.only(NETWORK_FIELDS)
    crop = float(table.get("crop", float))
    if not 0 < crop <= 1:
        raise table.wrong("crop", f"{crop} is not in (0, 1]")
    std = _triple(table, "std")
    if min(std) <= 0:
        raise table.wrong("std", f"{list(std)} must be above 0")
    sources = []
    for i, source in enumerate(table.get("sources", list)):
        if not isinstance(source, dict):
            raise table.wrong("sources", f"{source!r} is not a table; write [[networks.{name}.sources]]")
        sources.append(_source(Table(source, table.file, f"{table.where}.sources[{i}]")))
    if not sources:
        raise table.wrong("sources", "there is none")
    return NetworkRow(
        name=name,
        architecture=table.text("architecture"),
        license=table.text("license"),
        mean=_triple(table, "mean"),
        std=std,
        interpolation=table.choice("interpolation", INTERPOLATIONS),
        crop=crop,
        vocabulary=_vocabulary(table, folder),
        sources=tuple(sources),
        origin=origin,
    )


def _triple(table: Table, key: str) -> tuple[float, float, float]:
    values = table.get(key, list)
    if len(values) != 3 or not all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values):
        raise table.wrong(key, f"{values!r} is not three numbers")
    red, green, blue = (float(v) for v in values)
    return red, green, blue


def _vocabulary(table: Table, folder: Path) -> str | tuple[TagName, ...]:
    value = table.data.get("vocabulary")
    if isinstance(value, str) and value:
        return value if value == "imagenet-1k" else str((folder / Path(value).expanduser()).resolve())
    if isinstance(value, list) and value and all(isinstance(entry, str) for entry in value):
        if len(set(value)) != len(value):
            raise table.wrong("vocabulary", "names a tag twice")
        return tuple(TagName(entry, entry) for entry in value)
    raise table.wrong("vocabulary", f"{value!r} is neither 'imagenet-1k', nor a file of names, nor a list of names")


def _source(table: Table) -> Source:
    kind = table.choice("kind", tuple(SOURCE_FIELDS))
    table.only(SOURCE_FIELDS[kind])
    file, keys = table.text("file"), table.choice("keys", KEYS, "timm")
    if file.startswith("/") or ".." in file.split("/"):
        raise table.wrong(
            "file", f"{file!r} is not a path inside the {'package' if kind == 'package' else 'repository'}"
        )
    sha256 = table.matching("sha256", SHA256, "64 lower-case hex digits") if "sha256" in table.data else None
    size = table.positive("size_bytes") if "size_bytes" in table.data else None
    if sha256 is None and (kind == "package" or not file.endswith(".safetensors")):
        why = "a package source" if kind == "package" else f"{file}, which may be a pickle,"
        raise table.wrong("sha256", f"missing; {why} is only read when its hash is known")
    if kind == "package":
        assert sha256 is not None
        return PackageSource(table.text("distribution"), table.text("module"), file, sha256, size, keys)
    revision = table.matching("revision", REVISION, "a full revision (40 hex digits)")
    return HubSource(table.matching("repo_id", REPO_ID, "owner/name"), revision, file, sha256, size, keys)


def _checkpoint(
    name: str, table: Table, origin: str, folder: Path, networks: Mapping[str, NetworkRow]
) -> CheckpointRow:
    table.only(CHECKPOINT_FIELDS)
    sampler = table.text("sampler") if "sampler" in table.data else None
    if sampler and origin != "nsnet" and ("/" in sampler or sampler.startswith(".")):
        sampler = str((folder / Path(sampler).expanduser()).resolve())
    has_hash = "sampler_sha256" in table.data
    return CheckpointRow(
        name=name,
        description=table.text("description"),
        license=table.text("license"),
        preview=_use(table.table("preview"), networks),
        recogniser=_use(table.table("recogniser"), networks),
        sampler=sampler,
        frames=table.positive("frames", 4),
        sampler_sha256=table.matching("sampler_sha256", SHA256, "64 lower-case hex digits") if has_hash else None,
        origin=origin,
    )


def _use(table: Table, networks: Mapping[str, NetworkRow]) -> NetworkUse:
    table.only({"network", "size_px"})
    name = table.text("network")
    if name not in networks:
        raise table.wrong("network", f"{name!r} is not a row of [networks]; known: {', '.join(networks)}")
    size = table.positive("size_px")
    if not 16 <= size <= 4096:
        raise table.wrong("size_px", f"{size} is not between 16 and 4096")
    return NetworkUse(networks[name], size)
