"""A folder of results: one file per video in a tree that mirrors the inputs', each there whole or not at all.

`clip.mp4` -> `clip.mp4.nsnet.json`. A result is done when its file parses, it is this very video's and its fingerprint
is the video's present one. Files are written to `.nsnet-tmp/` in the same folder, synced, and renamed: a kill at any
moment leaves the old state or the new one. What a killed run left in `.nsnet-tmp/` the next run removes.

Two videos never share a file: where the plain name holds another video's result, the name ends in a hash of the path.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from nsnet_cli.atomic import sweep, unique, write_whole
from nsnet_cli.bounded import bounded
from nsnet_cli.errors import EXIT_UNEXPECTED, EXIT_USAGE, OutputError
from nsnet_cli.outputs.filesystem import ODD_NAME, lock, takes
from nsnet_cli.outputs.jsonlines import from_dict, to_line
from nsnet_cli.outputs.names import apart, fit_name, source_key, spelled
from nsnet_cli.outputs.owner import is_schema, leave_alone, marked, owner
from nsnet_cli.text import json_text
from nsnet_cli.types import ErrorInfo, Source, VideoResult

SUFFIX = ".nsnet.json"
TEMPORARY = ".nsnet-tmp"
FATAL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG)
"""Errors that the next file will meet as well: the run ends, what is written stays."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What the folder says about one video: 'taken' is what is no result of nsnet, and nothing can be kept there."""

    state: Literal["missing", "stale", "done", "failed", "taken"]
    result: VideoResult | None = None
    name: str = ""
    """The output name under which the video's files stand, or will stand."""
    source: Source | None = None
    """The video that the result was made from, as the file says."""
    error: ErrorInfo | None = None
    """Of what is 'taken': why nothing can be kept."""


@dataclass(frozen=True, slots=True)
class _Held:
    """What lies where the result of a name would."""

    name: str
    whose: Literal["nobody", "this", "another", "foreign"]
    result: VideoResult | None = None
    fingerprint: str | None = None
    source: Source | None = None


class ResultStore:
    """Results below `root`. Raises OutputError where they cannot be written; `check` finds that out before any work."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._temporary = root / TEMPORARY
        self._takes_any_name = self._locks = True

    def path(self, name: str, suffix: str = SUFFIX) -> Path:
        """Where the file of the video with output name `name` lies."""
        parts = name.split("/") if self._takes_any_name else [spelled(part) for part in name.split("/")]
        return self.root.joinpath(*(fit_name(part, "") for part in parts[:-1]), fit_name(parts[-1], suffix))

    def check(self) -> None:
        """Make the folder, prove that it can be written, and sweep out what a killed run left."""
        try:
            try:
                self._prove()
            except FileNotFoundError:  # another run on this folder ended just now and tidied up
                self._prove()
        except OSError as error:
            failed = refused(self.root, error)
            if error.errno == errno.EROFS:  # nothing is lost yet: another folder is all it takes
                failed.exit_code = EXIT_USAGE  # type: ignore[misc]
            raise failed from error
        sweep(self._temporary)

    def _prove(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        self._temporary.mkdir(exist_ok=True)
        probe = self._temporary / unique()
        probe.write_bytes(b"nsnet")
        self._takes_any_name = takes(self._temporary, unique() + ODD_NAME)  # `probe` keeps the folder where it is
        probe.unlink()

    def close(self) -> None:
        """Remove the temporary folder if nobody uses it."""
        with suppress(OSError):
            self._temporary.rmdir()

    def write(self, name: str, data: bytes, suffix: str = SUFFIX, *, replace: bool = True) -> Path:
        """Put `data` where `path(name, suffix)` says, whole or not at all. Raises OutputError.

        With `replace` False: FileExistsError where something lies there.
        """
        target = self.path(name, suffix)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                write_whole(target, data, temporary=self._temporary, replace=replace)
            except FileNotFoundError:  # another run on this folder ended just now and tidied up
                write_whole(target, data, temporary=self._temporary, replace=replace)
        except OSError as error:
            if isinstance(error, FileExistsError) and not replace:
                raise
            raise refused(target, error) from error
        return target

    def put(self, name: str, data: bytes, suffix: str, source: Source) -> Path | None:
        """As `write`, with nsnet's mark in a picture. What another program wrote is left alone: a warning, and None."""
        target = self.path(name, suffix)
        if owner(target).ours is False:
            leave_alone(target)
            return None
        return self.write(name, marked(data, source_key(source.path)), suffix)

    def save(self, name: str, result: VideoResult, fingerprint: str | None, source: Source | None = None) -> Path:
        """Keep one result, and return where. Raises OutputError.

        Last of a video's files to be written: it is what makes the video done.
        """
        source = source or unseen(result.path)
        data = (to_line(result, fingerprint, source) + "\n").encode("utf-8")
        for _ in range(9):
            held = self._place(name, source, lambda: fingerprint)
            if held.whose in ("foreign", "another"):
                break
            with suppress(FileExistsError):  # a run beside this one was first: look again whose it is
                return self.write(held.name, data, replace=held.whose == "this")
        raise taken(self.path(held.name))

    def look(self, name: str, fingerprint: Callable[[], str | None], source: Source | None = None) -> Stored:
        """Whether the video of output name `name` is done. `fingerprint` is asked only where there is a result."""
        held = self._place(name, source, fingerprint)
        if held.whose == "nobody":
            return Stored("missing", name=held.name)
        if held.whose != "this":
            return Stored("taken", name=held.name, error=ErrorInfo("output", str(taken(self.path(held.name)))))
        if held.result is None or held.fingerprint is None or held.fingerprint != fingerprint():
            return Stored("stale", held.result, held.name, held.source)
        return Stored("done" if held.result.status == "ok" else "failed", held.result, held.name, held.source)

    def picture_name(self, name: str, suffixes: list[str], own: list[Source]) -> str:
        """The name under which a video's pictures stand or will stand: not where another video's are.

        `own`: the video, and where it was when its result was kept.
        """
        keys = [None, *(source_key(source.path) for source in own)]
        taken = any(owner(self.path(name, suffix)).key not in keys for suffix in suffixes)
        return apart(name, own[0].path) if taken else name

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """While files of one name are written, runs beside this one wait; where the file system has no locks, they do
        not, and only results are safe from each other (`save`). Raises OutputError."""
        folder = self.path(name).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(folder, os.O_RDONLY)
        except OSError as error:
            raise refused(folder, error) from error
        try:
            self._locks = self._locks and lock(descriptor)
            yield
        finally:
            os.close(descriptor)

    # ---- whose a name is ----

    def _place(self, name: str, source: Source | None, fingerprint: Callable[[], str | None]) -> _Held:
        """The plain name where it is this video's or free, else the one that ends in the hash of its path."""
        plain = self._held(name, source, fingerprint)
        if source is None or plain.whose in ("this", "foreign"):
            return plain
        other = self._held(apart(name, source.path), source, fingerprint)
        return other if other.whose == "this" or plain.whose == "another" else plain

    def _held(self, name: str, source: Source | None, fingerprint: Callable[[], str | None]) -> _Held:
        path = self.path(name)
        try:
            if not path.is_file() or path.is_symlink():
                return _Held(name, "foreign" if os.path.lexists(path) else "nobody")
            row = json.loads(path.read_bytes())
        except ValueError:  # damaged, or cut by a crash: the ending is nsnet's own
            return _Held(name, "this")
        except OSError as error:  # a file that may not be read; or a name that cannot be there
            return _Held(name, "foreign" if isinstance(error, PermissionError) else "nobody")
        if not is_schema(row):
            return _Held(name, "foreign")
        kept, made_from = row.get("fingerprint"), _source_of(row)
        whose: Literal["this", "another"] = "this"
        if source is not None and not _same(made_from, source, lambda: kept is not None and kept == fingerprint()):
            whose = "another"
        try:
            return _Held(name, whose, from_dict(row), kept, made_from)
        except ValueError:  # of another version of nsnet
            return _Held(name, whose, source=made_from)

    def write_summary(self, summary: dict[str, Any], name: str = "run.json") -> None:
        if owner(self.root / name).ours is False:
            return  # said when the run began
        try:
            data = (json_text(summary, indent=2) + "\n").encode("utf-8")
            write_whole(self.root / name, data, temporary=self._temporary)
        except OSError as error:
            raise refused(self.root / name, error) from error


def unseen(path: str) -> Source:
    """A video that could not be looked at: following its links could take for ever."""
    return Source(os.path.abspath(path))  # noqa: PTH100


def _source_of(row: dict[str, Any]) -> Source:
    """The video that a kept result is about; version 0.1 said only what was given on the command line."""
    path = row.get("source")
    if not isinstance(path, str):
        return Source(os.path.abspath(str(row.get("path"))))  # noqa: PTH100
    return Source(path, row.get("source_size_bytes"), row.get("source_mtime_ns"))


def _same(kept: Source, now: Source, fingerprint: Callable[[], bool]) -> bool:
    """Whether a result was made from this video. One whose file is not where it was may have been moved, or lie on
    another machine's disk: then its size and time tell, or its fingerprint."""

    def there() -> bool | None:
        if os.path.realpath(kept.path) == now.path:
            return True
        return os.path.samefile(kept.path, now.path) if os.path.exists(kept.path) else None  # noqa: PTH110, PTH121

    if kept.path == now.path:
        return True
    try:
        same = bounded(there)
    except (OSError, ValueError):
        return False
    if same is not None:
        return same
    if kept.size_bytes is not None and (kept.size_bytes, kept.mtime_ns) == (now.size_bytes, now.mtime_ns):
        return True
    return fingerprint()


def taken(path: Path) -> OutputError:
    """What to tell of a result that cannot be kept where it belongs."""
    what = "a folder" if path.is_dir() else "no result of nsnet"
    return OutputError(f"cannot keep the result: {path} is {what}", "move it away, or choose another folder")


def refused(path: Path, error: OSError) -> OutputError:
    """What to tell of a file that cannot be written. A full disk is unexpected (exit code 1), a wrong place is not."""
    reason = error.strerror or str(error)
    failed = OutputError(f"cannot write {path}: {reason}", _next_step(error))
    if error.errno in FATAL:
        failed.exit_code = EXIT_UNEXPECTED  # type: ignore[misc]
        failed.kind = "disk_full" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else "output"
    return failed


def _next_step(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "free some space and run the same command again: finished results stay"
    return "choose another folder"
