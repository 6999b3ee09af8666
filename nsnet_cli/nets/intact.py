"""Writes folders in the cache, checks by hash that they are still what was written, and removes old ones.

Reading 45 MB at each start would take longer than a clip. So a check is remembered with the file's stamp (size, times,
the machine's start) and repeated only if the stamp changes. If the cache has grown too large, the exports that were not
used for longest are removed.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from nsnet_cli.atomic import sync, write_whole
from nsnet_cli.weights.memory import sha256_of, stamp_of

META_FILE = "meta.json"
"""What is known about an export's graph, and the hash of each of its files. If it exists, the export is finished."""
CHECKED_FILE = "checked.json"
COMPILED_FOLDER, COMPILED_FILE = "compiled", "compiled.json"
MOST_COMPILED = 4
"""Most compiled graphs per export: there is one for each number of cores that it ran on."""
MOST_BYTES = 2 << 30
UNUSED_S = 90 * 86_400.0
"""Exports are removed if they were not used for this long, or, oldest use first, if they all take over MOST_BYTES."""
_EXPORT = re.compile(r".+-[0-9a-f]{16}")
_DAY_S = 86_400.0


@contextlib.contextmanager
def written(folder: Path, meta: Mapping[str, Any]) -> Iterator[Path]:
    """Makes a folder under another name, which is given. At the end it gets its meta.json and its own name.

    So a folder is never there in part. After an error nothing is left.
    """
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        yield temporary
        write_meta(temporary, meta)
        remove(folder)  # a damaged earlier one
        temporary.replace(folder)
        sync(folder.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def write_meta(folder: Path, meta: Mapping[str, Any]) -> None:
    """Writes meta.json with the hashes of the folder's files, and waits until all of them are on the disk."""
    files = {path.name: sha256_of(path) for path in sorted(folder.iterdir())}
    text = json.dumps({**meta, "files": files}, sort_keys=True)
    (folder / META_FILE).write_text(json.dumps({"meta": text, "sha256": _text_hash(text)}), encoding="utf-8")
    for path in (*folder.iterdir(), folder):
        sync(path)


def read_meta(folder: Path) -> dict[str, Any] | None:
    """Returns what `write_meta` wrote, or None if it is missing or damaged."""
    outer = _read(folder / META_FILE)
    text = outer.get("meta")
    if not isinstance(text, str) or outer.get("sha256") != _text_hash(text):
        return None
    meta: dict[str, Any] = json.loads(text)
    return meta


def is_whole(folder: Path) -> bool:
    """Whether an export exists and its files are those that were written."""
    meta = read_meta(folder)
    return meta is not None and unchanged(folder, meta["files"], folder / CHECKED_FILE)


def unchanged(folder: Path, hashes: Mapping[str, str], book: Path) -> bool:
    """Whether files have these hashes. `book` remembers the checks: a file is read only if its stamp has changed."""
    known, now = _read(book), {}
    for name, wanted in hashes.items():
        try:
            now[name] = [*stamp_of(folder / name), wanted]
            if known.get(name) != now[name] and sha256_of(folder / name) != wanted:
                return False
        except OSError:
            return False
    if now != known:
        with contextlib.suppress(OSError):  # if it cannot be written, the files are just read each time
            write_whole(book, json.dumps(now).encode())
    return True


def drop_changed_compiled(folder: Path) -> None:
    """Removes compiled graphs that differ from what `note_compiled` saw: OpenVINO would run them unchecked."""
    compiled = folder / COMPILED_FOLDER
    noted = _read(folder / COMPILED_FILE)
    for path in _files(compiled):
        wanted = noted.get(path.name)
        book = folder / f".{path.name}.{CHECKED_FILE}"
        if not isinstance(wanted, str) or not unchanged(compiled, {path.name: wanted}, book):
            for gone in (path, book):
                with contextlib.suppress(OSError):
                    gone.unlink()


def note_compiled(folder: Path) -> None:
    """Remembers what OpenVINO has just compiled, and keeps only the newest few."""
    found = sorted(_files(folder / COMPILED_FOLDER), key=_changed_s, reverse=True)
    noted = _read(folder / COMPILED_FILE)
    if {path.name for path in found} == noted.keys() and len(found) <= MOST_COMPILED:
        return
    with contextlib.suppress(OSError):
        hashes = {path.name: noted.get(path.name) or sha256_of(path) for path in found[:MOST_COMPILED]}
        write_whole(folder / COMPILED_FILE, json.dumps(hashes).encode())
        for path in found[MOST_COMPILED:]:
            path.unlink()


# ---- too many --------------------------------------------------------------------------------------------------------


def hold(folder: Path) -> IO[bytes] | None:
    """Marks an export as used now. While the returned file is open, `prune` does not remove the export."""
    note_use(folder)
    with contextlib.suppress(OSError, ImportError):
        import fcntl

        handle = (folder / META_FILE).open("rb")
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return handle
    return None


def note_use(folder: Path) -> None:
    """Marks a folder as used now. `prune` removes the one that was not used for longest."""
    with contextlib.suppress(OSError):
        if time.time() - folder.stat().st_mtime > _DAY_S:
            os.utime(folder)


def prune(root: Path, keep: Collection[Path]) -> None:
    """Removes exports that are too old or too large together, and what interrupted exports left behind.

    Never removes one that is in `keep` or held by a process. The caller must hold the lock for exports.
    """
    for leftover in root.glob(".*.tmp"):
        shutil.rmtree(leftover, ignore_errors=True)
    folders = [path for path in root.iterdir() if _EXPORT.fullmatch(path.name) and path.is_dir()]
    total_bytes, now = 0, time.time()
    for folder in sorted(folders, key=_changed_s, reverse=True):
        total_bytes += sum(path.stat().st_size for path in _files(folder, folder / COMPILED_FOLDER))
        unwanted = now - _changed_s(folder) > UNUSED_S or total_bytes > MOST_BYTES
        if unwanted and folder not in keep and not _held(folder):
            remove(folder)


def remove(folder: Path) -> None:
    """Renames a folder, then removes it, so that it is never there in part."""
    gone = folder.with_name(f".{folder.name}.{os.getpid()}.gone.tmp")
    with contextlib.suppress(OSError):
        folder.replace(gone)
    shutil.rmtree(gone, ignore_errors=True)


def _held(folder: Path) -> bool:
    try:
        import fcntl

        with (folder / META_FILE).open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (OSError, ImportError):
        return False
    return False


# ---- small things ----------------------------------------------------------------------------------------------------


def _files(*folders: Path) -> Iterable[Path]:
    return [path for folder in folders if folder.is_dir() for path in folder.iterdir() if path.is_file()]


def _changed_s(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _text_hash(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()


def _read(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}
