"""A folder of results: one file per video, in a tree like the inputs', each complete or not there.

`clip.mp4` -> `clip.mp4.nsnet.json`. A result is done if its file parses, belongs to this video, has the video's
current fingerprint, and was rendered with the options of this run. Files are written to `.nsnet-tmp/` in the same
folder, synced, and renamed: a kill at any moment leaves the old state or the new one. The next run removes what a
killed run left in `.nsnet-tmp/`.

`clip.mp4.nsnet` is the look that the result was rendered from. It is written first, and the result names it by its
hash. So a crash between the two is noticed, and the video is looked at again.

Two videos never share a file: if the plain name belongs to another video, the name ends in a hash of the path.
"""

from __future__ import annotations

import errno
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import field, replace
from pathlib import Path
from typing import Any, Literal

from nsnet_cli.atomic import sweep, unique, write_whole
from nsnet_cli.errors import EXIT_USAGE, KeptError
from nsnet_cli.outputs.filesystem import ODD_NAME, lock, takes
from nsnet_cli.outputs.jsonlines import from_dict, to_line
from nsnet_cli.outputs.kept_files import kept_beside, kept_path, named
from nsnet_cli.outputs.names import apart, fit_name, source_key, spelled
from nsnet_cli.outputs.owner import is_schema, leave_alone, marked, owner
from nsnet_cli.outputs.refusals import refused, taken
from nsnet_cli.outputs.sources import same, source_of, unseen
from nsnet_cli.records import dataclass
from nsnet_cli.storage.urls import is_url, refuse_url
from nsnet_cli.text import json_text
from nsnet_cli.types import ErrorInfo, Source, VideoResult

log = logging.getLogger(__name__)

SUFFIX = ".nsnet.json"
TEMPORARY = ".nsnet-tmp"


@dataclass(frozen=True, slots=True)
class Stored:
    """What the folder has for one video. 'taken': another file is there, so no result can be kept.

    'kept': the video was looked at as this run would, and its result was rendered with other options.
    """

    state: Literal["missing", "stale", "done", "kept", "failed", "taken"]
    result: VideoResult | None = None
    name: str = ""
    """The output name of the video's files, present or future."""
    source: Source | None = None
    """The video that the result was made from, according to the file."""
    error: ErrorInfo | None = None
    """For 'taken': why nothing can be kept."""
    fingerprint: str | None = None
    kept: bytes = b""
    """For 'done' and 'kept': the look that the result was rendered from; empty if there is none."""


@dataclass(frozen=True, slots=True)
class _Held:
    """What is at the path of a name's result."""

    name: str
    whose: Literal["nobody", "this", "another", "foreign"]
    result: VideoResult | None = None
    fingerprint: str | None = None
    source: Source | None = None
    row: Mapping[str, Any] = field(default_factory=dict)


class ResultStore:
    """Results below `root`. Raises OutputError if they cannot be written; `check` finds out before any work."""

    def __init__(self, root: Path) -> None:
        """Raises UsageError if `root` was given as a URL: url_store.py keeps results there, and nothing else."""
        refuse_url(root, "only the results of `nsnet tag -o` can be kept at a URL", "give a local folder")
        self.root = root
        self._temporary = root / TEMPORARY
        self._takes_any_name = self._locks = True

    @property
    def temporary(self) -> Path:
        """The folder for files that are being written. It goes when no run uses it."""
        return self._temporary

    def path(self, name: str, suffix: str = SUFFIX) -> Path:
        """The path of the file of the video with output name `name`."""
        parts = name.split("/") if self._takes_any_name else [spelled(part) for part in name.split("/")]
        return self.root.joinpath(*(fit_name(part, "") for part in parts[:-1]), fit_name(parts[-1], suffix))

    def check(self) -> None:
        """Creates the folder, checks that it can be written, and removes what a killed run left."""
        try:
            try:
                self._prove()
            except FileNotFoundError:  # another run on this folder has just ended and tidied up
                self._prove()
        except OSError as error:
            failed = refused(self.root, error)
            if error.errno == errno.EROFS:  # nothing is lost yet: the user only needs another folder
                failed.exit_code = EXIT_USAGE  # type: ignore[misc]
            raise failed from error
        sweep(self._temporary)

    def _prove(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        self._temporary.mkdir(exist_ok=True)
        probe = self._temporary / unique()
        probe.write_bytes(b"nsnet")
        self._takes_any_name = takes(
            self._temporary, unique() + ODD_NAME
        )  # `probe` keeps other runs from removing the folder
        probe.unlink()

    def close(self) -> None:
        """Removes the temporary folder if no run uses it."""
        with suppress(OSError):
            self._temporary.rmdir()

    def write(self, name: str, data: bytes, suffix: str = SUFFIX, *, replace: bool = True) -> Path:
        """Writes `data` to `path(name, suffix)`, completely or not at all. Raises OutputError.

        With `replace` False, raises FileExistsError if there is a file already.
        """
        return self._write(self.path(name, suffix), data, replace=replace)

    def _write(self, target: Path, data: bytes, *, replace: bool = True, settle: bool = True) -> Path:
        def whole() -> None:
            write_whole(target, data, temporary=self._temporary, replace=replace, settle=settle)

        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                whole()
            except FileNotFoundError:  # another run on this folder has just ended and tidied up
                whole()
        except OSError as error:
            if isinstance(error, FileExistsError) and not replace:
                raise
            raise refused(target, error) from error
        return target

    def put(self, name: str, data: bytes, suffix: str, source: Source) -> Path | None:
        """Like `write`, with nsnet's mark in a picture. For another program's file, warns and returns None."""
        target = self.path(name, suffix)
        if owner(target).ours is False:
            leave_alone(target)
            return None
        return self.write(name, marked(data, source_key(source.path)), suffix)

    def save(
        self,
        name: str,
        result: VideoResult,
        fingerprint: str | None,
        source: Source | None = None,
        shown: Mapping[str, Any] | None = None,
    ) -> Path:
        """Writes one result, and before it what was kept of the look. Returns its path. Raises OutputError.

        Write it after the video's other files: it marks the video as done. `shown`: the options it was rendered with.
        """
        source = source or unseen(result.path)
        for _ in range(9):
            held = self._place(name, source, lambda: fingerprint)
            if held.whose in ("foreign", "another"):
                break
            kept = self._keep(held.name, result.kept) if result.kept else None
            data = (to_line(result, fingerprint, source, shown, kept) + "\n").encode("utf-8")
            with suppress(FileExistsError):  # a parallel run was first: look again whose file it is
                return self.write(held.name, data, replace=held.whose == "this")
        raise taken(self.path(held.name))

    def _keep(self, name: str, data: bytes) -> dict[str, Any] | None:
        """Writes what is kept beside a result, and returns how the result names it.

        None if another program's file has the name: it is left alone.
        """
        target = kept_path(self.path(name))
        if owner(target).ours is False:
            leave_alone(target)
            return None
        with suppress(OSError):
            if target.read_bytes() == data:
                return named(data)
        self._write(target, data, settle=False)  # the result's own write settles the names in this folder
        return named(data)

    def look(
        self,
        name: str,
        fingerprint: Callable[[], str | None],
        source: Source | None = None,
        shown: Mapping[str, Any] | None = None,
    ) -> Stored:
        """Whether the video with output name `name` is done. Calls `fingerprint` only if there is a result.

        `shown`: the options that a result should be rendered with. None: any.
        """
        held = self._place(name, source, fingerprint)
        if held.whose == "nobody":
            return Stored("missing", name=held.name)
        if held.whose != "this":
            return Stored("taken", name=held.name, error=ErrorInfo("output", str(taken(self.path(held.name)))))
        stale = Stored("stale", held.result, held.name, held.source)
        if held.result is None or held.fingerprint is None or held.fingerprint != fingerprint():
            return stale
        if held.result.status != "ok":
            return replace(stale, state="failed")
        as_shown = shown is not None and held.row.get("shown") == shown
        try:
            kept = self._read_kept(held, rendered=not as_shown)
        except KeptError as error:
            log.warning("%s: looking at the video again", error.message)
            return stale
        done = replace(stale, state="done", fingerprint=held.fingerprint, kept=kept)
        if shown is None or as_shown:
            return done
        return replace(done, state="kept") if kept else stale

    def picture_name(self, name: str, suffixes: list[str], own: list[Source]) -> str:
        """The name for a video's pictures, one that does not belong to another video.

        `own`: the video's source now, and when its result was kept.
        """
        keys = [None, *(source_key(source.path) for source in own)]
        taken = any(owner(self.path(name, suffix)).key not in keys for suffix in suffixes)
        return apart(name, own[0].path) if taken else name

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Makes parallel runs wait while files of one name are written. Raises OutputError.

        On a file system without locks they do not wait, and only results (`save`) are protected from each other.
        """
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
        """The plain name if it is free or this video's, else the one that ends in the hash of its path."""
        plain = self._held(name, source, fingerprint)
        if source is None or plain.whose in ("this", "foreign"):
            return plain
        other = self._held(apart(name, source.path), source, fingerprint)
        return other if other.whose == "this" or plain.whose == "another" else plain

    def _held(self, name: str, source: Source | None, fingerprint: Callable[[], str | None]) -> _Held:
        try:
            data = self._read_result(name)
            if not isinstance(data, bytes):
                return _Held(name, data)
            row = json.loads(data)
        except ValueError:  # damaged, or cut by a crash: only nsnet writes files with this ending
            return _Held(name, "this")
        if not is_schema(row):
            return _Held(name, "foreign")
        kept, made_from = row.get("fingerprint"), source_of(row)
        whose: Literal["this", "another"] = "this"
        if source is not None and not same(made_from, source, lambda: kept is not None and kept == fingerprint()):
            whose = "another"
        try:
            return _Held(name, whose, from_dict(row), kept, made_from, row)
        except ValueError:  # written by another version of nsnet
            return _Held(name, whose, source=made_from)

    def _read_result(self, name: str) -> bytes | Literal["nobody", "foreign"]:
        """The bytes of a result, or whose the name is if there is none."""
        path = self.path(name)
        try:
            if path.is_file() and not path.is_symlink():
                return path.read_bytes()
            return "foreign" if os.path.lexists(path) else "nobody"
        except OSError as error:  # a file that may not be read, or an impossible name
            return "foreign" if isinstance(error, PermissionError) else "nobody"

    def _read_kept(self, held: _Held, rendered: bool) -> bytes:
        """What is kept beside a result; empty if it names nothing. `rendered`: it may be rendered. Raises KeptError."""
        return kept_beside(self.path(held.name), held.row) or b""

    def foreign(self, name: str) -> bool:
        """Whether another program's file has this name in the folder."""
        return owner(self.root / name).ours is False

    def folder_of(self, name: str) -> str:
        """The folder of a name's files: equal for two stores only if they write to the same place."""
        return os.path.realpath(self.path(name).parent)

    def below(self, path: str) -> str | None:
        """The path of a video below this folder, or None if it is elsewhere."""
        if is_url(path):
            return None
        below = Path(os.path.relpath(os.path.abspath(path), os.path.abspath(self.root)))  # noqa: PTH100
        return None if below.parts[:1] == (os.pardir,) else below.as_posix()

    def expect(self, names: Sequence[str]) -> None:
        """Says which names will be looked at, in this order. A disk needs no hint."""

    def write_summary(self, summary: dict[str, Any], name: str = "run.json") -> None:
        if self.foreign(name):
            return  # the run warned when it started
        try:
            data = (json_text(summary, indent=2) + "\n").encode("utf-8")
            self._write_here(name, data)
        except OSError as error:
            raise refused(self.root / name, error) from error

    def _write_here(self, name: str, data: bytes) -> None:
        write_whole(self.root / name, data, temporary=self._temporary)
