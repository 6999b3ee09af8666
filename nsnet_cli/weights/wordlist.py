"""Words to look for with an image-text checkpoint: from --tags, a file, or the list that comes with nsnet.

Also the prompts, the short texts that a word is put into before the text tower reads it. No numpy here: `nsnet tag`
reads words before there is time to import it.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from nsnet_cli.errors import UsageError
from nsnet_cli.records import dataclass
from nsnet_cli.text import UNSAFE, harmless
from nsnet_cli.weights.fields import read_bytes
from nsnet_cli.weights.schema import MOST_TAGS

DATA = Path(__file__).resolve().parents[1] / "data"
EVERYDAY = DATA / "everyday_words.txt"
MOST_BYTES = 32 << 20
MOST_PROMPTS = 100
LONGEST_SHOWN = 40
"""Characters of a word that an error shows."""
MOST_NAMED = 5
"""Words that one message names."""
ACTIONS = "# actions"
"""The heading of actions in the list that comes with nsnet."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WordList:
    """Words, each once, in their order; and prompts with {} in the place of the word."""

    words: tuple[str, ...]
    objects: tuple[str, ...]
    """Prompts for things, places and events."""
    actions: tuple[str, ...]
    """Prompts for what somebody does. With prompts of the user's own, the same as `objects`."""

    @property
    def identity(self) -> str:
        """64 hex digits over words and prompts."""
        parts = ["\n".join(part) for part in (self.words, self.objects, self.actions)]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def prompts(self, word: str) -> tuple[str, ...]:
        return self.actions if self.actions != self.objects and is_action(word) else self.objects

    def texts(self, word: str) -> tuple[str, ...]:
        """The word in each of its prompts. Where the prompt has the article, 'a dog' is put in as 'dog'."""
        return tuple(
            prompt.replace("{}", _bare(word) if _has_article(prompt) else word) for prompt in self.prompts(word)
        )


def word_list(tags: str | None = None, tags_file: str | None = None, prompts: str | None = None) -> WordList:
    """The words that a user names, or else the list that comes with nsnet. Raises UsageError.

    Args:
        tags: Words with commas between them; quotes around one that has a comma.
        tags_file: A file with one word per line; lines that begin with # are comments.
        prompts: A file with one prompt per line, {} in the place of the word.
    """
    if tags is not None and tags_file is not None:
        raise UsageError("--tags and --tags-file name two lists of words", "give one of them")
    if tags is not None:
        words = checked(split(tags), "--tags")
    elif tags_file is not None:
        words = checked(_lines(Path(tags_file), "--tags-file"), f"--tags-file {tags_file}")
    else:
        words = everyday()
    if prompts is not None:
        own = _prompts(Path(prompts))
        return WordList(words, own, own)
    return _with_shipped_prompts(words)


def asked_words(tags: str | None, tags_file: str | None, prompts: str | None) -> WordList | None:
    """As `word_list`; None if a user names nothing."""
    return word_list(tags, tags_file, prompts) if any(each is not None for each in (tags, tags_file, prompts)) else None


def words_named(words: Iterable[str], where: str = "the checkpoint's vocabulary") -> WordList:
    """These words, with the prompts that come with nsnet: those of a checkpoint, or one whole question."""
    return _with_shipped_prompts(checked(words, where))


def _with_shipped_prompts(words: tuple[str, ...]) -> WordList:
    return WordList(words, _shipped("prompts_objects.txt"), _shipped("prompts_actions.txt"))


def split(tags: str) -> list[str]:
    """'a cake, "salt, pepper"' -> ['a cake', 'salt, pepper']. Raises UsageError."""
    import csv  # here, as in the functions below: most runs name no words

    try:
        rows = list(csv.reader([tags], skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise UsageError(
            f"--tags cannot be read: {error}", "write words as in --tags 'kite, \"salt, pepper\"'"
        ) from error
    return [word for row in rows for word in row]


def checked(words: Iterable[str], where: str) -> tuple[str, ...]:
    """The words with spaces trimmed, each once. Those given twice are named and dropped. Raises UsageError."""
    import unicodedata

    found: dict[str, str] = {}
    twice: list[str] = []
    for raw in words:
        word = " ".join(part for part in unicodedata.normalize("NFC", raw).split(" ") if part)
        if not word:
            continue
        _check(word, where)
        if (key := word.casefold()) in found:
            twice.append(word)
        else:
            found[key] = word
    if not found:
        raise UsageError(f"{where} has no words", 'name some, as in --tags "a birthday cake, kite surfing"')
    if len(found) > MOST_TAGS:
        raise UsageError(f"{where} has {len(found):,} words", f"the limit is {MOST_TAGS:,}")
    if twice:
        more = f" and {len(twice) - MOST_NAMED} more" if len(twice) > MOST_NAMED else ""
        logger.warning("%s: given twice, counted once: %s%s", where, ", ".join(map(shown, twice[:MOST_NAMED])), more)
    return tuple(found.values())


def _check(word: str, where: str) -> None:
    import unicodedata

    if match := UNSAFE.search(word):
        raise UsageError(f"{where}: the word {shown(word)} has a control character, {match[0]!r}", "remove it")
    if not any(unicodedata.category(char)[0] in "LNS" for char in word):
        raise UsageError(f"{where}: {shown(word)} has no letter, digit or symbol", "write a word, or remove it")


def shown(word: str) -> str:
    """A word as messages name it."""
    return harmless(repr(word if len(word) <= LONGEST_SHOWN else word[:LONGEST_SHOWN] + "…"))


# ---- what comes with nsnet -------------------------------------------------------------------------------------------


@cache
def everyday() -> tuple[str, ...]:
    """The everyday words that come with nsnet."""
    return tuple(line for line in _everyday_lines() if not line.startswith("#"))


@cache
def _everyday_actions() -> frozenset[str]:
    lines = _everyday_lines()
    after = lines[lines.index(ACTIONS) + 1 :]
    end = next((n for n, line in enumerate(after) if line.startswith("#")), len(after))
    return frozenset(after[:end])


def is_action(word: str) -> bool:
    """Whether a word is something that somebody does: 'kite surfing', 'riding a horse', but not 'building'.

    The list that comes with nsnet knows; other words do so by their ending.
    """
    bare = _bare(word).casefold()
    if bare in _everyday_actions():
        return True
    if bare in _everyday_words() or bare != word.casefold():  # 'a wedding' has an article: a thing
        return False
    parts = bare.split(" ")
    return any(len(part) > 4 and part.endswith("ing") for part in (parts[0], parts[-1]))


@cache
def _everyday_words() -> frozenset[str]:
    return frozenset(everyday())


@cache
def _everyday_lines() -> tuple[str, ...]:
    return tuple(line for line in EVERYDAY.read_text("utf-8").splitlines() if line)


@cache
def _shipped(name: str) -> tuple[str, ...]:
    lines = (DATA / name).read_text("utf-8").splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))


# ---- files -----------------------------------------------------------------------------------------------------------


def _prompts(path: Path) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(line.strip() for line in _lines(path, "--prompts") if line.strip()))
    hint = "write one prompt per line, as in: a photo of a {}."
    for prompt in found:
        if prompt.count("{}") != 1:
            raise UsageError(f"--prompts {path}: {shown(prompt)} needs {{}} once, in the place of the word", hint)
        if UNSAFE.search(prompt):
            raise UsageError(f"--prompts {path}: {shown(prompt)} has a control character", "remove it")
    if not found:
        raise UsageError(f"--prompts {path} has no prompts", hint)
    if len(found) > MOST_PROMPTS:
        raise UsageError(f"--prompts {path} has {len(found):,} prompts", f"the limit is {MOST_PROMPTS}")
    return found


def _lines(path: Path, option: str) -> list[str]:
    """The lines of a text file in UTF-8, without comments."""
    try:
        text = read_bytes(path, MOST_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{option} {path} is not UTF-8: byte {error.start} cannot be read", "save it as UTF-8"
        ) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(
            f"cannot read {option} {path}: {reason}", "give a text file with one entry per line"
        ) from error
    lines = (line.removesuffix("\r") for line in text.split("\n"))
    return [line for line in lines if not line.lstrip().startswith("#")]


def _has_article(prompt: str) -> bool:
    before = prompt.partition("{}")[0].split()
    return bool(before) and before[-1].casefold() in ("a", "an", "the")


def _bare(word: str) -> str:
    first, _, rest = word.partition(" ")
    return rest if rest and first.casefold() in ("a", "an", "the") else word
