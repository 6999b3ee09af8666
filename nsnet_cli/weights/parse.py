"""Turns the tables of a weights.toml into rows. Errors name file, row, field and value."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from nsnet_cli.types import TagName
from nsnet_cli.weights.fields import Place, check, number, shown
from nsnet_cli.weights.rows import (
    VOCABULARIES,
    CheckpointRow,
    HubSource,
    NetworkRow,
    NetworkUse,
    PackageSource,
    Registry,
    Source,
    UrlSource,
)
from nsnet_cli.weights.schema import NAMES, REGISTRY, SOURCES

SCHEMA_VERSION = 1


def parse_rows(data: Mapping[str, Any], file: str, origin: str, folder: Path, onto: Registry) -> Registry:
    """Adds the rows of `data` to those of `onto`. Paths in rows are relative to `folder`. Raises WeightsError."""
    top = Place(file, None, "bad_registry")
    version = data.get("schema_version")
    if isinstance(version, int) and version != SCHEMA_VERSION:
        raise top.inside("schema_version").wrong(f"{shown(version)}; this nsnet reads {SCHEMA_VERSION}")
    for kind, taken in (("networks", onto.networks), ("checkpoints", onto.checkpoints)):
        named = data.get(kind)
        for name in named if isinstance(named, dict) else ():
            if name in taken:
                raise top.inside(kind, name).wrong(f"nsnet has a row named {name!r}; choose another name")
    rows = check(data, REGISTRY, top)
    networks, checkpoints = dict(onto.networks), dict(onto.checkpoints)
    for name, row in rows["networks"].items():
        networks[name] = _network(name, row, top.inside("networks", name), origin, folder)
    for name, row in rows["checkpoints"].items():
        checkpoints[name] = _checkpoint(name, row, top.inside("checkpoints", name), origin, folder, networks)
    return Registry(networks, checkpoints)


def _network(name: str, row: Mapping[str, Any], place: Place, origin: str, folder: Path) -> NetworkRow:
    sources = (_source(source, place.inside("sources", i)) for i, source in enumerate(row["sources"]))
    found = NetworkRow(
        name=name,
        architecture=row["architecture"],
        license=row["license"],
        mean=_triple(row["mean"]),
        std=_triple(row["std"]),
        interpolation=row["interpolation"],
        crop=float(row["crop"]),
        vocabulary=_vocabulary(row["vocabulary"], place.inside("vocabulary"), folder),
        sources=tuple(sources),
        origin=origin,
        family=row["family"],
        frames=row["frames"],
        stride_s=_stride(row["stride_s"], place.inside("stride_s")),
        tokenizer=tuple(
            _source(source, place.inside("tokenizer", i)) for i, source in enumerate(row["tokenizer"] or ())
        ),
        published=row["published"],
        note=row["note"],
    )
    try:
        _ = NetworkUse(found, 224).input
    except ValueError as error:  # names the field
        raise place.wrong(str(error)) from None
    if found.family == "timm" and found.frames > 1:
        raise place.inside("frames").wrong(f"{found.frames}, but the networks of timm look at single frames")
    if found.image_text:
        _check_image_text(found, place)
    elif found.tokenizer:
        raise place.inside("tokenizer").wrong(f"the family {found.family} has no text tower")
    return found


def _check_image_text(row: NetworkRow, place: Place) -> None:
    if row.frames > 1:
        raise place.inside("frames").wrong(f"{row.frames}, but the networks of {row.family} look at single frames")
    if row.vocabulary is not None:
        raise place.inside("vocabulary").wrong("the tags of an image-text network are the words that a user names")
    if bool(row.tokenizer) != (row.family == "siglip"):
        why = "missing: the text tower of siglip needs a tokenizer.json" if not row.tokenizer else "clip needs none"
        raise place.inside("tokenizer").wrong(why)


def _stride(value: Any, place: Place) -> float | Literal["spread"]:
    if value == "spread":
        return "spread"
    if value is None:
        return 0.0
    if isinstance(value, str):
        raise place.wrong(f"{shown(value)} is neither seconds nor 'spread'")
    return float(check(value, number(0, 3600), place))


def _triple(values: list[float]) -> tuple[float, float, float]:
    red, green, blue = (float(v) for v in values)
    return red, green, blue


def _vocabulary(value: Any, place: Place, folder: Path) -> str | tuple[TagName, ...] | None:
    if value is None:
        return None
    if isinstance(value, str) and value and "\0" not in value:
        return value if value in VOCABULARIES else str(_beside(folder, value))
    if not isinstance(value, list):
        known = ", ".join(VOCABULARIES)
        raise place.wrong(f"{shown(value)} is not one of {known}, a file of names or a list of names")
    names = check(value, NAMES, place)
    if len(set(names)) != len(names):
        raise place.wrong("names a tag twice")
    return tuple(TagName(name, name) for name in names)


def _source(row: Mapping[str, Any], place: Place) -> Source:
    source = check(row, SOURCES[row["kind"]], place)
    sha256 = source["sha256"]
    if source["kind"] == "url":
        if sha256 is None:
            raise place.inside("sha256").wrong("missing; a file at a url is downloaded only if its hash is known")
        return UrlSource(source["url"], sha256, source["size_bytes"], source["keys"])
    file, package = source["file"], source["kind"] == "package"
    if sha256 is None and (package or not file.endswith((".safetensors", ".json"))):
        why = "a package source" if package else f"{file}, which may be a pickle,"
        raise place.inside("sha256").wrong(f"missing; {why} is read only if its hash is known")
    rest = (file, sha256, source["size_bytes"], source["keys"])
    if package:
        return PackageSource(source["distribution"], source["module"], *rest)
    return HubSource(source["repo_id"], source["revision"], *rest)


def _checkpoint(
    name: str, row: Mapping[str, Any], place: Place, origin: str, folder: Path, networks: Mapping[str, NetworkRow]
) -> CheckpointRow:
    sampler = row["sampler"]
    if sampler is not None and ("\0" in sampler or sampler in (".", "..")):
        raise place.inside("sampler").wrong(f"{shown(sampler)} is not a folder")
    if sampler is not None and origin != "nsnet" and ("/" in sampler or sampler.startswith(".")):
        sampler = str(_beside(folder, sampler))
    recogniser = _use(row["recogniser"], place.inside("recogniser"), networks)
    if recogniser.network.vocabulary is None and not recogniser.network.image_text:
        why = f"the row networks.{recogniser.network.name} has no vocabulary, so this checkpoint has no tags"
        raise place.inside("recogniser", "network").wrong(why)
    return CheckpointRow(
        name=name,
        description=row["description"],
        license=row["license"],
        preview=_use(row["preview"], place.inside("preview"), networks),
        recogniser=recogniser,
        sampler=sampler,
        frames=row["frames"],
        sampler_sha256=row["sampler_sha256"],
        origin=origin,
        gflops=row["gflops"],
    )


def _beside(folder: Path, named: str) -> Path:
    """A path from a user's registry: relative to the registry's folder. ~ works if the user has a home."""
    try:
        path = Path(named).expanduser()
    except RuntimeError:
        path = Path(named)
    return (folder / path).resolve()


def _use(use: Mapping[str, Any], place: Place, networks: Mapping[str, NetworkRow]) -> NetworkUse:
    if use["network"] not in networks:
        known = ", ".join(networks)
        raise place.inside("network").wrong(f"{shown(use['network'])} is not a row of [networks]; known: {known}")
    return NetworkUse(networks[use["network"]], use["size_px"])
