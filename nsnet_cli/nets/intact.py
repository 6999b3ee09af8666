"""Whether files in the cache are still what was written: their hashes, compared when something may have changed them.

Reading 45 MB at each start would cost more than a clip, so a check is remembered with the file's stamp (size, times,
the machine's start). And what goes when the cache has grown: the exports that nobody used for longest.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import time
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from nsnet_cli.atomic import sync, write_whole
from nsnet_cli.weights.memory import sha256_of, stamp_of

META_FILE = "meta.json"
"""Of an export: what is known of its graph, and the hash of each of its files. Where it is, the export was finished."""
CHECKED_FILE = "checked.json"
COMPILED_FOLDER, COMPILED_FILE = "compiled", "compiled.json"
MOST_COMPILED = 4
"""Compiled graphs of one export: one for each number of cores that it ran on."""
MOST_BYTES = 2 << 30
UNUSED_S = 90 * 86_400.0
"""Exports are removed, oldest use first, when they take more than this together or were not used for so long."""
_EXPORT = re.compile(r".+-[0-9a-f]{16}")
_DAY_S = 86_400.0


def write_meta(folder: Path, meta: Mapping[str, Any]) -> None:
    """meta.json with the hashes of the folder's files; all of it on the disk, whatever happens to the power."""
    files = {path.name: sha256_of(path) for path in sorted(folder.iterdir())}
    text = json.dumps({**meta, "files": files}, sort_keys=True)
    (folder / META_FILE).write_text(json.dumps({"meta": text, "sha256": _text_hash(text)}), encoding="utf-8")
    for path in (*folder.iterdir(), folder):
        sync(path)


def read_meta(folder: Path) -> dict[str, Any] | None:
    """None where there is none, or a damaged one."""
    outer = _read(folder / META_FILE)
    text = outer.get("meta")
    if not isinstance(text, str) or outer.get("sha256") != _text_hash(text):
        return None
    meta: dict[str, Any] = json.loads(text)
    return meta


def is_whole(folder: Path) -> bool:
    """Whether an export is there, and its files are those that were written."""
    meta = read_meta(folder)
    return meta is not None and unchanged(folder, meta["files"], folder / CHECKED_FILE)


def unchanged(folder: Path, hashes: Mapping[str, str], book: Path) -> bool:
    """Whether files have these hashes. `book` remembers the checks: a file is read when its stamp is another one."""
    known, now = _read(book), {}
    for name, wanted in hashes.items():
        try:
            now[name] = [*stamp_of(folder / name), wanted]
            if known.get(name) != now[name] and sha256_of(folder / name) != wanted:
                return False
        except OSError:
            return False
    if now != known:
        with contextlib.suppress(OSError):  # where it cannot be written the files are read each time, no more
            write_whole(book, json.dumps(now).encode())
    return True


def drop_changed_compiled(folder: Path) -> None:
    """Remove what OpenVINO compiled for an export where `note_compiled` did not see it so: it would be run as it is."""
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
    """Remember what OpenVINO has just compiled; the newest few of it stay."""
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
    """Mark an export as used now: while the file that comes back is open, `prune` leaves it, and its age is 0."""
    with contextlib.suppress(OSError):
        if time.time() - folder.stat().st_mtime > _DAY_S:
            os.utime(folder)
    with contextlib.suppress(OSError, ImportError):
        import fcntl

        handle = (folder / META_FILE).open("rb")
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return handle
    return None


def prune(root: Path, keep: Collection[Path]) -> None:
    """Remove exports until the rest is young and small enough, and what interrupted exports left. Never one that is in
    `keep`, or held by a process. The caller has the lock under which exports are made.
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
    """Under another name first: a folder that is there is never a half one."""
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
