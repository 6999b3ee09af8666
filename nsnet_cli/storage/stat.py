"""What a store says of a file."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from nsnet_cli.records import dataclass
from nsnet_cli.storage.urls import Url
from nsnet_cli.types import Source


@dataclass(frozen=True, slots=True)
class Stat:
    """What a store says of a file. `etag` changes with its bytes."""

    size_bytes: int | None
    etag: str | None = None
    mtime_ns: int | None = None
    ranges: bool = True
    """False if the server ignores ranges."""

    def source(self, url: Url) -> Source:
        return Source(url.shown, self.size_bytes, self.mtime_ns, self.etag)


def ns(when: Any) -> int | None:
    """A time in nanoseconds since 1970, from what file systems give. None: not readable."""
    if isinstance(when, int | float):
        return round(when * 1_000_000) * 1000  # stores tell no more than microseconds
    try:
        moment = datetime.fromisoformat(when) if isinstance(when, str) else when
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1000
    except (ValueError, TypeError, AttributeError):
        return None
