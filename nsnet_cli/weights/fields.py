"""Checks files that people write or that come from strangers: config.json, weights.toml and vocabularies.

Only regular files of limited size are read. Their fields are compared with a table of `Field`s: type, range, choices.
A wrong field becomes a WeightsError that names file and field.
"""

from __future__ import annotations

import json
import math
import os
import re
import reprlib
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nsnet_cli.errors import WeightsError
from nsnet_cli.records import dataclass

REQUIRED: Any = object()
"""In place of a default: the field must be there."""
DEEPEST = 16
"""Most levels of tables and lists in a field that may hold anything."""


@dataclass(frozen=True, slots=True)
class Field:
    """What one field may hold. Made by `text`, `whole`, `number` and the other functions below."""

    kind: type
    default: Any = REQUIRED
    least: float = -math.inf
    """Least value of a number; least length of a text or a list. `most` likewise."""
    most: float = math.inf
    choices: tuple[str, ...] = ()
    pattern: re.Pattern[str] | None = None
    what: str = ""
    """What `pattern` wants, in words."""
    fields: Mapping[str, Field] | None = None
    """The fields of a table."""
    others: bool = False
    """Whether a table may have fields that are not in `fields`."""
    each: Field | None = None
    """Each entry of a list, or each value of a table with free names."""
    names: re.Pattern[str] | None = None
    """The form of a table's free names."""


def text(
    default: Any = REQUIRED,
    *,
    choices: tuple[str, ...] = (),
    pattern: re.Pattern[str] | None = None,
    what: str = "",
    most: int = 1000,
) -> Field:
    return Field(str, default, 1, most, choices=choices, pattern=pattern, what=what)


def whole(least: int, most: int, default: Any = REQUIRED) -> Field:
    return Field(int, default, least, most)


def number(least: float, most: float, default: Any = REQUIRED) -> Field:
    return Field(float, default, least, most)


def flag(default: Any = REQUIRED) -> Field:
    return Field(bool, default)


def table(fields: Mapping[str, Field] | None, default: Any = REQUIRED, *, others: bool = False) -> Field:
    """A table with these fields; None: a table of anything."""
    return Field(dict, default, fields=fields, others=others)


def named(each: Field, names: re.Pattern[str] | None, what: str) -> Field:
    """A table with free names, and an `each` under every name."""
    return Field(dict, {}, each=each, names=names, what=what)


def listing(each: Field, least: int, most: int, default: Any = REQUIRED) -> Field:
    return Field(list, default, least, most, each=each)


ANYTHING, OPTIONAL = Field(object), Field(object, None)
_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false", dict: "a table", list: "a list"}


class Place:
    """Where a value is, for error messages. Cheap to make: a vocabulary needs two per tag."""

    __slots__ = ("file", "hint", "kind", "path")

    def __init__(self, file: str, hint: str | None, kind: str, path: tuple[str | int, ...] = ()) -> None:
        self.file, self.hint, self.kind, self.path = file, hint, kind, path

    def inside(self, *keys: str | int) -> Place:
        return Place(self.file, self.hint, self.kind, self.path + keys)

    def wrong(self, why: str) -> WeightsError:
        steps = (f"[{key}]" if isinstance(key, int) else f".{key}" for key in self.path)
        where = "".join(steps).removeprefix(".")
        return WeightsError(": ".join(part for part in (self.file, where, why) if part), self.hint, self.kind)


def check(value: Any, field: Field, place: Place) -> Any:
    """Returns `value` with the defaults of its tables filled in. Raises WeightsError."""
    if field.kind is object:
        return value
    allowed: Any = (int, float) if field.kind is float else field.kind
    if not isinstance(value, allowed) or (isinstance(value, bool) and field.kind is not bool):
        raise place.wrong(f"{shown(value)} is not {_WORDS[field.kind]}")
    if isinstance(value, dict):
        return _checked_table(value, field, place)
    if isinstance(value, (int, float)):
        if field.kind is not bool and not field.least <= value <= field.most:  # NaN is refused here too
            raise place.wrong(f"{shown(value)} is not between {field.least:g} and {field.most:g}")
        return value
    if not field.least <= len(value) <= field.most:
        length = "is empty" if not value else f"has length {len(value)}"
        raise place.wrong(f"{length}; must be {field.least:g} to {field.most:g}")
    if isinstance(value, list):
        assert field.each is not None
        return [check(entry, field.each, place.inside(i)) for i, entry in enumerate(value)]
    return _checked_text(value, field, place)


def _checked_text(value: str, field: Field, place: Place) -> str:
    if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise place.wrong(f"{shown(value)} is not text: it has half a character")
    if field.choices and value not in field.choices:
        raise place.wrong(f"{shown(value)} is not one of {', '.join(field.choices)}")
    if field.pattern is not None and not field.pattern.fullmatch(value):
        raise place.wrong(f"{shown(value)} is not {field.what}")
    return value


def _checked_table(value: dict[str, Any], field: Field, place: Place) -> dict[str, Any]:
    if field.each is not None:
        for name in value:
            if field.names is not None and not field.names.fullmatch(name):
                raise place.wrong(f"{shown(name)} is not {field.what}")
        return {name: check(entry, field.each, place.inside(name)) for name, entry in value.items()}
    if field.fields is None:
        if _deeper(value, DEEPEST):
            raise place.wrong(f"tables or lists are nested more than {DEEPEST} deep")
        return value
    unknown = [] if field.others else [key for key in value if key not in field.fields]
    if unknown:  # a misspelt field must not count as one left out
        raise place.inside(unknown[0]).wrong(f"unknown field; known: {', '.join(sorted(field.fields))}")
    found = dict(value)
    for key, inner in field.fields.items():
        if key in value:
            found[key] = check(value[key], inner, place.inside(key))
        elif inner.default is REQUIRED:
            raise place.inside(key).wrong("missing")
        else:
            found[key] = check(inner.default, inner, place.inside(key)) if inner.kind is dict else inner.default
    return found


def _deeper(value: Any, levels: int) -> bool:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(levels == 0 or _deeper(entry, levels - 1) for entry in inside)


def shown(value: Any) -> str:
    """A value in a message, shortened if need be."""
    try:
        return reprlib.repr(value)
    except ValueError:  # a number of more than 4,300 digits
        return "a number too long to show"


# ---- files -----------------------------------------------------------------------------------------------------------


def regular_size(path: Path, most_bytes: int) -> int:
    """Size of a regular file. Raises OSError, or ValueError if it is not one or has more than `most_bytes`."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is not a regular file")
    if status.st_size > most_bytes:
        raise ValueError(f"it has {status.st_size:,} bytes; the limit is {most_bytes:,}")
    return status.st_size


def read_bytes(path: Path, most_bytes: int) -> bytes:
    """The bytes of a regular file. Raises what `regular_size` raises, and does not open pipes or devices."""
    regular_size(path, most_bytes)
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0)), "rb") as handle:
        data = handle.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise ValueError(f"it has more than {most_bytes:,} bytes")
    return data


def read_json(path: Path, most_bytes: int) -> Any:
    """Reads JSON. NaN, Infinity and numbers too large for a float become None. Raises OSError, ValueError."""

    def finite(digits: str) -> float | None:
        value = float(digits)
        return value if math.isfinite(value) else None

    content = read_bytes(path, most_bytes).decode("utf-8-sig")
    try:
        return json.loads(content, parse_constant=lambda name: None, parse_float=finite)
    except RecursionError:
        raise ValueError("tables or lists are nested too deeply") from None
