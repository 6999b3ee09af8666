"""A folder of results as Parquet, for runs too large for a file per video: each part has the rows of many videos.

`part-TIME-ID.parquet` is written under another name, synced and renamed, so a part is whole or not there. A kill costs
the rows that wait for their part: their videos are tagged again. What is done is known from the parts alone.

A video that is tagged anew has its new row in a new part. Its old row is then taken out of the old one; if a kill comes
between, the next run does it. So each video has one row.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from nsnet_cli.outputs import parquet_rows
from nsnet_cli.outputs.jsonlines import to_dict
from nsnet_cli.outputs.sources import unseen
from nsnet_cli.outputs.store import ResultStore, Stored
from nsnet_cli.records import dataclass
from nsnet_cli.text import json_text
from nsnet_cli.types import Source, VideoResult

log = logging.getLogger(__name__)

PART_ROWS = 1000
"""Most rows of a part: 2 MB of file."""
PART_S = 30.0
"""Longest time that a row waits for its part."""
SUFFIX = ".parquet"
KNOWN = ("source", "status", "fingerprint", "shown", "error")


@dataclass(frozen=True, slots=True)
class _Done:
    """What a part says about a video."""

    part: Path
    fingerprint: str | None
    shown: str | None
    failed: str | None
    """The kind of its error."""


class PartStore:
    """Rows of results in parts, in the folder of `store`. Raises OutputError if they cannot be written."""

    def __init__(self, store: ResultStore) -> None:
        self._store = store
        self._done: dict[str, _Done] = {}
        self._old: dict[Path, set[str]] = {}
        """Videos whose row in a part is older than another one, by part."""
        self._waiting: dict[str, dict[str, Any]] = {}
        self._since_s = 0.0
        self._is_read = False

    def _read(self) -> None:
        """Reads which videos are done. A dry run opens nothing, but asks for it too."""
        if self._is_read:
            return
        self._is_read = True
        for part in parts_in(self._store.root):
            try:
                rows = parquet_rows.read_columns(part, KNOWN)
            except (OSError, ValueError) as error:
                log.warning("%s: left alone, %s; its videos are tagged again", part, error)
                continue
            for row in rows:
                failed = row["error"]["kind"] if row["error"] else None
                self._replace(row["source"], _Done(part, row["fingerprint"], row["shown"], failed))

    def look(
        self,
        path: str,
        fingerprint: Callable[[], str | None],
        source: Source | None,
        shown: Mapping[str, Any] | None,
    ) -> Stored:
        """Whether a video is done, as `ResultStore.look`. Looks are not kept, so nothing is rendered anew."""
        self._read()
        done = self._done.get(_key(source or unseen(path)))
        if done is None:
            return Stored("missing")
        if done.fingerprint is None or done.fingerprint != fingerprint():
            return Stored("stale")
        if done.failed is not None:
            return Stored("failed", VideoResult.failed(path, done.failed, "it failed before"))
        if shown is not None and done.shown != json_text(dict(shown)):
            return Stored("stale")
        return Stored("done", VideoResult(path, "ok"), fingerprint=done.fingerprint)

    def add(
        self, result: VideoResult, fingerprint: str | None, source: Source, shown: Mapping[str, Any] | None
    ) -> None:
        """Adds a row. It is on the disk once its part is full, or after PART_S, or with `close`."""
        self._read()
        if not self._waiting:
            self._since_s = time.monotonic()
        row = to_dict(result, fingerprint, source, shown)
        row.pop("kept", None)
        self._waiting[_key(source)] = row
        if len(self._waiting) >= PART_ROWS or time.monotonic() >= self._since_s + PART_S:
            self._flush()

    def close(self) -> None:
        """Writes what waits, and takes old rows out of their parts."""
        self._flush()
        while self._old:
            part, keys = self._old.popitem()
            self._take_out(part, keys)

    # ---- parts ----

    def _flush(self) -> None:
        if not self._waiting:
            return
        name = f"part-{time.time_ns()}-{uuid.uuid4().hex[:8]}"
        part = self._store.write(name, parquet_rows.to_bytes(list(self._waiting.values())), SUFFIX)
        for key, row in self._waiting.items():
            shown = None if row.get("shown") is None else json_text(row["shown"])
            failed = row["error"]["kind"] if row["error"] else None
            self._replace(key, _Done(part, row.get("fingerprint"), shown, failed))
        self._waiting = {}

    def _replace(self, key: str, new: _Done) -> None:
        old = self._done.get(key)
        if old is not None and old.part != new.part:
            self._old.setdefault(old.part, set()).add(key)
        self._done[key] = new

    def _take_out(self, part: Path, keys: set[str]) -> None:
        """Writes a part without some rows. Other runs on the folder wait: none brings back what another took out."""
        name = part.name.removesuffix(SUFFIX)
        with self._store.alone(name):
            try:
                rows = [row for row in parquet_rows.read_rows(part) if row["source"] not in keys]
            except (OSError, ValueError):  # another run was first
                return
            if rows:
                self._store.write(name, parquet_rows.to_bytes(rows), SUFFIX)
            else:
                with suppress(OSError):
                    part.unlink()


def parts_in(folder: Path) -> list[Path]:
    """The parts in a folder, oldest first."""
    return sorted(folder.glob(f"part-*{SUFFIX}"))


def _key(source: Source) -> str:
    return parquet_rows.utf8(source.path)
