"""A folder of results: one file a video in a tree that mirrors the inputs', each there whole or not at all.

`clip.mp4` -> `clip.mp4.nsnet.json`. A result is done when its file parses and its fingerprint is the video's present
one. Files are written to `.nsnet-tmp/` in the same folder, synced, and renamed: a kill at any moment leaves the old
state or the new one. What a killed run left in `.nsnet-tmp/` the next run removes.
"""

from __future__ import annotations

import errno
import hashlib
import os
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Literal

from nsnet_cli.errors import EXIT_UNEXPECTED, EXIT_USAGE, OutputError
from nsnet_cli.outputs.jsonlines import from_line, to_line
from nsnet_cli.text import json_text
from nsnet_cli.types import VideoResult

SUFFIX = ".nsnet.json"
TEMPORARY = ".nsnet-tmp"
NAME_BYTES = 255
"""What common file systems allow a name."""
FATAL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG)
"""Errors that the next file will meet as well: the run ends, what is written stays."""

_serial = count()


@dataclass(frozen=True, slots=True)
class Stored:
    """What the folder says about one video."""

    state: Literal["missing", "stale", "done", "failed"]
    result: VideoResult | None = None


def fit_name(stem: str, suffix: str) -> str:
    """`stem + suffix` as a file name; where that is over 255 bytes, the stem is cut and ends in a hash of the whole."""
    room = NAME_BYTES - len(os.fsencode(suffix))
    raw = os.fsencode(stem)
    if len(raw) <= room:
        return stem + suffix
    digest = hashlib.sha256(raw).hexdigest()[:16]
    cut = raw[: room - 17]
    while cut and (raw[len(cut)] & 0xC0) == 0x80:  # never through the middle of a UTF-8 character
        cut = cut[:-1]
    return f"{os.fsdecode(cut)}-{digest}{suffix}"


def output_names(names: Iterable[str]) -> list[str]:
    """A distinct output name (without suffix) for every input's relative name, in order.

    Parts above the common folder ('..') and too long ones are made harmless; a name that is taken gets a hash.
    """
    taken: set[str] = set()
    out = []
    for name in names:
        parts = [fit_name("_" if part == ".." else part, "") for part in Path(name).parts if part not in ("/", ".")]
        safe = "/".join(parts) or "_"
        if safe in taken:
            safe += "-" + hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
        taken.add(safe)
        out.append(safe)
    return out


class ResultStore:
    """Results below `root`. Raises OutputError where they cannot be written; `check` finds that out before any work."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._temporary = root / TEMPORARY

    def path(self, name: str, suffix: str = SUFFIX) -> Path:
        """Where the file of the video with output name `name` lies."""
        folder, _, stem = name.rpartition("/")
        return self.root / folder / fit_name(stem, suffix)

    def check(self) -> None:
        """Make the folder, prove that it can be written, and sweep out what a killed run left."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self._temporary.mkdir(exist_ok=True)
            probe = self._temporary / _unique()
            probe.write_bytes(b"nsnet")
            probe.unlink()
        except OSError as error:
            refused = _refused(self.root, error)
            if error.errno == errno.EROFS:  # nothing is lost yet: another folder is all it takes
                refused.exit_code = EXIT_USAGE  # type: ignore[misc]
            raise refused from error
        self._sweep()

    def _sweep(self) -> None:
        """Remove temporary files of processes on this machine that are no more."""
        with suppress(OSError):
            for path in self._temporary.iterdir():
                host, _, rest = path.name.rpartition("@")
                pid = rest.partition("-")[0]
                if host == socket.gethostname() and pid.isdigit() and not _alive(int(pid)):
                    path.unlink(missing_ok=True)

    def close(self) -> None:
        """Remove the temporary folder if nobody uses it."""
        with suppress(OSError):
            self._temporary.rmdir()

    def write(self, name: str, data: bytes, suffix: str = SUFFIX) -> Path:
        """Put `data` where `path(name, suffix)` says, whole or not at all. Raises OutputError."""
        target = self.path(name, suffix)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                write_atomic(target, data, self._temporary)
            except FileNotFoundError:  # another run on this folder ended just now and tidied up
                write_atomic(target, data, self._temporary)
        except OSError as error:
            raise _refused(target, error) from error
        return target

    def save(self, name: str, result: VideoResult, fingerprint: str | None) -> Path:
        """Keep one result. Last of a video's files to be written: it is what makes the video done."""
        return self.write(name, (to_line(result, fingerprint) + "\n").encode("utf-8"))

    def look(self, name: str, fingerprint: Callable[[], str | None]) -> Stored:
        """Whether the video of output name `name` is done. `fingerprint` is asked only where there is a result."""
        try:
            result, kept = from_line(self.path(name).read_bytes())
        except FileNotFoundError:
            return Stored("missing")
        except (OSError, ValueError):
            return Stored("stale")
        if kept is None or kept != fingerprint():
            return Stored("stale", result)
        return Stored("done" if result.status == "ok" else "failed", result)

    def write_summary(self, summary: dict[str, Any], name: str = "run.json") -> None:
        try:
            write_atomic(self.root / name, (json_text(summary, indent=2) + "\n").encode("utf-8"), self._temporary)
        except OSError as error:
            raise _refused(self.root / name, error) from error


def write_atomic(target: Path, data: bytes, temporary: Path | None = None) -> None:
    """Write a temporary file (in `temporary`, else beside `target`), sync, rename. An OSError leaves nothing behind."""
    folder = temporary or target.parent
    folder.mkdir(exist_ok=True)
    path = folder / (_unique() if temporary else "." + _unique())
    try:
        with path.open("xb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        path.replace(target)
    except BaseException:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the system knows how."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _unique() -> str:
    return f"{socket.gethostname()}@{os.getpid()}-{next(_serial)}"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _refused(path: Path, error: OSError) -> OutputError:
    reason = error.strerror or str(error)
    refused = OutputError(f"cannot write {path}: {reason}", _next_step(error))
    if error.errno in FATAL:
        refused.exit_code = EXIT_UNEXPECTED  # type: ignore[misc]
        refused.kind = "disk_full" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else "output"
    return refused


def _next_step(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "free some space and run the same command again: finished results stay"
    return "choose another folder"
