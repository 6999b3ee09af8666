"""`nsnet tag --report DIR`: an index page of many videos, with posters as files beside it."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import Any

from nsnet_cli.errors import OutputError
from nsnet_cli.outputs.names import source_key
from nsnet_cli.outputs.owner import leave_alone, marked, owner
from nsnet_cli.outputs.page import render
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

Record = dict[str, Any]


def check_report(directory: Path) -> None:
    """Raises OutputError if the page would replace files that nsnet did not write."""
    if owner(directory / INDEX).ours is False:
        raise OutputError(f"{directory / INDEX} was not written by nsnet", "give --report another folder")
    if os.path.lexists(directory / POSTERS) and not (directory / POSTERS).is_dir():
        raise OutputError(f"{directory / POSTERS} is not a folder", "give --report another folder")


class ReportWriter:
    """Collects one small row per video. Writes posters at once, and the page now and then and at the end.

    A result from an earlier look has no pictures. It keeps the poster and the curve of the existing page.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        try:
            (directory / POSTERS).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            failed = refused(directory, error)
            failed.message = f"cannot write the report to {directory}: {error.strerror}"
            raise failed from error
        check_report(directory)
        self._earlier = {record.get("url"): record for record in read_records(directory / INDEX)}
        self._records: dict[str, Record] = {}
        self._written_at = time.monotonic()

    def add(self, result: VideoResult) -> None:
        record = to_record(result, self.directory)
        if result.jpegs:
            self._write_poster(result, record)
        elif result.error is None and (earlier := self._earlier.get(record["url"])) is not None:
            record |= {key: earlier.get(key) for key in ("poster", "curve", "dots", "mass", "at_s")}
        self._records[result.path] = record
        if time.monotonic() - self._written_at > REFRESH_S:
            self.write()

    def write(self) -> None:
        """Replaces the page in one step."""
        save(self.directory / INDEX, to_html(list(self._records.values())).encode())
        self._written_at = time.monotonic()

    def close(self) -> None:
        """Writes the page a last time. Also call it after an interruption: finished videos are kept."""
        self.write()

    def _write_poster(self, result: VideoResult, record: Record) -> None:
        best = poster_frame(result)
        if best is None or best >= len(result.jpegs):
            return
        key = source_key(os.path.realpath(result.path))
        name = f"{POSTERS}/{key}.jpg"
        if owner(self.directory / name).ours is False:
            leave_alone(self.directory / name)
            return
        save(self.directory / name, marked(result.jpegs[best], key))
        record["poster"] = name


def to_record(result: VideoResult, directory: Path) -> Record:
    """What the index page shows of one video, as plain JSON."""
    best, end_s = poster_frame(result), duration_s(result)
    salient = [f for f in result.frames if f.chosen] or result.salient_frames
    mass = saliency_mass(result)
    times, values = [f.pts_s for f in result.frames], [f.saliency for f in result.frames]
    path = Path(result.path)
    return {
        "path": harmless(result.path),
        "name": harmless(path.name),
        "folder": harmless(str(path.parent)) if path.parent != Path() else "",
        "url": relative_url(result.path, directory),
        "duration": clock(result.duration_s, 0) if result.duration_s is not None else None,
        "tags": [_tag(tag, result) for tag in certain(result) or guesses(result)],
        "nothing": nothing_certain(result),
        "best": _best(result),
        "parents": sorted({harmless(name) for tag in certain(result) for name in tag.parents}),
        "mass": None if mass is None else round(mass, 4),
        "curve": [round(100 * v) for v in columns(times, values, end_s, CURVE_POINTS)] if times else None,
        "dots": [round(100 * f.pts_s / end_s, 1) for f in salient],
        "at_s": round(result.frames[best].pts_s, 3) if best is not None else None,
        "poster": None,
        "error": [result.error.kind, harmless(result.error.message)] if result.error is not None else None,
    }


def _tag(tag: Tag, result: VideoResult) -> list[Any]:
    """Name, score, what is shown of it (95 %, 0.83), what it is ('certain', 'guess', 'score'), and when it is seen."""
    kind = "certain" if tag.certain else "guess" if judged(result) else "score"
    return [harmless(tag.name), round(tag.score, 4), figure(tag, result), kind, spans_in(tag, MOST_SPANS)]


def _best(result: VideoResult) -> float | None:
    """How sure the run is of its best tag, to sort by: the highest probability, or score if nothing was judged."""
    if not judged(result):
        return max((round(tag.score, 4) for tag in result.tags), default=None)
    tags = [*result.tags, *([result.perhaps] if result.perhaps else [])]
    return max((round(tag.probability, 4) for tag in tags if tag.probability is not None), default=0.0)


def to_html(records: list[Record]) -> str:
    """The page as text. It contains the rows as JSON; its script makes cards as they come into view."""
    failed = sum(record["error"] is not None for record in records)
    place = _common_folder([record["folder"] for record in records])
    rows = [record | {"folder": _below(record["folder"], place)} for record in records]
    return render("index", images="data: 'self' file:", data=rows, count=len(rows), failed=failed, place=place)


def _common_folder(folders: list[str]) -> str:
    """The folder that contains all videos; '' if there is none."""
    try:
        return os.path.commonpath(folders) if folders else ""
    except ValueError:  # absolute and relative paths, or several drives
        return ""


def _below(folder: str, place: str) -> str:
    return os.path.relpath(folder, place).removeprefix(".") if place else folder


def read_records(path: Path) -> list[Record]:
    """The rows of a page that an earlier run wrote; none if there is no such page."""
    try:
        found = re.search(r'<script id="data" type="application/json">(.*?)</script>', path.read_text("utf-8"), re.S)
        records = json.loads(found[1]) if found else []
        return [r for r in records if isinstance(r, dict) and isinstance(r.get("path"), str)]
    except (OSError, ValueError):
        return []
