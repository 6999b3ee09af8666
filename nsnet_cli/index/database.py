"""The index of a folder of results: SQLite, and files of frames beside it. A cache that can be deleted at any time.

`.nsnet-index/current` names the database in use. A damaged one is not repaired: a new one with another name takes its
place, so that a program that still has the old one open disturbs nobody. The only lock is SQLite's, which ends with the
process that holds it.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nsnet_cli.atomic import write_whole
from nsnet_cli.weights.folders import cache_folder

FOLDER, CURRENT = ".nsnet-index", "current"
VERSION = 2
"""Of the tables. An index of another version is made anew."""
WAIT_S = 30.0
"""How long to wait for another `find` that writes."""
NAME = re.compile(r"[0-9a-f]{16}")
TABLES = """
CREATE TABLE videos (
    video INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used twice: spans of a video that has left may still be there
    result BLOB NOT NULL UNIQUE, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    state TEXT NOT NULL,  -- ok, error (a failed video), skipped (no result)
    path BLOB, source BLOB, duration_s REAL, fingerprint TEXT, checkpoint TEXT,
    frames INTEGER,  -- the row in `frames`; NULL: no embeddings
    first INTEGER, count INTEGER  -- its rows in that file
);
CREATE TABLE tags (tag INTEGER PRIMARY KEY, id TEXT NOT NULL, name TEXT NOT NULL, UNIQUE (id, name));
CREATE TABLE seen (
    video INTEGER NOT NULL, tag INTEGER NOT NULL,
    probability REAL, score REAL NOT NULL, certain INTEGER NOT NULL, depth INTEGER NOT NULL,
    PRIMARY KEY (video, tag)
) WITHOUT ROWID;
CREATE TABLE spans (
    tag INTEGER NOT NULL, rank REAL NOT NULL, video INTEGER NOT NULL, start_s REAL NOT NULL, end_s REAL NOT NULL,
    PRIMARY KEY (tag, rank DESC, video, start_s, end_s)
) WITHOUT ROWID;
CREATE TABLE over (tag TEXT NOT NULL, above TEXT NOT NULL, PRIMARY KEY (tag, above)) WITHOUT ROWID;
CREATE TABLE gone (
    videos INTEGER NOT NULL  -- how many have left since the index was last cleared out
);
INSERT INTO gone VALUES (0);
CREATE TABLE images (
    video INTEGER PRIMARY KEY, frames INTEGER NOT NULL, first INTEGER NOT NULL, count INTEGER NOT NULL
    -- as the last three columns of `videos`, for embeddings that text is compared with
);
CREATE TABLE frames (
    frames INTEGER PRIMARY KEY,
    holder TEXT NOT NULL,  -- the table that says which rows are whose: videos for preview embeddings, or images
    projection TEXT NOT NULL UNIQUE, width INTEGER NOT NULL,
    file TEXT NOT NULL, rows INTEGER NOT NULL, live INTEGER NOT NULL,
    total BLOB NOT NULL  -- (D,) float64, the sum of all live embeddings
);
"""


class DamagedError(Exception):
    """A file of the index is not what the index says: the index must be made anew."""


class Database:
    """One open index. Use it in one thread, and close it."""

    def __init__(self, folder: Path, name: str) -> None:
        """Opens the index `name` in `folder`, or makes an empty one. Raises sqlite3.Error."""
        self.folder, self.name = folder, name
        self.db = sqlite3.connect(folder / f"{self.name}.sqlite", timeout=WAIT_S, isolation_level=None)
        try:
            self._prepare()
        except BaseException:
            self.db.close()
            raise

    def _prepare(self) -> None:
        if self.db.execute("PRAGMA user_version").fetchone()[0] == VERSION:
            return
        with self.writing():  # also shows whether it can be written
            version = self.db.execute("PRAGMA user_version").fetchone()[0]
            if version == 0 and not self.db.execute("SELECT 1 FROM sqlite_master").fetchone():
                for statement in TABLES.split(";\n"):
                    self.db.execute(statement)
                self.db.execute(f"PRAGMA user_version = {VERSION}")
            elif version != VERSION:
                raise sqlite3.DatabaseError(f"it has version {version}")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that changes the index; one at a time."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield self.db
        except BaseException:
            with suppress(sqlite3.Error):
                self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A transaction that sees one state of the index, whatever others write."""
        self.db.execute("BEGIN")
        try:
            yield self.db
        finally:
            with suppress(sqlite3.Error):
                self.db.execute("ROLLBACK")

    def close(self) -> None:
        self.db.close()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def current(folder: Path) -> str:
    """The name of the database in use. Raises OSError if none can be named."""
    for _ in range(9):
        with suppress(FileNotFoundError):
            name = (folder / CURRENT).read_text("ascii", "replace").strip()
            if NAME.fullmatch(name):
                return name
            abandon(folder, name)
            continue
        with suppress(FileExistsError):  # another `find` was first
            write_whole(folder / CURRENT, secrets.token_hex(8).encode(), replace=False)
            sweep(folder)
    raise OSError(f"{folder / CURRENT} cannot be read")


def abandon(folder: Path, name: str) -> None:
    """Gives up a damaged database: the next one that is opened is new. Does nothing if that has happened already."""
    with suppress(OSError):
        if (folder / CURRENT).read_text("ascii", "replace").strip() != name:
            return
    write_whole(folder / CURRENT, secrets.token_hex(8).encode())
    sweep(folder)


def sweep(folder: Path) -> None:
    """Removes files of databases that were given up."""
    with suppress(OSError):
        name = (folder / CURRENT).read_text("ascii", "replace").strip()
        for path in folder.iterdir():
            if (found := NAME.match(path.name)) and found[0] != name:
                path.unlink(missing_ok=True)


def places(results: Path) -> Iterator[Path]:
    """Yields folders for the index, the best first: with the results, else in the user's cache."""
    yield results / FOLDER
    key = hashlib.sha256(os.fsencode(os.path.realpath(results))).hexdigest()[:16]
    yield cache_folder() / "index" / key
