"""The work of a run, and its results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nsnet_cli.records import dataclass
from nsnet_cli.storage.urls import Place, Url, located
from nsnet_cli.types import ErrorInfo, Source, VideoResult


@dataclass(frozen=True, slots=True)
class Job:
    """One video to tag.

    `name`: where its result goes in an output tree. `error`: set if it is already known that it cannot be tagged.
    """

    path: str
    name: str
    error: ErrorInfo | None = None
    source: Source | None = None
    """The video's file. None if it could not be examined."""
    columns: Mapping[str, Any] | None = None
    """What a manifest says about it, beside its path."""

    @property
    def place(self) -> Place:
        """Where to open it."""
        place = located(self.path)
        return place.known(self.source) if isinstance(place, Url) else place


@dataclass(frozen=True, slots=True)
class Finished:
    """One video's row, and the fingerprint to keep it under (None: the file could not be examined)."""

    job: Job
    result: VideoResult
    fingerprint: str | None
