"""Results below a URL: one object per video and one for its look, as on a disk (nsnet_cli/outputs/store.py).

A store shows an object whole or not at all, so nothing is written under another name first. What is there is listed
once, not asked for video by video. A new result is written only if none is there by then, where the store can do that
(S3 can). Otherwise, of two runs that write one name at the same moment, the last wins: give each its own `--shard`.
"""

from __future__ import annotations

import concurrent.futures
import logging
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from nsnet_cli.atomic import unique
from nsnet_cli.errors import KeptError, OutputError
from nsnet_cli.outputs.kept_files import AGAIN, MOST_BYTES, named
from nsnet_cli.outputs.names import fit_name
from nsnet_cli.outputs.owner import MARK, is_result, leave_alone
from nsnet_cli.outputs.store import SUFFIX, TEMPORARY, ResultStore, _Held
from nsnet_cli.storage import objects
from nsnet_cli.storage.faults import Fault
from nsnet_cli.storage.urls import Url

log = logging.getLogger(__name__)

KEPT = ".nsnet"
AHEAD = 32
"""Results that are fetched ahead of the one that is looked at."""


class UrlStore(ResultStore):
    """Results below a URL. Raises UsageError if its store cannot be reached by what is installed."""

    root: Url  # type: ignore[assignment]

    def __init__(self, root: Url) -> None:
        objects.check_writable(root)
        self.root = root
        self._takes_any_name = True
        self._sizes: dict[str, int] | None = None
        """What is there: sizes of objects by their name below `root`."""
        self._foreign: dict[str, bool] = {}
        self._names: deque[str] = deque()
        self._coming: dict[str, concurrent.futures.Future[bytes]] = {}

    def path(self, name: str, suffix: str = SUFFIX) -> Url:  # type: ignore[override]
        return self.root / _key(name, suffix)

    def check(self) -> None:
        """Checks that objects can be written, before any work. Raises OutputError."""
        probe = self.root / f"{TEMPORARY}/{unique()}"
        self._put(probe, b"nsnet")
        objects.remove(probe)

    def close(self) -> None:
        """Forgets what was fetched ahead."""
        for future in self._coming.values():
            future.cancel()
        self._coming.clear()

    def expect(self, names: Sequence[str]) -> None:
        self._names = deque(names)

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Does nothing: stores have no locks."""
        yield

    def foreign(self, name: str) -> bool:
        """As on a disk; asked once. What cannot be read is taken for another program's."""
        if name not in self._foreign:
            try:
                self._foreign[name] = name in self._there() and not is_result(self._get(self.root / name))
            except OutputError as error:
                log.warning("%s", error)
                self._foreign[name] = True
        return self._foreign[name]

    def folder_of(self, name: str) -> str:
        return str(self.path(name)).rpartition("/")[0]

    def below(self, path: str) -> str | None:
        start = self.root.shown.rstrip("/") + "/"
        return path.removeprefix(start) if path.startswith(start) else None

    # ---- parts ----

    def _there(self) -> dict[str, int]:
        if self._sizes is None:
            try:
                self._sizes = objects.sizes(self.root)
            except Fault as fault:
                raise _refused(self.root, fault, "list") from fault
        return self._sizes

    def _read_result(self, name: str) -> bytes | Literal["nobody", "foreign"]:
        key = _key(name, SUFFIX)
        if key not in self._there():
            return "nobody"
        self._fetch_ahead()
        try:
            return (self._coming.pop(key, None) or objects.get(self.root / key)).result()
        except Fault as fault:
            if fault.kind == "not_found":  # removed since it was listed
                return "nobody"
            log.warning("%s: left alone, it cannot be read: %s", self.root / key, fault.words)
            return "foreign"

    def _read_kept(self, held: _Held, rendered: bool) -> bytes:
        """The look beside a result; if it will not be rendered, only its size is compared, in the listing."""
        wanted = held.row.get("kept")
        if wanted is None:
            return b""
        key = _key(held.name, KEPT)
        size = self._there().get(key)
        if not isinstance(wanted, dict) or size is None or size != wanted.get("size_bytes") or size > MOST_BYTES:
            raise KeptError(f"{self.root / key} is not the file that its result names", AGAIN)
        if not rendered:
            return b""
        try:
            data = self._get(self.root / key)
        except OutputError as error:
            raise KeptError(error.message, AGAIN) from error
        if named(data) != wanted:
            raise KeptError(f"{self.root / key} is not the file that its result names: another SHA-256", AGAIN)
        return data

    def _keep(self, name: str, data: bytes) -> dict[str, Any] | None:
        key = _key(name, KEPT)
        if key in self._there() and MARK.search(self._get(self.root / key)) is None:
            leave_alone(Path(str(self.root / key)))
            return None
        self._put(self.root / key, data)
        return named(data)

    def _write(self, target: Any, data: bytes, *, replace: bool = True, settle: bool = True) -> Any:
        try:
            self._put(target, data, replace)
        except FileExistsError:
            self._there()[self._below(target)] = -1  # another run was first
            raise
        return target

    def _write_here(self, name: str, data: bytes) -> None:
        self._put(self.root / name, data)

    def _put(self, url: Url, data: bytes, replace: bool = True) -> None:
        try:
            objects.put(url, data, replace)
        except Fault as fault:
            raise _refused(url, fault, "write") from fault
        if self._sizes is not None:
            self._sizes[self._below(url)] = len(data)
        self._coming.pop(self._below(url), None)

    def _below(self, url: Url) -> str:
        return self.below(url.shown) or ""

    def _get(self, url: Url) -> bytes:
        try:
            return objects.get(url).result()
        except Fault as fault:
            raise _refused(url, fault, "read") from fault

    def _fetch_ahead(self) -> None:
        while self._names and len(self._coming) < AHEAD:
            key = _key(self._names.popleft(), SUFFIX)
            if key in self._there() and key not in self._coming:
                self._coming[key] = objects.get(self.root / key)


def _key(name: str, suffix: str) -> str:
    *folders, last = name.split("/")
    return "/".join([*(fit_name(part, "") for part in folders), fit_name(last, suffix)])


def _refused(url: Url, fault: Fault, what: str) -> OutputError:
    words = "there is no such bucket" if (what, fault.kind) == ("write", "not_found") else fault.words
    return OutputError(f"cannot {what} {url}: {words}", fault.hint or "give another URL")
