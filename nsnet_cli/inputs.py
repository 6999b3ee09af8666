"""From what the user gave (files, folders, globs, lists) to the videos to tag, in a stable order, each once.

A folder is searched by content, not by name alone: a file is taken when its first bytes are a video container's, or
when its name says video (if it turns out not to be one, that is an error row, never an absence). What is given by name
is always taken. No look at a file may hold the search for ever: one that hangs is a row or a warning.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nsnet_cli.bounded import bounded
from nsnet_cli.errors import UsageError
from nsnet_cli.looking import look_at_each
from nsnet_cli.search import Search, is_system
from nsnet_cli.sniffing import OTHER_NAMES, SNIFF_BYTES, VIDEO_NAMES, sniff
from nsnet_cli.types import ErrorInfo, Source

DEEPEST = 100
"""Folders below what was given. More is no video collection but an attack, or a mistake of a copy."""
HUNG = ErrorInfo("timeout", "the disk does not answer")


@dataclass(frozen=True, slots=True)
class FoundVideo:
    """One input. `error` is set where it is known without opening it that it cannot be tagged."""

    path: str
    """As given, or as found below what was given."""
    error: ErrorInfo | None = None
    name: str = ""
    """Its path below the folder that was given; the file's name alone where the file was given. Whatever else is given
    changes nothing about it."""
    source: Source | None = None
    """None where the file could not be looked at."""


@dataclass(slots=True)
class FoundInputs:
    videos: list[FoundVideo] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    """Files in folders that look like no video, by name and by content: how many of each ending."""
    duplicates: int = 0
    warnings: list[str] = field(default_factory=list)
    base: str = "."
    """The folder that all inputs are below: shards go by the path below it."""

    @property
    def skipped(self) -> int:
        return self.left_out.total()


def find_videos(given: Sequence[str], search: Search | None = None) -> FoundInputs:
    """All videos of files, folders and globs, duplicates (the same real file) removed. Never raises for a bad input."""
    found, seen = FoundInputs(base=""), set[str]()
    finder = _Finder(found, search or Search())
    looks = look_at_each([Path(text) for text in given], lambda path: _look(path, named=True))
    found.base = _common([_start(text, look) for text, look in zip(given, looks, strict=True)])
    for text, look in zip(given, looks, strict=True):
        for video in finder.expand(text, look):
            real = video.source.path if video.source else os.path.abspath(video.path)  # noqa: PTH100
            if real in seen:
                found.duplicates += 1
                continue
            seen.add(real)
            found.videos.append(video)
    return found


def _common(folders: Sequence[Path]) -> str:
    return os.path.commonpath(folders) if folders else str(Path.cwd())


def _start(text: str, look: _Look | None) -> Path:
    """The folder that a search for what was given begins in."""
    path = _absolute(text)
    if _is_glob(text, look):
        while _has_magic(str(path)):
            path = path.parent
        return path
    return path if look is not None and look.folder else path.parent


def relative_name(path: str, base: str) -> str:
    """`path` below `base`, with forward slashes."""
    return Path(os.path.relpath(_absolute(path), base)).as_posix()


def _absolute(path: str) -> Path:
    """Without resolving links: a tree stays where the user sees it."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def _is_glob(text: str, look: _Look | None) -> bool:
    return _has_magic(text) and look is not None and not look.exists


def _has_magic(text: str) -> bool:
    return any(char in text for char in "*?[")


# ---- a look at one path ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Look:
    """What a path is, found out without opening more than a file's first bytes."""

    exists: bool
    link: bool = False
    folder: tuple[int, int] | None = None
    """Device and inode, of a folder."""
    wanted: bool = False
    """To be tagged: given by name, or it looks like a video."""
    error: ErrorInfo | None = None
    source: Source | None = None


def _look(path: Path, named: bool) -> _Look:
    """Never raises. Opening a pipe or a device could block for ever, so that only regular files are opened."""
    exists, link = os.path.lexists(path), os.path.islink(path)  # noqa: PTH114 (Path's may raise)
    try:
        real = os.path.realpath(path)
        status = path.stat()
    except FileNotFoundError:
        error = ErrorInfo("not_found", "the link leads nowhere" if link else "no such file or folder")
        return _Look(exists, link, wanted=named or _named_video(path), error=error, source=Source(real))
    except OSError as failure:
        kind = "permission_denied" if isinstance(failure, PermissionError) else "unreadable"
        error = ErrorInfo(kind, failure.strerror or str(failure))
        return _Look(exists, wanted=named or _named_video(path), error=error)
    except ValueError as failure:  # a NUL in the name
        return _Look(False, wanted=named, error=ErrorInfo("not_found", str(failure)))
    if stat.S_ISDIR(status.st_mode):
        return _Look(exists, link, folder=(status.st_dev, status.st_ino))
    regular = stat.S_ISREG(status.st_mode)
    return _Look(
        exists,
        link,
        wanted=named or looks_like_video(path),
        error=None if regular else ErrorInfo("not_a_video", "not a regular file"),
        source=Source(real, status.st_size, status.st_mtime_ns),
    )


def is_folder(path: Path) -> bool:
    """Never raises."""
    return os.path.isdir(path)  # noqa: PTH112 (Path's may raise)


def _named_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_NAMES


def looks_like_video(path: Path) -> bool:
    """Whether a folder's file is to be tagged: its name says video, or its first bytes are a video container's."""
    suffix = path.suffix.lower()
    if suffix in VIDEO_NAMES or suffix in OTHER_NAMES:
        return suffix in VIDEO_NAMES
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        with path.open("rb") as handle:
            return sniff(handle.read(SNIFF_BYTES)) is not None
    except OSError:
        return False


# ---- one thing given ------------------------------------------------------------------------------------------------


class _Finder:
    """Turns each thing that was given into videos; what is left out on the way is noted in `found`."""

    def __init__(self, found: FoundInputs, search: Search) -> None:
        self._found, self._search = found, search

    def expand(self, text: str, look: _Look | None) -> Iterator[FoundVideo]:
        path = Path(text)
        if _is_glob(text, look):
            yield from self._glob(text)
        elif look is not None and look.folder:
            yield from self._folder(path, look)
        elif look is None:
            yield FoundVideo(text, HUNG, path.name)
        else:
            yield FoundVideo(text, look.error, path.name, look.source)

    def _glob(self, pattern: str) -> Iterator[FoundVideo]:
        """A pattern that the shell left alone. `*.jpg` names what it wants; `*` takes what looks like a video."""
        matches = sorted(glob.glob(pattern, recursive=True, include_hidden=self._search.hidden))  # noqa: PTH207
        if not matches:
            yield FoundVideo(pattern, ErrorInfo("not_found", "no file matches this pattern"), Path(pattern).name)
        named = Path(pattern).suffix not in ("", ".*") and not _has_magic(Path(pattern).suffix)
        start = _start(pattern, _Look(False))
        paths = [Path(match) for match in matches]
        for path, look in zip(paths, look_at_each(paths, lambda path: _look(path, named)), strict=True):
            if self._unwanted(relative_name(str(path), str(start)), look, pattern):
                continue
            if look is None or not look.folder:
                yield from self._file(path, path.name, look)
            elif not pattern.endswith("**"):  # which lists the files below by itself
                yield from self._folder(path, look)

    def _unwanted(self, relative: str, look: _Look | None, pattern: str) -> bool:
        """A match in one of the system's folders (unless the pattern names it), or one to be excluded."""
        system = any(is_system(part) and part not in pattern for part in Path(relative).parts)
        is_folder = look is not None and look.folder is not None
        return (system and not self._search.hidden) or self._search.excludes(relative, is_folder)

    def _file(self, path: Path, name: str, look: _Look | None) -> Iterator[FoundVideo]:
        if look is None:
            if _named_video(path):
                yield FoundVideo(str(path), HUNG, name)
            else:
                self._found.warnings.append(f"{path}: left out, {HUNG.message}")
        elif look.wanted:
            yield FoundVideo(str(path), look.error, name, look.source)
        else:
            self._found.left_out[path.suffix.lower()] += 1

    def _folder(self, root: Path, look: _Look) -> Iterator[FoundVideo]:
        yield from list(self._walk(root, "", look, set())) or _empty_folder(root, root.name)

    def _walk(
        self, folder: Path, relative: str, look: _Look, entered: set[tuple[int, int]], depth: int = 0
    ) -> Iterator[FoundVideo]:
        """Depth first, by name; each real folder entered once, so that links cannot loop. `relative`: from the root."""
        if depth > DEEPEST:
            self._found.warnings.append(f"not looked into, {DEEPEST} folders deep: {folder}")
            return
        if look.folder is None or look.folder in entered:
            return
        entered.add(look.folder)
        try:
            names = bounded(lambda: sorted(os.listdir(folder)))  # noqa: PTH208 (names alone, in one call)
        except OSError as error:
            self._found.warnings.append(f"cannot look into {folder}: {error.strerror or error}")
            return
        skips, excludes = self._search.skips, self._search.excludes
        names = [
            n for n in names if not (skips(n) or all(excludes(relative + n, is_folder) for is_folder in (False, True)))
        ]
        for name, there in zip(names, look_at_each(names, lambda n: _look(folder / n, named=False)), strict=True):
            path, is_folder = folder / name, there is not None and there.folder is not None
            if excludes(relative + name, is_folder):
                continue
            if there is not None and is_folder:
                below = list(self._walk(path, f"{relative}{name}/", there, entered, depth + 1))
                yield from below or ([] if there.link else _empty_folder(path, relative + name))
            else:
                yield from self._file(path, relative + name, there)


def _empty_folder(path: Path, name: str) -> list[FoundVideo]:
    """A folder that is named as a video and holds none is a mistake to report."""
    error = ErrorInfo("is_directory", "a folder, and no video is in it")
    return [FoundVideo(str(path), error, name)] if _named_video(path) else []


# ---- shards ---------------------------------------------------------------------------------------------------------


def parse_shard(text: str) -> tuple[int, int]:
    """`2/8` -> (2, 8), 1-based. Raises UsageError."""
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text.strip())
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(f"--shard {text!r} is not a shard", "use i/n with 1 <= i <= n, as in 2/8")
    return int(match[1]), int(match[2])


def shard_of(name: str, count: int) -> int:
    """The shard (1 to `count`) of a path: a hash of its bytes, the same on every machine and in every run."""
    digest = hashlib.sha256(os.fsencode(name)).digest()
    return int.from_bytes(digest[:8], "big") % count + 1
