"""Finds the videos in what the user gave (files, folders, globs, URLs, lists), in a stable order, each once.

In folders, a file is taken if its name says video or its first bytes are those of a video container. If it turns out
not to be a video, it becomes an error row and does not just disappear. A file given by name is always taken. A file
that hangs does not stop the search: it becomes a row or a warning.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path

from nsnet_cli.bounded import bounded
from nsnet_cli.errors import UsageError
from nsnet_cli.looking import look_at_each
from nsnet_cli.records import dataclass
from nsnet_cli.search import Search, is_system
from nsnet_cli.sniffing import OTHER_NAMES, SNIFF_BYTES, VIDEO_NAMES, sniff
from nsnet_cli.storage.urls import Place, Url, is_url, located
from nsnet_cli.types import ErrorInfo, Source

DEEPEST = 100
"""Most folder levels below what was given. Deeper trees are an attack or a copy gone wrong."""
HUNG = ErrorInfo("timeout", "the disk does not answer")


@dataclass(frozen=True, slots=True)
class FoundVideo:
    """One input. `error` is set if it is already known that it cannot be tagged."""

    path: str
    """As given, or as found below what was given."""
    error: ErrorInfo | None = None
    name: str = ""
    """Its path below the given folder, or the file's name if the file was given. Other inputs do not change it."""
    source: Source | None = None
    """None if the file could not be examined."""


@dataclass(slots=True)
class FoundInputs:
    videos: list[FoundVideo] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    """Number of files per ending, in folders, that do not look like a video by name or content."""
    duplicates: int = 0
    warnings: list[str] = field(default_factory=list)
    base: str = "."
    """The folder that holds all inputs. Shards depend on the path below it."""

    @property
    def skipped(self) -> int:
        return self.left_out.total()


def find_videos(given: Sequence[str], search: Search | None = None) -> FoundInputs:
    """Returns all videos in files, folders and globs, each real file once. Never raises for a bad input."""
    found, seen = FoundInputs(base=""), set[str]()
    finder = _Finder(found, search or Search())
    places = {text: located(text) for text in given}
    paths = {text: str(place) for text, place in places.items() if not isinstance(place, Url)}
    seen_looks = look_at_each([Path(path) for path in paths.values()], lambda path: _look(path, named=True))
    looks = dict(zip(paths, seen_looks, strict=True))
    found.base = _common([_start(paths[text], looks[text]) for text in given if text in looks])
    away = _away(places, search or Search(), found)
    for text in given:
        for video in finder.expand(paths[text], looks[text]) if text in looks else away[text]:
            real = video.source.path if video.source else os.path.abspath(video.path)  # noqa: PTH100
            if real in seen:
                found.duplicates += 1
                continue
            seen.add(real)
            found.videos.append(video)
    return found


def _away(places: Mapping[str, Place], search: Search, found: FoundInputs) -> dict[str, list[FoundVideo]]:
    """Returns the videos at each URL."""
    urls = {text: place for text, place in places.items() if isinstance(place, Url)}
    if not urls:
        return {}
    from nsnet_cli.storage.listing import list_videos  # imports fsspec

    out = {}
    for text, listing in zip(urls, list_videos(list(urls.values()), search), strict=True):
        out[text] = [FoundVideo(str(video.url), video.error, video.name, video.source) for video in listing.videos]
        found.left_out += listing.left_out
        found.warnings += listing.warnings
    return out


def _common(folders: Sequence[Path]) -> str:
    return os.path.commonpath(folders) if folders else str(Path.cwd())


def _start(text: str, look: _Look | None) -> Path:
    """Returns the folder where the search for an input begins."""
    path = _absolute(text)
    if _is_glob(text, look):
        while _has_magic(str(path)):
            path = path.parent
        return path
    return path if look is not None and look.folder else path.parent


def relative_name(path: str, base: str) -> str:
    """Returns `path` relative to `base`, with forward slashes. A URL stays as it is."""
    if is_url(path):
        return path
    return Path(os.path.relpath(_absolute(path), base)).as_posix()


def _absolute(path: str) -> Path:
    """Does not resolve links: a tree stays where the user sees it."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def _is_glob(text: str, look: _Look | None) -> bool:
    return _has_magic(text) and look is not None and not look.exists


def _has_magic(text: str) -> bool:
    return any(char in text for char in "*?[")


# ---- a look at one path ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Look:
    """What a path is. At most a file's first bytes are read to find out."""

    exists: bool
    link: bool = False
    folder: tuple[int, int] | None = None
    """Device and inode if it is a folder."""
    wanted: bool = False
    """Whether to tag it: it was given by name, or it looks like a video."""
    error: ErrorInfo | None = None
    source: Source | None = None


def _look(path: Path, named: bool) -> _Look:
    """Never raises. Opens only regular files: opening a pipe or a device could block for ever."""
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
    """Whether to tag a file found in a folder: its ending decides, or if that is unknown, its first bytes."""
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
    """Turns each input into videos, and notes in `found` what it leaves out."""

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
        """Expands a pattern that the shell left alone. `*.jpg` takes every match, `*` what looks like a video."""
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
            elif not pattern.endswith("**"):  # `**` lists the files below already
                yield from self._folder(path, look)

    def _unwanted(self, relative: str, look: _Look | None, pattern: str) -> bool:
        """Whether a match is excluded, or in a system folder that the pattern does not name."""
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
        """Walks depth first, by name. Enters each real folder once, so that links cannot loop.

        `relative`: the path from the root, empty or with a slash at its end.
        """
        if depth > DEEPEST:
            self._found.warnings.append(f"{folder}: not searched, it is more than {DEEPEST} folders deep")
            return
        if look.folder is None or look.folder in entered:
            return
        entered.add(look.folder)
        try:
            names = bounded(lambda: sorted(os.listdir(folder)))  # noqa: PTH208 (names alone, in one call)
        except OSError as error:
            self._found.warnings.append(f"cannot search {folder}: {error.strerror or error}")
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
    """Returns an error row for a folder that is named like a video but holds none."""
    error = ErrorInfo("is_directory", "a folder without a video in it")
    return [FoundVideo(str(path), error, name)] if _named_video(path) else []


# ---- shards ---------------------------------------------------------------------------------------------------------


def parse_shard(text: str) -> tuple[int, int]:
    """Reads `2/8` as (2, 8), 1-based. Raises UsageError."""
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text.strip())
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(f"--shard {text!r} is not a shard", "use i/n with 1 <= i <= n, as in 2/8")
    return int(match[1]), int(match[2])


def shard_of(name: str, count: int) -> int:
    """Returns the shard (1 to `count`) of a path from a hash of its bytes: the same on all machines and in all runs."""
    digest = hashlib.sha256(os.fsencode(name)).digest()
    return int.from_bytes(digest[:8], "big") % count + 1
