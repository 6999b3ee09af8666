"""Entries of the catalog as plain data, for `nsnet models list|show|verify`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nsnet_cli.errors import WeightsError
from nsnet_cli.text import printable
from nsnet_cli.weights.catalog import Entry, FileEntry
from nsnet_cli.weights.checkpoint import Checkpoint, read_config, resolve_checkpoint
from nsnet_cli.weights.memory import sha256_of
from nsnet_cli.weights.rows import Registry
from nsnet_cli.weights.verify import check

FEW = 5
"""Tags that `show` names to people."""


def entry_dict(entry: Entry) -> dict[str, Any]:
    """An entry and its files, as `list --json` and `show --json` print them."""
    return {
        "name": entry.name,
        "kind": entry.kind,
        "role": entry.role,
        "size_bytes": entry.size_bytes,
        "license": entry.license,
        "from": entry.summary,
        "origin": entry.origin,
        "here": entry.here,
        "tags": entry.tags,
        "gflops_per_video": None if entry.gflops is None else round(entry.gflops, 2),
        "published": entry.published,
        "note": entry.note,
        "files": [
            {
                "owner": file.owner,
                "file": file.file,
                "from": file.where,
                "path": str(file.path) if file.path else None,
                "size_bytes": file.size_bytes,
                "sha256": file.sha256,
                "pinned": file.pinned,
            }
            for file in entry.files
        ],
    }


def details_of(entry: Entry, registry: Registry) -> dict[str, Any]:
    """What `show` adds: a network's preprocessing, or a checkpoint's sampler."""
    if entry.kind == "network":
        row = registry.networks[entry.name]
        words = [tag.name for tag in row.vocabulary] if isinstance(row.vocabulary, tuple) else row.vocabulary
        keys = ("family", "architecture", "mean", "std", "interpolation", "crop", "frames", "stride_s")
        return {**{key: getattr(row, key) for key in keys}, "vocabulary": words}
    if entry.origin == "hub" and not entry.here:
        return {}
    found = resolve_checkpoint(entry.name, registry)
    return {
        "hash": found.hash,
        "preview": f"{found.preview.network.name} at {found.preview.size_px} px",
        "recogniser": f"{found.recogniser.network.name} at {found.recogniser.size_px} px",
        "views": _views(found),
        "sampler": str(found.sampler) if found.sampler else f"none ({found.sampler_note}); --policy confidence is used",
        "vocabulary": f"{len(found.vocabulary)} tags",
        "frames": found.frames,
        "calibration": _calibration(found),
        "training": dict(found.training),
        "metrics": dict(found.metrics) if _measured_here(found) else {},
        "tag_names": [tag.name for tag in found.vocabulary],
    }


def _views(checkpoint: Checkpoint) -> str:
    """How many views of a video the recogniser takes, and what one is."""
    row = checkpoint.recogniser.network
    if row.frames == 1:
        return f"{checkpoint.frames} frames"
    how = "spread over a salient stretch" if row.stride_s == "spread" else f"{float(row.stride_s):.3g} s apart"
    return f"{checkpoint.frames} clips of {row.frames} frames, {how}"


def _measured_here(checkpoint: Checkpoint) -> bool:
    """Whether the metrics of its sampler were measured with its recogniser: a sampler is shared by many."""
    if checkpoint.sampler is None:
        return False
    measured = read_config(checkpoint.sampler)["recogniser"]["network"]
    return bool(measured == checkpoint.recogniser.network.name)


def _calibration(checkpoint: Checkpoint) -> str:
    """On how many videos its probabilities were fitted."""
    if checkpoint.calibration is None:
        return "none; nsnet calibrate makes one"
    on = checkpoint.calibration.fitted_on
    return f"{on.get('videos', '?')} videos of {on.get('sources', '?')} sources, {on.get('made_videos', 0)} made ones"


def in_words(details: Mapping[str, Any]) -> list[str]:
    """What `show` says of an entry, one line per field that has a value; of a dictionary, one per item."""
    shown = {key: value for key, value in details.items() if value not in (None, "", [], {})}
    if names := shown.pop("tag_names", []):
        shown["vocabulary"] += f": {', '.join(names[:FEW])}{', ...' if len(names) > FEW else ''}"
    width = max(map(len, shown))
    lines = []
    for key, value in shown.items():
        items = [f"{name}: {_words(each)}" for name, each in value.items()] if isinstance(value, dict) else []
        lines += [printable(f"{key:<{width}}  {line}") for line in items or [_words(value)]]
    return lines


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_words(each)}" for key, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def verified(file: FileEntry) -> dict[str, Any]:
    """owner, file, path, sha256, status and message. The status is ok, not_here, or the kind of the error."""
    result: dict[str, Any] = {"owner": file.owner, "file": file.file, "path": str(file.path or ""), "sha256": None}
    if file.path is None:
        return {**result, "status": "not_here", "message": f"{file.owner}: {file.file} is not here"}
    try:
        if file.source is not None:
            found = check(file.source, file.owner, file.path, anew=True)
        else:
            found = sha256_of(file.path)
            if file.sha256 and file.sha256 != found:
                message = f"{file.path} has sha256 {found}, but the row of {file.owner} says {file.sha256}"
                return {**result, "sha256": found, "status": "hash_mismatch", "message": message}
    except WeightsError as error:
        return {**result, "status": error.kind, "message": str(error)}
    return {**result, "sha256": found, "status": "ok", "message": ""}
