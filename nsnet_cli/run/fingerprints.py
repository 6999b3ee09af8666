"""Fingerprints of the videos of a run, without waiting for ever for any of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from nsnet_cli.bounded import bounded
from nsnet_cli.errors import VideoError
from nsnet_cli.fingerprint import Way
from nsnet_cli.looking import look_at_each
from nsnet_cli.nets.build import other_engines
from nsnet_cli.run.jobs import Job
from nsnet_cli.storage.identity import identity
from nsnet_cli.types import Source

Fingerprint = Callable[[Job], str | None]
"""The fingerprint of a job's video; None if it cannot be examined."""


def ways(way: Way, device: str) -> list[Way]:
    """Returns the ways of looking whose results count: that of a run, then those of engines that are as good.

    `device`: what the user asked for, if this process does the work.
    """
    return [way, *(replace(way, engine=name, precision=precision) for name, precision in other_engines(device))]


def fingerprints(ways: Sequence[Way], jobs: Sequence[Job], *, ahead: bool) -> list[Fingerprint]:
    """Returns what gives the fingerprints, for each way of looking.

    `ahead`: looks at all videos at once, which takes a tenth of the time per video. For runs that ask for most of them.
    """
    source = _bounded
    if ahead:
        known = dict(zip([job.path for job in jobs], look_at_each(jobs, _source), strict=True))
        source = lambda job: known[job.path]  # noqa: E731
    return [partial(_of, way, source) for way in ways]


def _of(way: Way, source: Callable[[Job], Source | None], job: Job) -> str | None:
    found = source(job)
    return None if found is None else way.of(found)


def _source(job: Job) -> Source | None:
    try:
        return identity(job.place)
    except (OSError, ValueError, VideoError):
        return None


def _bounded(job: Job) -> Source | None:
    try:
        return bounded(lambda: _source(job))
    except TimeoutError:
        return None
