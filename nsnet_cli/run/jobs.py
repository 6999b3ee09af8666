"""What a run works on, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass

from nsnet_cli.types import ErrorInfo, Source, VideoResult


@dataclass(frozen=True, slots=True)
class Job:
    """One video to tag. `name`: where its result goes in an output tree. `error`: known already, nothing to try."""

    path: str
    name: str
    error: ErrorInfo | None = None
    source: Source | None = None
    """The file that it is; None where it could not be looked at."""


@dataclass(frozen=True, slots=True)
class Finished:
    """One video's row, and the fingerprint under which it may be kept (None: the file could not be looked at)."""

    job: Job
    result: VideoResult
    fingerprint: str | None
