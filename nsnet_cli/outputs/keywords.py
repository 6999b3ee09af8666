"""Keywords that nsnet gives a video, and how they live beside a person's own. Pure functions.

The rules, for sidecars and desktop tags alike:

- What nsnet adds, it records. It takes out only what it recorded.
- A keyword that was there already is the person's: it is neither added nor recorded.
- A recorded keyword that is no longer there was removed by the person. It stays away until the video's tags have been
  without it once.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from nsnet_cli.outputs.shown import certain
from nsnet_cli.records import dataclass
from nsnet_cli.text import harmless
from nsnet_cli.types import VideoResult

ROOT = "nsnet"
"""Root of the hierarchical keywords, which keeps them apart from those that people gave."""


@dataclass(frozen=True, slots=True)
class Change:
    """What was done with a file's keywords."""

    path: Path
    did: Literal["written", "removed", "unchanged", "left alone"]
    """'removed': the whole file, because nsnet had made it and nothing else was in it."""
    why: str = ""
    """For 'left alone': the reason, in a few words."""


@dataclass(frozen=True, slots=True)
class Step:
    """What to do with a list of keywords, and what is recorded afterwards."""

    add: list[str]
    remove: list[str]
    recorded: list[str]


def step(present: Sequence[str], recorded: Sequence[str], wanted: Sequence[str]) -> Step:
    """The way from the keywords that are there to those that nsnet wants. 'Cat' is there already if 'cat' is."""
    recorded = list(dict.fromkeys(recorded))
    remove = [word for word in recorded if word in present and word not in wanted]
    staying = {word.casefold() for word in present if word not in remove}
    add = [word for word in wanted if word not in recorded and word.casefold() not in staying]
    return Step(add, remove, [word for word in recorded if word in wanted] + add)


def flat(result: VideoResult) -> list[str]:
    """The name of each certain tag, best first."""
    return list(dict.fromkeys(_text(tag.name) for tag in certain(result)))


def paths(result: VideoResult) -> list[str]:
    """The way down to each certain tag: `nsnet|animal|mammal|cat`."""
    levels = [(ROOT, *reversed(tag.parents), tag.name) for tag in certain(result)]
    # A '|' separates the levels, so a name must not hold one.
    return list(dict.fromkeys("|".join(_text(level).replace("|", "/") for level in way) for way in levels))


def _text(name: str) -> str:
    """XML 1.0 allows neither control characters nor non-characters, not even escaped."""
    return "".join("\N{REPLACEMENT CHARACTER}" if c in "\ufffe\uffff" else c for c in harmless(name)).strip()
