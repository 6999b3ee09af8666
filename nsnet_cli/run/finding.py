"""Finds the videos of a run, and reports what it leaves out."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from nsnet_cli.errors import NoInputError
from nsnet_cli.inputs import FoundInputs, find_videos
from nsnet_cli.search import Search
from nsnet_cli.storage.urls import shown

MOST_ENDINGS = 5
LONGEST_ENDING = 12
"""Characters. A longer ending is just a name with a dot in it."""

logger = logging.getLogger(__name__)


def find(given: Sequence[str], search: Search) -> FoundInputs:
    """Returns the videos of paths, folders and globs. Raises NoInputError if there are none."""
    found = find_videos(given, search)
    for warning in found.warnings:
        logger.warning("%s", warning)
    if found.duplicates:
        logger.debug("%d videos given more than once, tagged once", found.duplicates)
    if not found.videos:
        what = ", ".join(map(shown, given[:3])) + (", ..." if len(given) > 3 else "") or "the list"
        other = f" ({left_out_words(found.left_out)})" if found.skipped else ""
        raise NoInputError(f"no video in {what}{other}", "give a video file, or a folder that holds some")
    return found


def columns_of(path: str, columns: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """What a manifest says about a video: by its own path, or by that of a folder above it."""
    if not columns:
        return None
    found = columns.get(path)
    while found is None and "/" in path.rstrip("/"):
        path = path.rstrip("/").rpartition("/")[0]
        found = columns.get(path) or columns.get(f"{path}/")
    return found


def left_out_words(left_out: Counter[str]) -> str:
    """Names the most common endings: 'left out: 12 .jpg, 3 .txt, 1 without ending'."""
    named: Counter[str] = Counter()
    for ending, count in left_out.items():
        named["without ending" if len(ending) < 2 else ending if len(ending) <= LONGEST_ENDING else "others"] += count
    rest = named.pop("others", 0)
    ranked = sorted(named.items(), key=lambda item: (-item[1], not item[0].startswith("."), item[0]))
    rest += sum(count for _, count in ranked[MOST_ENDINGS:])
    words = [f"{count} {ending}" for ending, count in ranked[:MOST_ENDINGS]]
    return "left out: " + ", ".join(words + ([f"{rest} others"] if rest else []))
