"""What stands over own labels: the column `parents` of a label file.

A row gives the direct parents of its label, several as `parent;parent`. A row without a path only does that, for a
label or for a parent. Every parent needs a row, even if nothing stands over it.

    path,label,parents
    a.mp4,husky,dog
    b.mp4,tabby,cat
    ,dog,animal
    ,cat,animal
    ,animal,
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

from nsnet_cli.errors import UsageError
from nsnet_cli.hierarchy import own_table
from nsnet_cli.records import dataclass


@dataclass(frozen=True, slots=True)
class Declared:
    """One row: a label, its direct parents, and where it stands ('labels.csv line 3')."""

    label: str
    parents: tuple[str, ...]
    where: str

    @classmethod
    def of(cls, labels: Sequence[str], parents: tuple[str, ...], where: str) -> Declared:
        if len(labels) > 1:
            message = f"{where}: {len(labels)} labels share the parents {';'.join(parents)!r}"
            raise UsageError(message, "give each label's parents in a row of its own, with an empty path")
        return cls(labels[0], parents, where)


def hierarchy_rows(declared: Sequence[Declared], labels: Iterable[str]) -> list[dict[str, Any]]:
    """Returns what config.json keeps under `hierarchy`: {id, name, parents} of every node. Empty: none was declared.

    `labels` are those of the videos. Raises UsageError with file and line for a parent that is not declared, two rows
    that disagree, a label that no video has, and a label that is its own ancestor.
    """
    if not declared:
        return []
    over: dict[str, tuple[str, ...]] = {}
    where: dict[str, str] = {}
    for row in declared:
        known = over.setdefault(row.label, row.parents)
        first = where.setdefault(row.label, row.where)
        if known != row.parents:
            message = f"{row.where}: {row.label!r} has the parents {_list(row.parents)}, but {_list(known)} at {first}"
            raise UsageError(message, "give all its parents in each of these rows, or in one of them")
    over |= {label: over.get(label, ()) for label in labels}
    below = set(labels).union(*over.values())
    for row in declared:
        for parent in row.parents:
            if parent not in over:
                near = difflib.get_close_matches(parent, over, n=1)
                hint = f"did you mean {near[0]!r}? " if near else ""
                message = f"{row.where}: the parent {parent!r} of {row.label!r} is not declared"
                raise UsageError(
                    message, f"{hint}else add a row with an empty path, the label {parent!r} and its parents"
                )
        if row.label not in below:
            message = f"{row.where}: no video has the label {row.label!r}, and it is not a parent of any label"
            raise UsageError(message, "correct its name or remove the row")
    try:
        own_table((label, label, parents) for label, parents in over.items())
    except UsageError as error:
        at = next(line for label, line in where.items() if f"the tag {label!r} " in error.message)
        raise UsageError(f"{at}: {error.message}", error.hint) from error
    return [{"id": label, "name": label, "parents": list(parents)} for label, parents in over.items()]


def _list(parents: tuple[str, ...]) -> str:
    return ", ".join(map(repr, parents)) or "none"
