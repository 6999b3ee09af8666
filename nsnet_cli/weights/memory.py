"""What this user's machine remembers about weights: hashes of files already checked, and pins of rows without a hash.

- verified.json in the user's cache folder: hashing 100 MB at each start would cost 0.1 s or more, so a file's hash is
  kept with its size and times, and computed again when one of them changes. Losing this file costs time, nothing else.
- weights.lock.json in the user's data folder: the sha256 that a row without one had at its first download.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from nsnet_cli.errors import WeightsError
from nsnet_cli.weights.registry import HubSource


def sha256_of(path: Path) -> str:
    """Hash the bytes, whatever is remembered."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def remembered_sha256(path: Path) -> str:
    """sha256 of `path`: remembered while its size and times are the same, else computed and remembered."""
    real, book = path.resolve(), verified_path()
    status = real.stat()
    stamp = [status.st_size, status.st_mtime_ns, status.st_ctime_ns]
    known = _read(book).get(str(real))
    if isinstance(known, list) and known[:3] == stamp and isinstance(known[-1], str):
        return known[-1]
    digest = sha256_of(real)
    with contextlib.suppress(OSError):  # a read-only home costs a hash at each start, no more
        _write(book, {**_read(book), str(real): [*stamp, digest]})
    return digest


def forget(path: Path) -> None:
    """Drop what is remembered of a file that is being removed."""
    book = verified_path()
    entries = _read(book)
    if entries.pop(str(path.resolve()), None) is not None:
        with contextlib.suppress(OSError):
            _write(book, entries)


def pinned_sha256(source: HubSource) -> str | None:
    """The sha256 that this user's lock file holds for a source whose row has none."""
    entry = _read(lock_path()).get(_pin_name(source))
    return entry.get("sha256") if isinstance(entry, dict) else None


def pin(source: HubSource, sha256: str, size_bytes: int) -> Path:
    """Write a pin; returns the lock file. Raises WeightsError: an unkept pin would let the file change unnoticed."""
    path = lock_path()
    try:
        entries = _read(path)
        _write(path, {**entries, _pin_name(source): {"sha256": sha256, "size_bytes": size_bytes}})
    except OSError as error:
        raise WeightsError(
            f"cannot write the lock file {path}: {error}", "make it writable, or name a sha256 in the row", "lock_file"
        ) from error
    return path


def pinned_files() -> list[str]:
    """owner/name@revision/file of every pin."""
    return list(_read(lock_path()))


def verified_path() -> Path:
    from platformdirs import user_cache_path

    root = os.environ.get("NSNET_CACHE")
    return (Path(root) if root else user_cache_path("nsnet")) / "verified.json"


def lock_path() -> Path:
    from platformdirs import user_data_path

    return user_data_path("nsnet") / "weights.lock.json"


def _pin_name(source: HubSource) -> str:
    return f"{source.repo_id}@{source.revision}/{source.file}"


def _read(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        if path.name == lock_path().name:  # a damaged pin must not be taken for no pin
            raise WeightsError(
                f"cannot read the lock file {path}: {error}", "restore it, or remove it to pin anew", "lock_file"
            ) from error
        return {}
    return data if isinstance(data, dict) else {}


def _write(path: Path, data: dict[str, Any]) -> None:
    """Whole or not at all. Two writers at once: one entry may be lost and is computed again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(data, indent=1, sort_keys=True), encoding="utf-8")
    temporary.replace(path)
