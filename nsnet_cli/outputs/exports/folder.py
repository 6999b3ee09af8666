"""The folder that an export writes to. Only files that nsnet wrote there are replaced or removed.

Not every format can hold a mark, so a list in the folder names the files and their hashes. A hash is added to the list
before its file is written: a kill at any moment leaves only files that the list knows. A file that was changed since is
somebody's work, and stays.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from nsnet_cli.atomic import write_whole
from nsnet_cli.errors import OutputError
from nsnet_cli.outputs.owner import is_schema, leave_alone, owner
from nsnet_cli.outputs.store import ResultStore, refused
from nsnet_cli.text import json_text

log = logging.getLogger(__name__)

LIST = ".nsnet-export.jsonl"
WRITERS = 8
"""Threads that wait until their files are on the disk: one disk syncs many files at once nearly as fast as one."""
NO_FILE = "no file"
"""In place of the hash of a link, a folder, or a file that cannot be read."""
HEAD = {"schema_version": 1, "about": "files that nsnet exported to this folder, and their sha256"}


class ExportFolder:
    """Files below `root`. Raises OutputError if they cannot be written; `open` finds out before any work.

    `overwrite`: also replaces exported files that were changed since.
    """

    def __init__(self, root: Path, overwrite: bool = False) -> None:
        self.root = root
        self._overwrite = overwrite
        self._store = ResultStore(root)
        self._known: dict[str, set[str]] = {}
        self._added: BinaryIO | None = None
        self._writers = ThreadPoolExecutor(WRITERS)
        self._waiting: deque[Future[Path]] = deque()

    @property
    def is_open(self) -> bool:
        return self._added is not None

    def open(self) -> None:
        """Creates the folder, checks that it can be written, and reads the list. Does so once."""
        if self.is_open:
            return
        self._store.check()
        path = self.root / LIST
        try:
            data = path.read_bytes() if path.exists() else b""
            lines = list(_objects(data)) if data else [HEAD]
            if not lines or not is_schema(lines[0]):
                raise OutputError(
                    f"{path} was not written by nsnet", "move it away, or give --output-dir another folder"
                )
            for line in lines[1:]:
                self._known.setdefault(str(line.get("name")), set()).add(str(line.get("sha256")))
            self._added = path.open("ab")
            if not data:
                self._append(HEAD)
            elif not data.endswith(b"\n"):  # a kill cut the last line
                self._added.write(b"\n")
        except OSError as error:
            raise refused(path, error) from error

    def path(self, name: str, ending: str = "") -> Path:
        return self._store.path(name, ending)

    def put(self, name: str, data: bytes, ending: str = "") -> bool:
        """Writes a file, by the time of `finish`. False, after a warning, if there is one that must stay.

        Raises OutputError, also for files before this one.
        """
        target, new = self.path(name, ending), hashlib.sha256(data).hexdigest()
        there = _hash(target)
        if there == new:
            return True
        if there is not None and not self._may_replace(target, there):
            return False
        self._remember(target, new)
        self._waiting.append(self._writers.submit(self._store.write, name, data, ending))
        if len(self._waiting) > 2 * WRITERS:
            self._waiting.popleft().result()
        return True

    def finish(self) -> None:
        """Waits until all files are written. Raises OutputError."""
        while self._waiting:
            self._waiting.popleft().result()

    def drop(self, name: str, ending: str) -> None:
        """Removes a file of an earlier export for which there is nothing to say any more."""
        target = self.path(name, ending)
        there = _hash(target)
        if there is not None and there in self._known.get(self._key(target), ()):
            target.unlink(missing_ok=True)

    def close(self) -> None:
        """Shortens the list to what is there. Also call it after an error."""
        self._writers.shutdown()
        if self._added is None:
            return
        self._added.close()
        lines = [HEAD]
        for name, hashes in sorted(self._known.items()):
            there = _hash(self.root / name)
            # a file that was changed keeps its hashes: they say that it was nsnet's
            entry = sorted({there} & hashes or hashes) if there is not None else []
            lines += [{"name": name, "sha256": one} for one in entry]
        with suppress(OSError):  # the longer list says the same
            write_whole(self.root / LIST, "".join(json_text(line) + "\n" for line in lines).encode())
        self._store.close()

    def _may_replace(self, target: Path, there: str) -> bool:
        known = self._known.get(self._key(target))
        if there == NO_FILE or (known is None and not owner(target).ours):
            leave_alone(target)
            return False
        if known is None or there in known or self._overwrite:
            return True
        log.warning("%s: left alone, it was changed since nsnet wrote it (--overwrite replaces it)", target)
        return False

    def _key(self, target: Path) -> str:
        return target.relative_to(self.root).as_posix()

    def _remember(self, target: Path, new: str) -> None:
        key = self._key(target)
        if new not in self._known.setdefault(key, set()):
            self._known[key].add(new)
            self._append({"name": key, "sha256": new})

    def _append(self, line: dict[str, object]) -> None:
        assert self._added is not None, "the folder is open"
        try:
            self._added.write((json_text(line) + "\n").encode())
            self._added.flush()
        except OSError as error:
            raise refused(self.root / LIST, error) from error


def _objects(data: bytes) -> Iterator[dict[str, object]]:
    """The JSON objects in `data`, one per line. A line that a kill cut short is passed over."""
    for line in data.splitlines():
        with suppress(ValueError):
            value = json.loads(line)
            if isinstance(value, dict):
                yield value


def _hash(path: Path) -> str | None:
    """The sha256 of a file. None if there is nothing."""
    try:
        if path.is_symlink() or not path.is_file():
            return NO_FILE if path.is_symlink() or path.exists() else None
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return NO_FILE
