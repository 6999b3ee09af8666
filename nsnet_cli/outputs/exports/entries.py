"""Reads the results that `nsnet tag -o` keeps, one by one, and says which of their tags an export has."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from nsnet_cli.errors import KeptError, NoInputError, UsageError
from nsnet_cli.outputs.jsonlines import from_dict
from nsnet_cli.outputs.kept_results import render_kept
from nsnet_cli.outputs.owner import is_schema
from nsnet_cli.outputs.shown import certain
from nsnet_cli.outputs.sources import source_of
from nsnet_cli.outputs.store import SUFFIX, TEMPORARY
from nsnet_cli.records import dataclass
from nsnet_cli.types import Source, Span, Tag, TagOptions, VideoResult

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """One kept result. Every export renders this and nothing else."""

    file: Path
    """The kept result itself, `trips/clip.mp4.nsnet.json`."""
    name: str
    """The output name of the video below the folder of results, as in 'trips/clip.mp4'."""
    result: VideoResult
    source: Source
    """The file of the video, with its absolute path. It may be gone."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which of the certain tags an export has. None: as they are kept."""

    top_k: int | None = None
    threshold: float | None = None
    precision: float | None = None


def find(results: Path, apart_from: Path) -> list[Path]:
    """The files of results below a folder, sorted, without those in `apart_from`.

    Raises NoInputError if there is none.
    """
    if not results.is_dir():
        what = "is a file" if results.exists() else "does not exist"
        raise NoInputError(f"{results} {what}, not a folder of results", "give the folder of `nsnet tag -o`")
    found: list[Path] = []
    for folder, names, files in os.walk(results):
        names[:] = [n for n in names if n != TEMPORARY and Path(folder, n).absolute() != apart_from.absolute()]
        found += [Path(folder, name) for name in files if name.endswith(SUFFIX)]
    if not found:
        raise NoInputError(f"{results} has no results of nsnet", f"keep some: nsnet tag VIDEOS -o {results}")
    return sorted(found)


def read(paths: Sequence[Path], results: Path) -> Iterator[Entry | None]:
    """The results in these files. None, after a warning, for a file that is not a result."""
    for path in paths:
        try:
            row = json.loads(path.read_bytes())
            if not is_schema(row):
                raise ValueError("nsnet did not write it")
            name = path.relative_to(results).as_posix().removesuffix(SUFFIX)
            entry = Entry(path, name, from_dict(row), source_of(row))
            _check_numbers(entry.result)
        except (OSError, ValueError, RecursionError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            log.warning("%s: left out, not a result that can be read: %s", path, reason)
            yield None
        else:
            yield entry


def _check_numbers(result: VideoResult) -> None:
    """Raises ValueError if a number that exports compute with is none, as in a file that somebody edited."""
    fps = result.info.fps if result.info else None
    found = [number for number in (result.duration_s, fps, result.precision) if number is not None]
    for tag in certain(result):
        found += [tag.score, tag.probability or 0.0]
        found += [number for span in tag.spans for number in (span.start_s, span.end_s, span.probability)]
    for number in found:
        if not isinstance(number, int | float) or not math.isfinite(number):
            raise ValueError(f"{number!r} is not a number")


def select(entry: Entry, choice: Choice) -> VideoResult:
    """The result with those of its certain tags that the user wants, and without guesses.

    Another precision renders the result anew from what was kept. Raises UsageError where nothing was, and the precision
    is below the one that the result was tagged with.
    """
    result, asked, had = entry.result, choice.precision, entry.result.precision
    if asked is not None and had is not None and asked != had and (anew := _rendered(entry, choice, asked)):
        result, had = anew, asked
    if asked is not None and had is not None and (asked < had or had == 0 < asked):
        raise UsageError(
            f"--precision {asked:g} needs more than was kept: {result.path} was tagged with {had:g}",
            f"tag again with `nsnet tag ... -o DIR --precision {asked:g}`, then export",
        )
    least = choice.threshold or 0.0
    tags = [t for t in certain(result) if (t.probability or 0.0) >= (asked or 0.0) and t.score >= least]
    precision = had if asked is None or had is None else asked
    return replace(result, tags=tuple(tags[: choice.top_k]), perhaps=None, precision=precision)


def _rendered(entry: Entry, choice: Choice, precision: float) -> VideoResult | None:
    """The result at another precision, None if what was seen in the video is not kept."""
    top_k = choice.top_k or max(TagOptions().top_k, len(entry.result.tags))
    try:
        return render_kept(entry.file, TagOptions(top_k=top_k, precision=precision))
    except KeptError:
        return None


def spans(result: VideoResult) -> list[tuple[Span, Tag]]:
    """The spans of all certain tags in order of time, the likelier first. Spans of two tags may overlap."""
    found = [(span, tag) for tag in certain(result) for span in tag.spans]
    return sorted(found, key=lambda pair: (pair[0].start_s, -pair[0].probability))
