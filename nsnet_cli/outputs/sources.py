"""Which video a result was made from, and whether it is this one."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from nsnet_cli.bounded import bounded
from nsnet_cli.storage.urls import is_url
from nsnet_cli.types import Source


def unseen(path: str) -> Source:
    """The source of a video that was not looked at. Does not follow links, which could take for ever."""
    return Source(path if is_url(path) else os.path.abspath(path))  # noqa: PTH100


def source_of(row: dict[str, Any]) -> Source:
    """The source of a kept result. Version 0.1 kept only the path from the command line."""
    path = row.get("source")
    if not isinstance(path, str):
        return Source(os.path.abspath(str(row.get("path"))))  # noqa: PTH100
    return Source(path, row.get("source_size_bytes"), row.get("source_mtime_ns"), row.get("source_etag"))


def same(kept: Source, now: Source, fingerprint: Callable[[], bool]) -> bool:
    """Whether a result was made from this video.

    If the video is no longer at its old path, it may have been moved, or be on another machine's disk. Then size and
    time decide, or the fingerprint. A URL is a video of its own: whether the other one is still there would cost a
    request for each video.
    """

    def there() -> bool | None:
        if os.path.realpath(kept.path) == now.path:
            return True
        return os.path.samefile(kept.path, now.path) if os.path.exists(kept.path) else None  # noqa: PTH110, PTH121

    if kept.path == now.path:
        return True
    if is_url(kept.path) or is_url(now.path):
        return False
    try:
        found = bounded(there)
    except (OSError, ValueError):
        return False
    if found is not None:
        return found
    if kept.size_bytes is not None and (kept.size_bytes, kept.mtime_ns) == (now.size_bytes, now.mtime_ns):
        return True
    return fingerprint()
