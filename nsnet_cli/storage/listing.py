"""Finds the videos at URLs: files by name, what lies under a prefix, and patterns. Names decide, or first bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import field

from nsnet_cli.records import dataclass
from nsnet_cli.search import Search, is_system
from nsnet_cli.sniffing import OTHER_NAMES, SNIFF_BYTES, VIDEO_NAMES, sniff
from nsnet_cli.storage import stores
from nsnet_cli.storage.faults import Fault, fault_of
from nsnet_cli.storage.stat import Stat
from nsnet_cli.storage.urls import Url
from nsnet_cli.types import ErrorInfo, Source

PLAIN_NAMES = frozenset(
    """.csv .gz .html .json .jsonl .log .md .parquet .py .srt .tar .toml .txt .vtt .xml .xmp .yaml .yml
    .zip""".split()  # noqa: SIM905
)
"""Left out under a prefix without a look at their first bytes, which would be a request each."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One video in a store. `name`: its path below the prefix, or the file's name if it was given by name."""

    url: Url
    name: str
    source: Source
    error: ErrorInfo | None = None


@dataclass(slots=True)
class Listing:
    videos: list[Listed] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    warnings: list[str] = field(default_factory=list)


def list_videos(given: Sequence[Url], search: Search) -> list[Listing]:
    """Returns what is found at each URL, in the order given. Raises UsageError if something is not installed."""
    looks = stores.each(given, _kind)
    return [_listed(url, look, search) for url, look in zip(given, looks, strict=True)]


async def _kind(url: Url) -> Stat | None:
    """What a file is; None for a prefix or a pattern. A web server has only files."""
    try:
        return await stores.stat(url)
    except Exception as error:
        fault = fault_of(error)
        if fault.kind == "is_directory" or (fault.kind == "not_found" and _is_pattern(url)):
            return None
        raise


def _is_pattern(url: Url) -> bool:
    return not url.web and any(char in url.shown for char in "*?[")


def _listed(url: Url, look: Stat | Fault | None, search: Search) -> Listing:
    out = Listing()
    if isinstance(look, Stat):
        out.videos.append(Listed(url, url.name, look.source(url), _empty(look)))
    elif isinstance(look, Fault):
        out.videos.append(_failed(url, look))
    else:
        _fill(out, url, search)
    return out


def _failed(url: Url, fault: Fault) -> Listed:
    words = fault.words if url.web or fault.kind != "not_found" else "no such file or prefix in the store"
    told = f"{words} ({fault.hint})" if fault.hint else words
    return Listed(url, url.name, Source(url.shown), ErrorInfo(fault.kind, told))


def _fill(out: Listing, url: Url, search: Search) -> None:
    """Lists what is under a prefix, or matches a pattern."""
    try:
        entries = stores.listed(url, _is_pattern(url))
    except Fault as fault:
        out.videos.append(_failed(url, fault))
        return
    pattern = _is_pattern(url)
    sure = pattern and url.suffix not in ("", ".*") and not any(char in url.suffix for char in "*?[")
    unknown: list[tuple[Url, str, Stat]] = []
    for place, below, one in entries:
        suffix = _suffix(below)
        if not _searched(below, search):
            continue
        name = below.rpartition("/")[2] if pattern else below
        if sure or suffix in VIDEO_NAMES:
            out.videos.append(Listed(place, name, one.source(place), _empty(one)))
        elif suffix in OTHER_NAMES or suffix in PLAIN_NAMES:
            out.left_out[suffix] += 1
        else:
            unknown.append((place, name, one))
    _sniff(out, unknown)
    out.videos.sort(key=lambda video: video.name)
    if pattern and not out.videos:
        out.videos.append(_failed(url, Fault("not_found", "no file matches this pattern")))


def _empty(one: Stat) -> ErrorInfo | None:
    return ErrorInfo("empty_file", "is empty (0 bytes)") if one.size_bytes == 0 else None


def _sniff(out: Listing, unknown: Sequence[tuple[Url, str, Stat]]) -> None:
    """Takes files whose first bytes are those of a video."""
    heads = stores.each([place for place, _, _ in unknown], lambda url: stores.head(url, SNIFF_BYTES))
    for (place, name, one), head in zip(unknown, heads, strict=True):
        if isinstance(head, Fault):
            out.warnings.append(f"{place}: left out, {head.words}")
        elif sniff(head) is not None:
            out.videos.append(Listed(place, name, one.source(place)))
        else:
            out.left_out[_suffix(name)] += 1


def _searched(below: str, search: Search) -> bool:
    """Whether an entry is searched: not in hidden or system folders, and not excluded, as on a disk."""
    parts = below.split("/")
    if any(search.skips(part) or (is_system(part) and not search.hidden) for part in parts):
        return False
    folders = ["/".join(parts[:n]) for n in range(1, len(parts))]
    return not (any(search.excludes(folder, True) for folder in folders) or search.excludes(below, False))


def _suffix(name: str) -> str:
    last = name.rpartition("/")[2]
    dot = last.rfind(".")
    return last[dot:].lower() if dot > 0 else ""
