"""Fingerprints of the videos of a run, without waiting for ever for any of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from nsnet_cli.bounded import bounded
from nsnet_cli.errors import VideoError
from nsnet_cli.looking import look_at_each
from nsnet_cli.nets.build import other_engines
from nsnet_cli.run.jobs import Job
from nsnet_cli.storage.urls import Place


class Fingerprints(Protocol):
    """What knows how videos are looked at: a tagger, or what an actor says of its own."""

    def fingerprint(self, path: Place) -> str: ...


@dataclass(frozen=True, slots=True)
class ByEngine:
    """The fingerprints that a tagger would give with another engine."""

    tagger: Any
    engine: tuple[str, str]

    def fingerprint(self, path: Place) -> str:
        return str(self.tagger.fingerprint(path, self.engine))


def ways(how: Fingerprints, device: str) -> list[Fingerprints]:
    """Returns what gives fingerprints of results that count: of the engine of a run, then of others as good.

    `device`: what the user asked for, if this process does the work. Then `how` is a tagger.
    """
    return [how, *(ByEngine(how, engine) for engine in other_engines(device))]


def fingerprints(how: Fingerprints, jobs: Sequence[Job], *, ahead: bool) -> Callable[[Job], str | None]:
    """Returns what gives the fingerprint of a job's video; None for one that cannot be examined.

    `ahead`: looks at all videos at once, which takes a tenth of the time per video. For runs that ask for most of them.
    """
    if not ahead:
        return partial(_bounded, how)
    known = dict(zip([job.path for job in jobs], look_at_each(jobs, partial(_fingerprint, how)), strict=True))
    return lambda job: known[job.path]


def _fingerprint(how: Fingerprints, job: Job) -> str | None:
    try:
        return how.fingerprint(job.place)
    except (OSError, ValueError, VideoError):
        return None


def _bounded(how: Fingerprints, job: Job) -> str | None:
    try:
        return bounded(lambda: _fingerprint(how, job))
    except TimeoutError:
        return None
