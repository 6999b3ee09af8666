"""Brings an index up to date with the results: new and changed files enter it, removed ones leave."""

from __future__ import annotations

import logging
import os
import secrets
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from nsnet_cli.index.database import Database
from nsnet_cli.index.found import Found, SkippedError, read_found
from nsnet_cli.outputs.store import SUFFIX
from nsnet_cli.progress import progress
from nsnet_cli.records import dataclass

if TYPE_CHECKING:
    import numpy as np

BATCH = 500
"""Results that enter the index in one step. A program that is killed loses no more."""
MOST_DEAD = 1 / 3
"""A larger share of an index that belongs to videos that have left is cleared out."""
OWN = ".nsnet-"
"""Folders of nsnet itself begin with this, and hold no results."""
log = logging.getLogger(__name__)

Stamp = tuple[int, int]
"""Size and time of a file, in bytes and nanoseconds."""


@dataclass(frozen=True, slots=True)
class Change:
    """How results differ from the index. Paths are relative to the folder of results."""

    entered: tuple[bytes, ...]
    """New and changed files."""
    left: tuple[bytes, ...]


def scan(results: Path) -> dict[bytes, Stamp]:
    """All result files below a folder. Raises OSError if the folder itself cannot be read."""
    suffix, own = SUFFIX.encode(), OWN.encode()
    found: dict[bytes, Stamp] = {}
    waiting = [(os.fsencode(results), b"")]
    while waiting:
        folder, below = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    name = entry.name
                    if name.endswith(suffix):
                        if entry.is_file(follow_symlinks=False):
                            try:
                                status = entry.stat(follow_symlinks=False)
                            except FileNotFoundError:  # removed by now
                                continue
                            found[below + name] = (status.st_size, status.st_mtime_ns)
                    elif entry.is_dir(follow_symlinks=False) and not name.startswith(own):
                        waiting.append((entry.path, below + name + b"/"))
        except OSError as error:
            if not below:
                raise
            if not isinstance(error, FileNotFoundError):
                log.warning("%s cannot be read: its results are left out", os.fsdecode(folder))
    return found


def compare(index: Database, files: dict[bytes, Stamp]) -> Change:
    """What must be done to an index. It may be out of date when it is done: `update` looks again."""
    rows = index.db.execute("SELECT result, size, mtime_ns FROM videos").fetchall()
    known = {result: (size, mtime_ns) for result, size, mtime_ns in rows}
    if known == files:
        return Change((), ())
    entered = tuple(path for path, stamp in files.items() if known.get(path) != stamp)
    return Change(entered, tuple(path for path in known if path not in files))


def update(index: Database, results: Path, files: dict[bytes, Stamp]) -> None:
    """Brings the index up to date. Several programs may do so at once; a kill loses one batch at most.

    Raises sqlite3.Error, and DamagedError if a file of frames is not whole.
    """
    change = compare(index, files)
    if not change.entered and not change.left:
        return
    for at in range(0, len(change.left), 10 * BATCH):
        with index.writing():
            for path in change.left[at : at + 10 * BATCH]:
                _remove(index, path)
    with progress("index", len(change.entered), "results") as bar:
        for at in range(0, len(change.entered), BATCH):
            batch = [path for path in change.entered[at : at + BATCH] if _stamp(index, path) != files[path]]
            found = [(path, _read(results, path)) for path in batch]
            with index.writing():
                _enter(index, found, files)
            bar.advance(min(BATCH, len(change.entered) - at))
    clear_out(index)


def _read(results: Path, path: bytes) -> Found | None:
    """What a file says; None if it is no result."""
    target = results / os.fsdecode(path)
    try:
        return read_found(target)
    except (SkippedError, OSError, MemoryError) as error:
        log.debug("%s: left out, %s", target, error)
        return None


def _stamp(index: Database, path: bytes) -> Stamp | None:
    row: Stamp | None = index.db.execute("SELECT size, mtime_ns FROM videos WHERE result = ?", (path,)).fetchone()
    return row


# ---- one batch, inside a transaction ---------------------------------------------------------------------------------


def _enter(index: Database, found: list[tuple[bytes, Found | None]], files: dict[bytes, Stamp]) -> None:
    fresh = [(path, each) for path, each in found if _stamp(index, path) != files[path]]
    for path, _ in fresh:
        _remove(index, path)
    rows = _append(index, "videos", [_previews(each) for _, each in fresh])
    images = _append(index, "images", [_images(each) for _, each in fresh])
    tags: dict[tuple[str, str], int] = {}
    for n, (path, each) in enumerate(fresh):
        video = _insert(index.db, path, files[path], each, rows.get(n, (None, None, None)), tags)
        if n in images:
            index.db.execute("INSERT INTO images VALUES (?, ?, ?, ?)", (video, *images[n]))


def _insert(
    db: sqlite3.Connection,
    path: bytes,
    stamp: Stamp,
    found: Found | None,
    rows: tuple[int | None, int | None, int | None],
    tags: dict[tuple[str, str], int],
) -> int:
    """Enters what a file says, and returns the key of its video."""
    state = "skipped" if found is None else found.status
    said: tuple[object, ...] = (None,) * 5
    if found is not None:
        said = (found.path, found.source, found.duration_s, found.fingerprint, found.checkpoint)
    columns = "result, size, mtime_ns, state, path, source, duration_s, fingerprint, checkpoint, frames, first, count"
    values = (path, *stamp, state, *said, *rows)
    video = db.execute(f"INSERT INTO videos ({columns}) VALUES ({', '.join('?' * 12)})", values).lastrowid
    for seen in found.tags if found is not None else ():
        key = (seen.id, seen.name)
        if key not in tags:
            db.execute("INSERT OR IGNORE INTO tags (id, name) VALUES (?, ?)", key)
            tags[key] = db.execute("SELECT tag FROM tags WHERE id = ? AND name = ?", key).fetchone()[0]
            db.executemany("INSERT OR IGNORE INTO over VALUES (?, ?)", [(seen.id, above) for above in seen.over])
        tag, depth = tags[key], len(seen.over)
        row = (video, tag, seen.probability, seen.score, seen.certain, depth)
        db.execute("INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?, ?, ?)", row)
        whole = seen.score if seen.probability is None else seen.probability
        ranked = [(tag, seen.rank - whole * (1 - share), video, start, end) for start, end, share in seen.spans]
        db.executemany("INSERT OR IGNORE INTO spans VALUES (?, ?, ?, ?, ?)", ranked)
    return int(video or 0)


def _remove(index: Database, path: bytes) -> None:
    """Takes a video out. Its spans stay until the index is cleared out: no question finds them."""
    db = index.db
    row = db.execute("SELECT video, frames, first, count FROM videos WHERE result = ?", (path,)).fetchone()
    if row is None:
        return
    video, *previews = row
    images = db.execute("SELECT frames, first, count FROM images WHERE video = ?", (video,)).fetchone()
    for table in ("videos", "images", "seen"):
        db.execute(f"DELETE FROM {table} WHERE video = ?", (video,))
    db.execute("UPDATE gone SET videos = videos + 1")
    for frames, first, count in (each for each in (previews, images) if each and each[0] is not None):
        from nsnet_cli.index.vectors import embeddings, frames_of

        gone = embeddings(frames_of(index, frames).read(first, count))
        _count(index, frames, -count, -gone.sum(0, dtype="float64"))


Embedded = tuple[str, "np.ndarray", "np.ndarray"]
"""What made the embeddings of a video's frames, their times (T,), and they themselves (T, D)."""


def _previews(found: Found | None) -> Embedded | None:
    if found is None or found.features is None or found.pts_s is None:
        return None
    return str(found.projection), found.pts_s, found.features


def _images(found: Found | None) -> Embedded | None:
    images = found.images if found is not None else None
    return (images.tower, images.pts_s, images.features) if images is not None and len(images.pts_s) else None


def _append(index: Database, holder: str, found: list[Embedded | None]) -> dict[int, tuple[int, int, int]]:
    """Adds embeddings to their files. Returns where those of each position in `found` are: file, first row, rows.

    `holder` is the table where that will stand.
    """
    groups: dict[tuple[str, int], list[int]] = {}
    for n, each in enumerate(found):
        if each is not None:
            groups.setdefault((each[0], each[2].shape[1]), []).append(n)
    if not groups:
        return {}
    import numpy as np

    from nsnet_cli.index.vectors import append, embeddings, records

    where: dict[int, tuple[int, int, int]] = {}
    for (projection, width), members in groups.items():
        name = f"{projection}-{width}"
        row = index.db.execute("SELECT frames, file, rows FROM frames WHERE projection = ?", (name,)).fetchone()
        if row is None:
            file = _file_name(index)
            values = (holder, name, width, file, np.zeros(width).tobytes())
            sql = "INSERT INTO frames (holder, projection, width, file, rows, live, total) VALUES (?, ?, ?, ?, 0, 0, ?)"
            row = index.db.execute(sql, values).lastrowid, file, 0
        frames, file, rows = row
        parts = [records(*found[n][1:]) for n in members]  # type: ignore[index]
        whole = np.concatenate(parts)
        append(index.folder / file, rows, whole)
        first = rows
        for n, part in zip(members, parts, strict=True):
            where[n] = (frames, first, len(part))
            first += len(part)
        index.db.execute("UPDATE frames SET rows = ? WHERE frames = ?", (first, frames))
        _count(index, frames, len(whole), embeddings(whole).sum(0, dtype="float64"))
    return where


def _count(index: Database, frames: int, live: int, total: np.ndarray) -> None:
    import numpy as np

    before = index.db.execute("SELECT total FROM frames WHERE frames = ?", (frames,)).fetchone()[0]
    summed = (np.frombuffer(before) + total).tobytes()
    index.db.execute("UPDATE frames SET live = live + ?, total = ? WHERE frames = ?", (live, summed, frames))


def _file_name(index: Database) -> str:
    return f"{index.name}-{secrets.token_hex(4)}.frames"


# ---- what has left ---------------------------------------------------------------------------------------------------


def clear_out(index: Database) -> None:
    """Removes what belongs to videos that have left, where it is a large share, and files that nothing names."""
    db = index.db
    for (frames,) in db.execute("SELECT frames FROM frames WHERE rows - live > rows * ?", (MOST_DEAD,)).fetchall():
        with index.writing():
            _compact(index, frames)
    gone, here = db.execute("SELECT videos, (SELECT count(*) FROM videos) FROM gone").fetchone()
    if gone > (gone + here) * MOST_DEAD:
        with index.writing():
            db.execute("DELETE FROM spans WHERE video NOT IN (SELECT video FROM videos)")
            db.execute("UPDATE gone SET videos = 0")
    for path in index.folder.glob(f"{index.name}-*.frames"):
        if not _is_used(index, path.name):
            path.unlink(missing_ok=True)


def _compact(index: Database, frames: int) -> None:
    """Copies the rows of videos that are here to a new file."""
    from nsnet_cli.index.vectors import append, frames_of

    old, file, rows = frames_of(index, frames), _file_name(index), 0
    (holder,) = index.db.execute("SELECT holder FROM frames WHERE frames = ?", (frames,)).fetchone()
    sql = f"SELECT video, first, count FROM {holder} WHERE frames = ? ORDER BY first"
    for video, first, count in index.db.execute(sql, (frames,)).fetchall():
        append(index.folder / file, rows, old.read(first, count))
        index.db.execute(f"UPDATE {holder} SET first = ? WHERE video = ?", (rows, video))
        rows += count
    index.db.execute("UPDATE frames SET file = ?, rows = ? WHERE frames = ?", (file, rows, frames))


def _is_used(index: Database, file: str) -> bool:
    """Looks while nobody can write: another program may have just made the file, and not named it yet."""
    with index.writing() as db:
        return db.execute("SELECT 1 FROM frames WHERE file = ?", (file,)).fetchone() is not None
