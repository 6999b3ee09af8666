"""From what a person wrote about videos to ids of nodes."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Sequence

from nsnet_cli.calibrating.examples import Truth
from nsnet_cli.errors import UsageError
from nsnet_cli.hierarchy import WORDNET_ID, Hierarchy
from nsnet_cli.labelled.labels import LabelledVideo

log = logging.getLogger(__name__)


def truths(videos: Sequence[LabelledVideo], hierarchy: Hierarchy) -> list[Truth]:
    """Returns the truth about each video. Labels are ids or names of nodes, in any case.

    Raises UsageError with line and label for a name that no node has, or that several have. An unknown WordNet id is
    no mistake: the checkpoint never shows such a tag. It is counted in a message.
    """
    known = _Names(hierarchy)
    found = [
        Truth(str(v.path), v.source or str(v.path), known.ids(v.labels, v), known.ids(v.unjudged, v), v.weight)
        for v in videos
    ]
    if known.strangers:
        first, count = known.strangers[0], len(set(known.strangers))
        what = "are not tags of the checkpoint and stand over none"
        log.info("%d WordNet ids, such as %s, %s: left out", count, first, what)
    return found


class _Names:
    """The nodes of a hierarchy by id and by name. A name of a node that is shown beats one of a node that is not."""

    def __init__(self, hierarchy: Hierarchy) -> None:
        self.by_id = {
            node.lower(): node for node in (*hierarchy.table.names, *(tag.id for tag in hierarchy.vocabulary))
        }
        self.by_name: dict[str, set[str]] = {}
        for tag in (*hierarchy.nodes, *hierarchy.vocabulary):
            self.by_name.setdefault(tag.name.lower(), set()).add(tag.id)
        self.strangers: list[str] = []

    def ids(self, labels: Sequence[str], video: LabelledVideo) -> frozenset[str]:
        found = set()
        for label in labels:
            key = label.lower()
            named = self.by_name.get(key, set())
            if key in self.by_id:
                found.add(self.by_id[key])
            elif len(named) == 1:
                found |= named
            elif named:
                message = f"{video.where}: {label!r} names {len(named)} tags"
                raise UsageError(message, f"use an id: {', '.join(sorted(named))}")
            elif WORDNET_ID.fullmatch(key):
                self.strangers.append(key)
            else:
                near = difflib.get_close_matches(key, self.by_name, n=3)
                message = f"{video.where}: {label!r} is not a tag of the checkpoint, nor stands over one"
                raise UsageError(message, f"similar: {', '.join(near)}" if near else "give a WordNet id or a name")
        return frozenset(found)
