"""Fingerprints of the videos of a run, without waiting for ever for any of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from nsnet_cli.bounded import bounded
from nsnet_cli.looking import look_at_each
from nsnet_cli.run.jobs import Job


class Fingerprints(Protocol):
    """What knows how videos are looked at: a tagger, or what an actor says of its own."""

    def fingerprint(self, path: str) -> str: ...


def fingerprints(how: Fingerprints, jobs: Sequence[Job], *, ahead: bool) -> Callable[[str], str | None]:
    """Returns what gives the fingerprint of a path; None for a video that cannot be examined.

    `ahead`: looks at all videos at once, which takes a tenth of the time per video. For runs that ask for most of them.
    """
    if not ahead:
        return lambda path: _bounded(how, path)
    paths = [job.path for job in jobs]
    return dict(zip(paths, look_at_each(paths, partial(_fingerprint, how)), strict=True)).get


def _fingerprint(how: Fingerprints, path: str) -> str | None:
    try:
        return how.fingerprint(path)
    except (OSError, ValueError):
        return None


def _bounded(how: Fingerprints, path: str) -> str | None:
    try:
        return bounded(lambda: _fingerprint(how, path))
    except TimeoutError:
        return None
