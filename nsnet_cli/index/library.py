"""Opens the index of a folder of results, up to date, and answers questions in words."""

from __future__ import annotations

import heapq
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from nsnet_cli.errors import NoInputError, NsnetError
from nsnet_cli.index.database import DamagedError, Database, abandon, current, places
from nsnet_cli.index.hits import Hit
from nsnet_cli.index.update import scan, update
from nsnet_cli.records import dataclass
from nsnet_cli.words import Names

T = TypeVar("T")
TRIES = 3
"""A damaged index is made anew. A disk that damages it each time is not written to again."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Counts:
    """What the index holds."""

    videos: int
    failed: int
    """Results of videos that could not be tagged."""
    skipped: int
    """Files that are no results, or are damaged."""
    without: int
    """Tagged videos without embeddings."""
    without_images: int
    """Tagged videos without embeddings of images, that text could be compared with."""


def ask(results: Path, question: Callable[[Library], T]) -> T:
    """Returns the answer to a question about a folder of results, whose index is brought up to date first.

    Raises NoInputError if there is no result, and whatever the question raises.
    """
    files, reason = _files(results), ""
    for folder in places(results):
        for _ in range(TRIES):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                name = current(folder)
                with Database(folder, name) as index:
                    _update(index, results, files)
                    with index.reading():
                        return question(Library(index))
            except (sqlite3.OperationalError, OSError) as error:
                reason = f"{folder}: {error}"
                if "locked" in str(error):
                    message = f"the index of {results} is in use by another program"
                    raise NsnetError(message, "wait for it, or end it") from error
                log.debug("%s", reason)
                break  # it cannot be written here
            except (sqlite3.DatabaseError, DamagedError) as error:
                reason = f"{folder}: {error}"
                log.debug("%s; the index is made anew", reason)
                abandon(folder, name)
    raise NsnetError(f"the index of {results} can be kept nowhere: {reason}", "set NSNET_CACHE to another folder")


def _files(results: Path) -> dict[bytes, tuple[int, int]]:
    try:
        files = scan(results)
    except OSError as error:
        message = f"{results}: {error.strerror}"
        raise NoInputError(message, "give the folder that `nsnet tag -o` wrote to") from error
    if not files:
        raise NoInputError(f"no results in {results}", "make some: nsnet tag VIDEOS -o FOLDER")
    return files


def _update(index: Database, results: Path, files: dict[bytes, tuple[int, int]]) -> None:
    try:
        update(index, results, files)
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            raise
        log.warning("another program writes to the index: what is new is not found yet")


@dataclass(frozen=True, eq=False)
class Library:
    """An index inside one reading transaction."""

    index: Database

    def counts(self) -> Counts:
        states = dict(self.index.db.execute("SELECT state, count(*) FROM videos GROUP BY state"))
        sql = "SELECT count(*) FROM videos WHERE state = 'ok' AND frames IS NULL"
        without = self.index.db.execute(sql).fetchone()[0]
        sql = "SELECT count(*) FROM videos WHERE state = 'ok' AND video NOT IN (SELECT video FROM images)"
        images = self.index.db.execute(sql).fetchone()[0]
        return Counts(states.get("ok", 0), states.get("error", 0), states.get("skipped", 0), without, images)

    def names(self) -> Names:
        return Names(self.index.db.execute("SELECT tag, id, name FROM tags"))

    def image_checkpoint(self) -> str | None:
        """The name of the checkpoint that embedded most of the images that text is compared with; None: no images."""
        sql = "SELECT checkpoint FROM images JOIN videos USING (video) GROUP BY checkpoint ORDER BY count(*) DESC"
        row = self.index.db.execute(sql).fetchone()
        return str(row[0]) if row else None

    def by_tags(self, tags: Sequence[int], most: int, least: float = 0.0) -> list[Hit]:
        """The stretches where one of these tags is seen, the likeliest first.

        Args:
            tags: Keys, as `names().match` gives them.
            most: Most hits.
            least: The least probability of a hit. 0: also where nothing was calibrated.
        """
        found: list[Hit] = []
        taken: dict[int, list[tuple[float, float]]] = {}
        for rank, video, start_s, end_s, tag in self._spans(tags, least):
            if len(found) == most:
                break
            others = taken.setdefault(video, [])
            if any(start_s <= end and start <= end_s for start, end in others):
                continue  # the same stretch, seen as something else
            others.append((start_s, end_s))
            found.append(self._hit(video, tag, start_s, end_s, rank))
        return found

    def _spans(self, tags: Sequence[int], least: float) -> Iterator[tuple[float, int, float, float, int]]:
        sql = (
            "SELECT spans.rank, spans.video, spans.start_s, spans.end_s, spans.tag FROM spans CROSS JOIN videos"
            " ON videos.video = spans.video WHERE spans.tag = ? AND spans.rank >= ? ORDER BY spans.rank DESC"
        )
        each = [self.index.db.execute(sql, (tag, least or -1.0)) for tag in tags]
        return heapq.merge(*each, key=lambda row: -row[0])

    def _hit(self, video: int, tag: int, start_s: float, end_s: float, rank: float) -> Hit:
        db = self.index.db
        name, identifier = db.execute("SELECT name, id FROM tags WHERE tag = ?", (tag,)).fetchone()
        sql = "SELECT probability, score, certain FROM seen WHERE video = ? AND tag = ?"
        whole, score, certain = db.execute(sql, (video, tag)).fetchone()
        return Hit(
            **self.of_video(video),
            start_s=start_s,
            end_s=end_s,
            at_s=(start_s + end_s) / 2,
            tag=name,
            tag_id=identifier,
            probability=None if whole is None else rank,
            score=score,
            certain=bool(certain),
            seen_as=self._seen_as(video, identifier, start_s, end_s) if certain else None,
        )

    def of_video(self, video: int) -> dict[str, Any]:
        """The fields of a hit that its video gives."""
        sql = "SELECT path, source, duration_s FROM videos WHERE video = ?"
        path, source, duration_s = self.index.db.execute(sql, (video,)).fetchone()
        return {"path": os.fsdecode(path), "source": os.fsdecode(source), "duration_s": duration_s}

    def _seen_as(self, video: int, identifier: str, start_s: float, end_s: float) -> str | None:
        """The name of the most specific certain tag below another one, in the same stretch."""
        sql = (
            "SELECT tags.tag, tags.name FROM seen JOIN tags USING (tag) JOIN over ON over.tag = tags.id"
            " WHERE seen.video = ? AND over.above = ? AND seen.certain ORDER BY seen.depth DESC, seen.probability DESC"
        )
        for tag, name in self.index.db.execute(sql, (video, identifier)):
            sql = "SELECT 1 FROM spans WHERE tag = ? AND video = ? AND start_s <= ? AND end_s >= ?"
            if self.index.db.execute(sql, (tag, video, end_s, start_s)).fetchone():
                return str(name)
        return None
