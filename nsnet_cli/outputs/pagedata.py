"""The data of the report page: a row per video, tags by number, and the words that find them.

Names of tags stand once, rows have no names of fields, and only those words are there that find a tag of the page.
"""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path
from typing import Any

from nsnet_cli.hierarchy import stands_over
from nsnet_cli.text import harmless
from nsnet_cli.types import Tag, TagName
from nsnet_cli.words import ENDINGS, Names

Record = dict[str, Any]
"""What the page shows of one video: values of JSON by the name of their field."""


class TagNumbers:
    """Numbers for the tags of a page, and for what stands over them."""

    def __init__(self) -> None:
        self._numbers: dict[TagName, int] = {}
        self.over: list[list[int]] = []
        """For each number, the numbers of what stands over the tag, the nearest first."""

    def of(self, tag: Tag) -> int:
        number = self._number(TagName(tag.id, harmless(tag.name)))
        if not self.over[number]:
            above = stands_over(tag.id, map(harmless, tag.parents))
            self.over[number] = [self._number(each) for each in above]
        return number

    @property
    def names(self) -> list[TagName]:
        return list(self._numbers)

    def _number(self, name: TagName) -> int:
        if name not in self._numbers:
            self._numbers[name] = len(self.over)
            self.over.append([])
        return self._numbers[name]


def packed(records: list[Record], numbers: TagNumbers) -> dict[str, Any]:
    """The data of the page as its script reads it. Rows are sorted by folder and name."""
    words = Names((number, tag.id, tag.name) for number, tag in enumerate(numbers.names)).written()
    fields = list(records[0]) if records else []
    return {
        "fields": fields,
        "rows": [[record[name] for name in fields] for record in sorted(records, key=_place)],
        "tags": [[tag.name, over] for tag, over in zip(numbers.names, numbers.over, strict=True)],
        "words": words.tables,
        "instead": words.instead,
        "own": words.own,
        "plurals": words.plurals,
        "endings": ENDINGS,
    }


def read_records(page: Path) -> list[Record]:
    """The rows of a page that an earlier run wrote; none if there is no such page."""
    try:
        found = re.search(r'<script id="data" type="application/json">(.*?)</script>', page.read_text("utf-8"), re.S)
        data = json.loads(found[1]) if found else []
        if isinstance(data, dict):
            data = [dict(zip(data["fields"], row, strict=True)) for row in data["rows"]]
        return [record for record in data if isinstance(record, dict) and isinstance(record.get("url"), str)]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _place(record: Record) -> tuple[list[tuple[int, int, str]], ...]:
    return _natural(record["folder"]), _natural(record["name"])


def _natural(text: str) -> list[tuple[int, int, str]]:
    """A key to sort by: numbers as numbers, letters without case, accented ones beside the plain ones."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    return [_piece(piece) for piece in re.findall(r"[0-9]+|[^0-9]+", plain)]


def _piece(piece: str) -> tuple[int, int, str]:
    return (0, int(piece), "") if piece[0] in "0123456789" else (1, 0, piece)
