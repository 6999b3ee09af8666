"""What people are shown of a result: its certain tags, its guesses, and the words for them. Pure functions."""

from __future__ import annotations

import re

from nsnet_cli.outputs.words import clock
from nsnet_cli.text import harmless
from nsnet_cli.types import Evidence, Span, Tag, VideoResult

LEAST_GUESS = 0.25
"""Guesses that are less likely are not shown, except by `explain`."""
WORDNET = re.compile(r"n\d{8}")
"""Ids of names whose grammar is known."""
NO_ARTICLE = frozenset([
    "bedding", "binoculars", "body armor", "bread", "broccoli", "carbonara", "cattle", "cauliflower", "chain mail",
    "chocolate sauce", "citrus fruit", "clothing", "coffee", "consomme", "coral", "corn", "cosmetics", "dark glasses",
    "dough", "eggnog", "espresso", "exercise equipment", "face powder", "fast food", "food", "footwear", "fruit",
    "furniture", "glasses", "guacamole", "hair spray", "hay", "ice cream", "jeans", "jewelry", "kitchenware",
    "lotion", "makeup", "mashed potato", "parallel bars", "pasta", "perfume", "rapeseed", "red wine",
    "sports equipment", "sunglasses", "sunscreen", "swimming trunks", "thatch", "toilet tissue", "trousers",
    "underwear", "velvet", "weights", "wine", "wool",
])  # fmt: skip
"""Names without an article: uncountable ("food") or plural ("jeans")."""
NOT_AS_SPELLED = {"European": "a", "hourglass": "an", "one-piece": "a", "unicycle": "a", "uniform": "a"}
"""First words whose article does not follow from their first letter."""


def judged(result: VideoResult) -> bool:
    """Whether the run separated certain tags from guesses. If not, tags are shown with their scores alone."""
    return bool(result.precision)


def certain(result: VideoResult) -> tuple[Tag, ...]:
    return tuple(tag for tag in result.tags if tag.certain)


def guesses(result: VideoResult) -> tuple[Tag, ...]:
    """Returns the guesses that are likely enough to show, without the one that `nothing_certain` names.

    Returns all of them if nothing was judged.
    """
    found = tuple(tag for tag in result.tags if not tag.certain)
    if not judged(result):
        return found
    named = result.perhaps.id if result.perhaps else None
    return tuple(tag for tag in found if (tag.probability or 0.0) >= LEAST_GUESS and tag.id != named)


def nothing_certain(result: VideoResult) -> str | None:
    """'nothing certain; perhaps a wheeled vehicle'. None if something is certain, or nothing was judged."""
    if result.error is not None or not judged(result) or certain(result):
        return None
    return "nothing certain" + (f"; perhaps {with_article(result.perhaps)}" if result.perhaps else "")


def with_article(tag: Tag) -> str:
    """'a cat', 'an owl', 'clothing'. Only WordNet's tags: other names may be anything, as in 'playing chess'."""
    name = harmless(tag.name)
    if not WORDNET.fullmatch(tag.id) or name in NO_ARTICLE:
        return name
    return f"{NOT_AS_SPELLED.get(name.split(' ')[0], 'an' if name[:1].lower() in {*'aeiou'} else 'a')} {name}"


def mark(tag: Tag, result: VideoResult) -> str:
    """What follows the name of a guess: a question mark, unless nothing was judged."""
    return "?" if judged(result) and not tag.certain else ""


def figure(tag: Tag, result: VideoResult) -> str:
    """'95 %', the probability; '0.83', the score, if nothing was judged."""
    return percent(tag.probability) if judged(result) and tag.probability is not None else f"{tag.score:.2f}"


def percent(probability: float) -> str:
    """Never 0 or 100: a calibration cannot know that."""
    return f"{min(max(round(100 * probability), 1), 99)} %"


def when(span: Span) -> str:
    """'0:12-0:15', or '0:12' if that is the same second."""
    start, end = clock(span.start_s, 0), clock(span.end_s, 0)
    return start if start == end else f"{start}-{end}"


def looked_at(evidence: Evidence) -> str:
    """'0:12.4', the time of a frame; '0:11.4-0:13.4', that of a clip."""
    if evidence.start_s is None or evidence.end_s is None:
        return clock(evidence.pts_s)
    return f"{clock(evidence.start_s)}-{clock(evidence.end_s)}"


def spans_in(tag: Tag, width: int | None = None) -> str:
    """When the tag is seen, in `width` characters: '0:00-0:08 0:12-0:14 +3 more'."""
    return fitted([when(span) for span in tag.spans], width)


def fitted(pieces: list[str], width: int | None) -> str:
    """The first pieces that fit, and how many more there are. The very first is always there."""
    for count in range(len(pieces), 0, -1):
        more = len(pieces) - count
        text = " ".join([*pieces[:count], *([f"+{more} more"] if more else [])])
        if width is None or len(text) <= width:
            return text
    return " ".join([*pieces[:1], *([f"+{len(pieces) - 1}"] if pieces[1:] else [])])


def is_dim(result: VideoResult) -> bool:
    """Whether a headline is dimmed, because it has no certain tag."""
    return judged(result) and not certain(result)


def headline(result: VideoResult, *, spans_width: int = 0) -> list[str]:
    """The tags of a tagged video as short phrases: 'cat  95 %  0:00-0:08'. Guesses only if nothing is certain.

    `spans_width`: most characters for a tag's spans; 0 leaves them out.
    """
    tags = certain(result) or guesses(result)
    words = nothing_certain(result)
    pieces = [(harmless(t.name) + mark(t, result), figure(t, result), spans_in(t, spans_width)) for t in tags]
    phrases = ["  ".join((*piece[:2], *([piece[2]] if spans_width and piece[2] else []))) for piece in pieces]
    return [*([words] if words else []), *phrases]
