"""The more general terms above a tag: Egyptian cat < cat < mammal < animal.

A table holds the names and parents of nodes; ImageNet's is a data file of the package. A hierarchy is a table applied
to one vocabulary. A node may have several parents. A node without a name is never shown.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nsnet_cli.errors import UsageError
from nsnet_cli.types import TagName

if TYPE_CHECKING:
    import numpy as np  # not at run time: names and parents are used where numpy is not loaded

WORDNET_ID = re.compile(r"n\d{8}")
_IMAGENET = Path(__file__).with_name("data") / "imagenet_hierarchy.tsv"


@dataclass(frozen=True, eq=False)
class Table:
    """Nodes by id. In both, parents come before their children."""

    names: dict[str, str] = field(repr=False)
    """Empty: the node is never shown."""
    parents: dict[str, tuple[str, ...]] = field(repr=False)


@cache
def imagenet_table() -> Table:
    """Returns ImageNet's 1,000 tags and all their ancestors. The file lists parents before their children."""
    names, parents = {}, {}
    for line in _IMAGENET.read_text("utf-8").splitlines():
        if line[0] != "#":
            identifier, name, over = line.split("\t")
            names[identifier] = name
            parents[identifier] = tuple(over.split(";")) if over else ()
    return Table(names, parents)


def table_for(vocabulary: Iterable[TagName], declared: Iterable[Mapping[str, Any]] | None = None) -> Table:
    """Returns what stands over tags: as declared, in rows of id, name and parents, or else as their ids say.

    WordNet ids have ImageNet's table. Other tags, such as actions, have nothing over them.
    """
    if declared:
        return own_table((row["id"], row["name"], row["parents"]) for row in declared)
    return imagenet_table() if any(WORDNET_ID.fullmatch(tag.id) for tag in vocabulary) else Table({}, {})


def own_table(rows: Iterable[tuple[str, str, Sequence[str]]]) -> Table:
    """Returns a table made from rows of id, name and ids of parents, in any order.

    Raises UsageError for an id given twice, a parent without a row, and a tag that is its own ancestor.
    """
    declared = [(identifier, name, tuple(dict.fromkeys(parents))) for identifier, name, parents in rows]
    names = {identifier: name for identifier, name, _ in declared}
    over = {identifier: parents for identifier, _, parents in declared}
    if len(names) < len(declared):
        twice = Counter(identifier for identifier, _, _ in declared).most_common(1)[0][0]
        raise UsageError(f"the tag {twice!r} is declared twice", "declare each tag once, with all its parents")
    for identifier, parents in over.items():
        for parent in parents:
            if parent not in names:
                message = f"the tag {identifier!r} has the parent {parent!r}, which is not declared"
                raise UsageError(message, f"declare {parent!r} too, or correct its name")
    try:
        order = list(TopologicalSorter(over).static_order())
    except CycleError as error:
        ring = error.args[1]  # each is a parent of the next; the last repeats the first
        line = " < ".join(reversed(ring))
        raise UsageError(f"the tag {ring[0]!r} is its own ancestor: {line}", "remove one of these parents") from error
    return Table({node: names[node] for node in order}, {node: over[node] for node in order})


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """A table applied to one vocabulary. Tags that the table does not know have no ancestors."""

    vocabulary: tuple[TagName, ...] = field(repr=False)
    """C tags, in the order of the classifier's outputs."""
    table: Table = field(default_factory=imagenet_table)

    @cached_property
    def nodes(self) -> tuple[TagName, ...]:
        """The N nodes that can be shown: the C tags in their order, then their ancestors, the most general first."""
        own = {tag.id for tag in self.vocabulary}
        over = {node for tag in self.vocabulary for node in self._above.get(tag.id, ())} - own
        names = self.table.names
        tags = [TagName(tag.id, names.get(tag.id) or tag.name) for tag in self.vocabulary]
        return (*tags, *(TagName(node, name) for node, name in names.items() if name and node in over))

    @cached_property
    def members(self) -> np.ndarray:
        """(N, C) bool: which tags are the node or one of its descendants."""
        import numpy as np

        row = {node.id: n for n, node in enumerate(self.nodes)}
        members = np.zeros((len(row), len(self.vocabulary)), bool)
        for column, tag in enumerate(self.vocabulary):
            rows = [row[node] for node in (tag.id, *self._above.get(tag.id, ())) if node in row]
            members[rows, column] = True
        members.flags.writeable = False  # all callers share it
        return members

    def sums(self, scores: np.ndarray, rows: np.ndarray, *, highest: bool = False) -> np.ndarray:
        """Sums scores (..., C) under the nodes in `rows` (n,): (..., n). Only what is needed is touched.

        `highest`: their maximum instead, for scores that do not sum to one.
        """
        import numpy as np

        below = [self._tags_below[row] for row in rows]
        starts = np.cumsum([0, *(len(tags) for tags in below)])[:-1]
        combine = np.maximum if highest else np.add
        return np.asarray(combine.reduceat(scores[..., np.concatenate(below)], starts, axis=-1))

    @cached_property
    def _tags_below(self) -> list[np.ndarray]:
        """For each node, the positions of the tags that are the node or one of its descendants; never empty."""
        import numpy as np

        row = {node.id: n for n, node in enumerate(self.nodes)}
        below: list[list[int]] = [[] for _ in row]
        for column, tag in enumerate(self.vocabulary):
            for node in (tag.id, *self._above.get(tag.id, ())):
                if node in row:
                    below[row[node]].append(column)
        return [np.array(columns) for columns in below]

    @cached_property
    def over(self) -> np.ndarray:
        """(N, N) bool: whether the second node is an ancestor of the first."""
        import numpy as np

        row = {node.id: n for n, node in enumerate(self.nodes)}
        over = np.zeros((len(row), len(row)), bool)
        for node, n in row.items():
            over[n, [row[above] for above in self._above.get(node, ()) if above in row]] = True
        over.flags.writeable = False  # all callers share it
        return over

    def prepare(self) -> None:
        """Makes the tables behind `sums` and `ancestors`, which the first call of each would make: 10 ms."""
        _ = self._tags_below, self._place

    def ancestors(self, identifier: str) -> tuple[TagName, ...]:
        """Returns the ancestors of a node that have a name, the nearest first: cat, mammal, animal."""
        names, place = self.table.names, self._place
        above = sorted(self._above.get(identifier, ()), key=place.__getitem__, reverse=True)
        return tuple(TagName(node, names[node]) for node in above if names[node])

    def above(self, identifier: str) -> frozenset[str]:
        """Returns the ids of all ancestors, with or without a name."""
        return self._above.get(identifier, frozenset())

    def descends(self, identifier: str, over: str) -> bool:
        """Whether `over` is an ancestor of the node. No node is its own ancestor."""
        return over in self._above.get(identifier, ())

    @cached_property
    def _above(self) -> dict[str, frozenset[str]]:
        """All ancestors of each node, with or without a name."""
        above: dict[str, frozenset[str]] = {}
        for node, parents in self.table.parents.items():
            above[node] = frozenset(parents).union(*(above[parent] for parent in parents))
        return above

    @cached_property
    def _place(self) -> dict[str, tuple[int, int]]:
        """Longest path down to each node, then its line in the table. A child sorts after its parents."""
        depth: dict[str, int] = {}
        for node, parents in self.table.parents.items():
            depth[node] = 1 + max((depth[parent] for parent in parents), default=0)
        return {node: (steps, line) for line, (node, steps) in enumerate(depth.items())}


def stands_over(identifier: str, parents: Iterable[str]) -> tuple[TagName, ...]:
    """Returns what stands over a tag of a result, the nearest first.

    A result has names of parents only. Those of own tags serve as ids too.
    """
    if imagenet_table().names.get(identifier):
        return _imagenet().ancestors(identifier)
    return tuple(TagName(name, name) for name in parents)


@cache
def _imagenet() -> Hierarchy:
    return Hierarchy(())
