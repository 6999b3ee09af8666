"""The report page: all videos of a run or of a folder of results, to search. Posters are files beside it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from nsnet_cli.errors import OutputError
from nsnet_cli.outputs.names import source_key
from nsnet_cli.outputs.owner import leave_alone, marked, owner
from nsnet_cli.outputs.page import render
from nsnet_cli.outputs.pagedata import Record, TagNumbers, packed, read_records
from nsnet_cli.outputs.save import save
from nsnet_cli.outputs.shown import certain, figure, guesses, judged, nothing_certain, spans_in
from nsnet_cli.outputs.store import refused
from nsnet_cli.outputs.words import clock, columns, duration_s, poster_frame, relative_url, saliency_mass
from nsnet_cli.text import harmless
from nsnet_cli.types import Tag, VideoResult

INDEX = "index.html"
POSTERS = "posters"
CURVE_POINTS = 64
"""Points of a card's saliency curve."""
MOST_SPANS = 24
"""Characters for when a tag is seen."""
REFRESH_S = 10.0
"""How often the page is updated during a run, so that one can look at it."""


def check_report(directory: Path) -> None:
    """Raises OutputError if the page would replace files that nsnet did not write."""
    if owner(directory / INDEX).ours is False:
        raise OutputError(f"{directory / INDEX} was not written by nsnet", "give --report another folder")
    if os.path.lexists(directory / POSTERS) and not (directory / POSTERS).is_dir():
        raise OutputError(f"{directory / POSTERS} is not a folder", "give --report another folder")


class ReportWriter:
    """Collects one small row per video. Writes posters at once, and the page now and then and at the end.

    A result from an earlier look has no pictures. It keeps its poster, and the curve of the existing page.
    """

    def __init__(self, directory: Path, refresh_s: float = REFRESH_S) -> None:
        self.directory = directory
        self._refresh_s = refresh_s
        try:
            (directory / POSTERS).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            failed = refused(directory, error)
            failed.message = f"cannot write the report to {directory}: {error.strerror}"
            raise failed from error
        check_report(directory)
        self._earlier = {record.get("url"): record for record in read_records(directory / INDEX)}
        self._records: dict[str, Record] = {}
        self._numbers = TagNumbers()
        self._written_at = time.monotonic()

    def add(self, result: VideoResult, source: str | None = None) -> None:
        """Adds a video. `source`: where it is, if that is not `result.path`."""
        record = to_record(result, self.directory, self._numbers, source)
        key = source_key(source or os.path.realpath(result.path))
        if result.jpegs:
            record["poster"] = self._write_poster(result, key)
        elif result.error is None:
            earlier = self._earlier.get(record["url"], {})
            if not result.frames:
                record |= {name: earlier.get(name) for name in ("curve", "dots", "mass", "at_s")}
            record["poster"] = self._poster(key, earlier.get("poster"))
        self._records[source or result.path] = record
        if time.monotonic() - self._written_at > self._refresh_s:
            self.write()

    def write(self) -> None:
        """Replaces the page in one step."""
        save(self.directory / INDEX, to_html(list(self._records.values()), self._numbers).encode())
        self._written_at = time.monotonic()

    def close(self) -> None:
        """Writes the page a last time. Also call it after an interruption: finished videos are kept."""
        self.write()

    def _write_poster(self, result: VideoResult, key: str) -> str | None:
        best = poster_frame(result)
        if best is None or best >= len(result.jpegs):
            return None
        name = f"{POSTERS}/{key}.jpg"
        if owner(self.directory / name).ours is False:
            leave_alone(self.directory / name)
            return None
        save(self.directory / name, marked(result.jpegs[best], key))
        return name

    def _poster(self, key: str, earlier: str | None) -> str | None:
        """The poster that an earlier run wrote for this video, or for one that was at its place."""
        name = f"{POSTERS}/{key}.jpg"
        if owner(self.directory / name).key == key:
            return name
        return earlier if earlier is not None and (self.directory / earlier).is_file() else None


def to_record(result: VideoResult, directory: Path, numbers: TagNumbers, source: str | None = None) -> Record:
    """What the page shows of one video, as plain JSON. `source`: where it is, if that is not `result.path`."""
    best, end_s = poster_frame(result), duration_s(result)
    salient = [f for f in result.frames if f.chosen] or result.salient_frames
    mass = saliency_mass(result)
    times, values = [f.pts_s for f in result.frames], [f.saliency for f in result.frames]
    path = Path(result.path)
    return {
        "name": harmless(path.name),
        "folder": harmless(str(path.parent)) if path.parent != Path() else "",
        "url": relative_url(source or result.path, directory),
        "end_s": round(end_s, 2),
        "duration": clock(result.duration_s, 0) if result.duration_s is not None else None,
        "kind": "certain" if certain(result) else "guess" if judged(result) else "score",
        "tags": [_tag(tag, result, numbers) for tag in certain(result) or guesses(result)],
        "nothing": nothing_certain(result),
        "perhaps": numbers.of(result.perhaps) if result.perhaps else None,
        "best": _best(result),
        "mass": None if mass is None else round(mass, 4),
        "curve": [round(100 * v) for v in columns(times, values, end_s, CURVE_POINTS)] if times else None,
        "dots": [round(100 * f.pts_s / end_s, 1) for f in salient],
        "at_s": round(result.frames[best].pts_s, 3) if best is not None else None,
        "poster": None,
        "error": [result.error.kind, harmless(result.error.message)] if result.error is not None else None,
    }


def _tag(tag: Tag, result: VideoResult, numbers: TagNumbers) -> list[Any]:
    """Its number, what is shown of it (95 %, 0.83), when it is seen in words, and the start and end of each span."""
    ends = [round(end_s, 2) for span in tag.spans for end_s in (span.start_s, span.end_s)]
    return [numbers.of(tag), figure(tag, result), spans_in(tag, MOST_SPANS), ends]


def _best(result: VideoResult) -> float | None:
    """How sure the run is of its best tag, to sort by: the highest probability, or score if nothing was judged."""
    if not judged(result):
        return max((round(tag.score, 4) for tag in result.tags), default=None)
    tags = [*result.tags, *([result.perhaps] if result.perhaps else [])]
    return max((round(tag.probability, 4) for tag in tags if tag.probability is not None), default=0.0)


def to_html(records: list[Record], numbers: TagNumbers) -> str:
    """The page as text. It contains the rows as JSON; its script makes cards as they come into view."""
    failed = sum(record["error"] is not None for record in records)
    place = _common_folder([record["folder"] for record in records])
    rows = [record | {"folder": _below(record["folder"], place)} for record in records]
    data, scripts = packed(rows, numbers), ("play", "lookup", "library", "cards")
    return render("index", "data: 'self' file:", scripts, data=data, count=len(rows), failed=failed, place=place)


def _common_folder(folders: list[str]) -> str:
    """The folder that contains all videos; '' if there is none."""
    try:
        return os.path.commonpath(folders) if folders else ""
    except ValueError:  # absolute and relative paths, or several drives
        return ""


def _below(folder: str, place: str) -> str:
    return os.path.relpath(folder, place).removeprefix(".") if place else folder
