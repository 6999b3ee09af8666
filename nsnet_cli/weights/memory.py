"""What nsnet remembers about weights: hashes of checked files, and pins for rows without a hash.

- verified.json in the user's cache folder: hashing 100 MB at each start would cost 0.1 s or more. So a file's hash is
  kept with its size, its times and the machine's start, and computed again when one of them changes. Losing this file
  costs only time.
- weights.lock.json in the user's data folder: for rows without a sha256, the one that the first download had.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from functools import cache
from pathlib import Path
from typing import Any

from nsnet_cli.atomic import write_whole
from nsnet_cli.errors import WeightsError
from nsnet_cli.weights.folders import cache_folder, data_folder
from nsnet_cli.weights.rows import HubSource


def sha256_of(path: Path) -> str:
    """Hashes the bytes, without using what is remembered."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def stamp_of(path: Path) -> list[int | str]:
    """Size, times and machine start: if they are unchanged, so are the file's bytes. Raises OSError.

    A power cut or a bad disk changes bytes but no times. So files are checked again after each start of the machine.
    """
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, _boot()]


@cache
def _boot() -> str:
    """An id that changes when the machine starts, or each week on systems without such an id."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return f"week {int(time.time() // 604_800)}"


def remembered_sha256(path: Path) -> str:
    """sha256 of `path`: the remembered one while the stamp is the same, else computed and remembered."""
    real, book = path.resolve(), _book()
    stamp = stamp_of(real)
    known = _read(book).get(str(real)) if book else None
    if isinstance(known, list) and known[:-1] == stamp and isinstance(known[-1], str):
        return known[-1]
    digest = sha256_of(real)
    if book:
        with contextlib.suppress(OSError):  # a read-only home only costs a hash at each start
            _write(book, {**_read(book), str(real): [*stamp, digest]})
    return digest


def forget(path: Path) -> None:
    """Forgets a file that is being removed."""
    book = _book()
    entries = _read(book) if book else {}
    if book and entries.pop(str(path.resolve()), None) is not None:
        with contextlib.suppress(OSError):
            _write(book, entries)


def _book() -> Path | None:
    """verified.json; None if the user has no folder for it."""
    try:
        return verified_path()
    except WeightsError:
        return None


def pinned_sha256(source: HubSource) -> str | None:
    """The sha256 in the user's lock file, for a source whose row has none."""
    entry = _pins().get(_pin_name(source))
    return entry.get("sha256") if isinstance(entry, dict) else None


def pin(source: HubSource, sha256: str, size_bytes: int) -> Path:
    """Writes a pin and returns the lock file. Raises WeightsError: without the pin, the file could change unnoticed."""
    path = lock_path()
    try:
        entries = _read(path)
        _write(path, {**entries, _pin_name(source): {"sha256": sha256, "size_bytes": size_bytes}})
    except OSError as error:
        raise WeightsError(
            f"cannot write the lock file {path}: {error}", "make it writable, or give the row a sha256", "lock_file"
        ) from error
    return path


def pinned_files() -> list[str]:
    """The pins, each as owner/name@revision/file."""
    return list(_pins())


def _pins() -> dict[str, Any]:
    try:
        path = lock_path()
    except WeightsError:  # a user without a home has no pins; writing one raises
        return {}
    return _read(path)


def verified_path() -> Path:
    return cache_folder() / "verified.json"


def lock_path() -> Path:
    return data_folder() / "weights.lock.json"


def _pin_name(source: HubSource) -> str:
    return f"{source.repo_id}@{source.revision}/{source.file}"


def _read(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        if path.name == lock_path().name:  # a damaged pin must not count as no pin
            raise WeightsError(
                f"cannot read the lock file {path}: {error}", "restore it, or remove it to pin again", "lock_file"
            ) from error
        return {}
    return data if isinstance(data, dict) else {}


def _write(path: Path, data: dict[str, Any]) -> None:
    """Writes the whole file. With two writers at once, one entry may be lost; it is then computed again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(data, indent=1, sort_keys=True).encode())
