"""From what the user gave (files, folders, globs, lists) to the videos to tag, in a stable order, each once.

A folder is searched by content, not by name alone: a file is taken when its first bytes are a video container's, or
when its name says video (if it turns out not to be one, that is an error row, never an absence). What is given by name
is always taken.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nsnet_cli.errors import UsageError
from nsnet_cli.types import ErrorInfo

VIDEO_NAMES = frozenset(
    """.3g2 .3gp .amv .asf .avi .divx .dv .f4v .flv .gif .gxf .h264 .h265 .hevc .ivf .m1v .m2ts .m2v .m4v .mj2 .mjpeg
    .mjpg .mkv .mov .mp4 .mp4v .mpe .mpeg .mpg .mpv .mxf .nut .obu .ogm .ogv .qt .rm .rmvb .roq .vob .webm .wmv .wtv
    .y4m""".split()  # noqa: SIM905
)
"""Names that promise a video. Not `.ts` and `.mts`: those are TypeScript as often; their content decides."""
OTHER_NAMES = frozenset(
    """.aac .aif .aiff .avif .bmp .flac .heic .heif .jpeg .jpg .m4a .m4b .m4p .mka .mp3 .mpa .oga .opus .png .tif .tiff
    .wav .weba .webp .wma""".split()  # noqa: SIM905
)
"""Sound and stills: skipped in folders even where their container could hold a video."""
SNIFF_BYTES = 1024
DEEPEST = 100
"""Folders below what was given. More is no video collection but an attack, or a mistake of a copy."""


@dataclass(frozen=True, slots=True)
class FoundVideo:
    """One input. `error` is set where it is known without opening it that it cannot be tagged."""

    path: str
    """As given, or as found below what was given."""
    error: ErrorInfo | None = None


@dataclass(slots=True)
class FoundInputs:
    videos: list[FoundVideo] = field(default_factory=list)
    skipped: int = 0
    """Files in folders that look like no video, by name and by content."""
    duplicates: int = 0
    warnings: list[str] = field(default_factory=list)
    base: str = "."
    """The folder that all inputs are below; an output tree mirrors what is below it."""


def find_videos(given: Sequence[str]) -> FoundInputs:
    """All videos of files, folders and globs, duplicates (the same real file) removed. Never raises for a bad input."""
    found = FoundInputs(base=common_folder(given))
    seen: set[str] = set()
    for text in given:
        for video in _expand(text, found):
            real = os.path.realpath(video.path)
            if real in seen:
                found.duplicates += 1
                continue
            seen.add(real)
            found.videos.append(video)
    return found


def common_folder(given: Sequence[str]) -> str:
    """The deepest folder that holds everything given: a folder given alone is itself that folder."""
    folders = []
    for text in given:
        path = _absolute(text)
        if _is_glob(text):
            while _has_magic(str(path)):
                path = path.parent
            folders.append(path)
        else:
            folders.append(path if _is_dir(path) else path.parent)
    return os.path.commonpath(folders) if folders else str(Path.cwd())


def relative_name(path: str, base: str) -> str:
    """`path` below `base`, with forward slashes."""
    return Path(os.path.relpath(_absolute(path), base)).as_posix()


def _absolute(path: str) -> Path:
    """Without resolving links: a tree stays where the user sees it."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def read_list(data: bytes) -> list[str]:
    """The paths of a list: separated by NUL if there is one in it, else by newlines; any bytes are a name."""
    parts = data.split(b"\0") if b"\0" in data else [line.removesuffix(b"\r") for line in data.split(b"\n")]
    return [os.fsdecode(part) for part in parts if part]


def read_list_file(name: str) -> list[str]:
    """The paths listed in a file, or on stdin for '-'. Raises UsageError."""
    try:
        return read_list(sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read the list {name}: {error.strerror}", "give a file, or - for stdin") from error


# ---- one thing given ------------------------------------------------------------------------------------------------


def _expand(text: str, found: FoundInputs) -> Iterator[FoundVideo]:
    if _is_dir(Path(text)):
        yield from _folder(Path(text), found)
    elif not _is_glob(text):
        yield FoundVideo(text, _problem(text))
    else:
        yield from _glob(text, found)


def _glob(pattern: str, found: FoundInputs) -> Iterator[FoundVideo]:
    """A pattern that the shell left alone. `*.jpg` names what it wants; `*` takes what looks like a video."""
    matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207
    if not matches:
        yield FoundVideo(pattern, ErrorInfo("not_found", "no file matches this pattern"))
    wanted = Path(pattern).suffix not in ("", ".*") and not _has_magic(Path(pattern).suffix)
    for match in matches:
        if _is_dir(Path(match)):
            if not pattern.endswith("**"):  # which lists the files below by itself
                yield from _folder(Path(match), found)
        elif wanted or looks_like_video(Path(match)):
            yield FoundVideo(match, _problem(match))
        else:
            found.skipped += 1


def _is_glob(text: str) -> bool:
    return _has_magic(text) and not os.path.lexists(text)


def _is_dir(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that is too long, a parent that may not be entered
        return False


def _has_magic(text: str) -> bool:
    return any(char in text for char in "*?[")


def _folder(root: Path, found: FoundInputs) -> Iterator[FoundVideo]:
    videos = list(_walk(root, set(), found))
    yield from videos or _empty_folder(root)


def _empty_folder(path: Path) -> list[FoundVideo]:
    """A folder that is named as a video and holds none is a mistake to report."""
    named = path.suffix.lower() in VIDEO_NAMES
    return [FoundVideo(str(path), ErrorInfo("is_directory", "a folder, and no video is in it"))] if named else []


def _walk(folder: Path, entered: set[tuple[int, int]], found: FoundInputs, depth: int = 0) -> Iterator[FoundVideo]:
    """Depth first, by name; hidden entries left out; each real folder entered once, so that links cannot loop."""
    if depth > DEEPEST:
        found.warnings.append(f"not looked into, {DEEPEST} folders deep: {folder}")
        return
    try:
        status = folder.stat()
        if (status.st_dev, status.st_ino) in entered:
            return
        entered.add((status.st_dev, status.st_ino))
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        found.warnings.append(f"cannot look into {folder}: {error.strerror}")
        return
    for path in paths:
        if _is_dir(path):
            yield from list(_walk(path, entered, found, depth + 1)) or (
                [] if path.is_symlink() else _empty_folder(path)
            )
        elif looks_like_video(path):
            yield FoundVideo(str(path), _problem(str(path)))
        else:
            found.skipped += 1


def _problem(path: str) -> ErrorInfo | None:
    """What keeps `path` from being opened at all, or None. Opening a pipe or a device could block for ever."""
    try:
        mode = Path(path).stat().st_mode
    except FileNotFoundError:
        broken = Path(path).is_symlink()
        return ErrorInfo("not_found", "the link leads nowhere" if broken else "no such file or folder")
    except OSError as error:
        kind = "permission_denied" if isinstance(error, PermissionError) else "unreadable"
        return ErrorInfo(kind, error.strerror or str(error))
    except ValueError as error:
        return ErrorInfo("not_found", str(error))
    if not stat.S_ISREG(mode):
        return ErrorInfo("not_a_video", "not a regular file")
    return None


# ---- what looks like a video ----------------------------------------------------------------------------------------


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


STILL_BRANDS = (b"avif", b"mif1", b"miaf", b"heic", b"heix", b"M4A ", b"M4B ", b"crx ")
MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"pnot", b"styp", b"moof")


def sniff(head: bytes) -> str | None:
    """The container that the first bytes of a file belong to, or None. Stills and pure sound are None."""
    if head[4:8] == b"ftyp":
        return None if head[8:12] in STILL_BRANDS else "mp4"
    if head[4:8] in MP4_BOXES[1:] or (head[4:8] in (b"free", b"skip") and len(head) > 16):
        return "mp4"
    if head[:4] == b"RIFF" and head[8:12] in (b"AVI ", b"AVIX", b"AMV "):
        return "avi"
    if head[:4] == b"OggS":
        return "ogg" if any(mark in head for mark in (b"\x80theora", b"BBCD\0", b"OVP80", b"\x01video\0")) else None
    for magic, name in PREFIXES:
        if head.startswith(magic):
            return name
    for start, step in ((0, 188), (4, 192), (0, 204)):  # MPEG-TS, M2TS, TS with error correction: a sync byte a packet
        if len(head) >= start + 4 * step + 1 and all(head[start + step * i] == 0x47 for i in range(5)):
            return "mpegts"
    return None


PREFIXES: tuple[tuple[bytes, str], ...] = (
    (b"\x1aE\xdf\xa3", "matroska"),
    (b"FLV\x01", "flv"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"0&\xb2u\x8ef\xcf\x11", "asf"),
    (b"\x00\x00\x01\xba", "mpeg-ps"),
    (b"\x00\x00\x01\xb3", "mpeg-video"),
    (b"DKIF", "ivf"),
    (b"YUV4MPEG2 ", "y4m"),
    (b".RMF", "rm"),
    (b"\x06\x0e+4\x02\x05\x01\x01\r\x01\x02\x01\x01", "mxf"),
    (b"nut/multimedia container\0", "nut"),
    (b"\xb7\xd8\x00 7I\xda\x11", "wtv"),
)


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


def in_shard(videos: Iterable[FoundVideo], base: str, shard: tuple[int, int]) -> list[FoundVideo]:
    """The videos of one shard, by their path below `base`: machines may mount the same tree at different places."""
    index, count = shard
    return [v for v in videos if shard_of(relative_name(v.path, base), count) == index]
