"""Which tags a person's words mean: by name, by synonyms, by narrower words, and by words within names.

Pure functions over WordNet's words for ImageNet's tags (a data file of the package) and over the names of any tags.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from functools import cache, cached_property
from pathlib import Path

from nsnet_cli.hierarchy import imagenet_table
from nsnet_cli.records import dataclass

_DATA = Path(__file__).parent / "data" / "imagenet_words.tsv"
MOST_OFFERED = 3
LONGEST_WORDS = 200
"""Characters of a question. No tag has a longer name."""
ENDINGS = (
    ("ches", "ch"),
    ("shes", "sh"),
    ("sses", "ss"),
    ("xes", "x"),
    ("zes", "z"),
    ("ses", "s"),
    ("men", "man"),
    ("ies", "y"),
    ("oes", "o"),
    ("s", ""),
)
"""Regular plurals, as WordNet undoes them."""


@dataclass(frozen=True, slots=True)
class Matched:
    """What words mean. Ids without tags mean that the words are known and nothing in the library has them."""

    tags: tuple[int, ...] = ()
    """Keys of the library's tags."""
    known: bool = False
    instead: tuple[str, ...] = ()
    """Where the words are not a name or a synonym of a tag: the names of what was taken instead, as dog for puppy."""
    offered: tuple[str, ...] = ()
    """Where nothing is known: names that are spelled alike, the best first."""


@dataclass(frozen=True, slots=True)
class Written:
    """The words that find a library's tags. A page looks words up in it, by the rules of `Names.match`."""

    tables: tuple[dict[str, tuple[int, ...]], ...]
    """Keys of tags by word: names, other spellings of them, synonyms, narrower words. A word is in one of them."""
    instead: tuple[str, ...]
    """Words that are a name or a synonym of something that has no name to show: the user is told what was taken."""
    own: tuple[int, ...]
    """Tags that are not WordNet's: any word of their names finds them."""
    plurals: dict[str, tuple[str, ...]]
    """Irregular plurals of their last words, and the singulars."""


@dataclass(frozen=True, eq=False)
class Lexicon:
    """Words of ImageNet's tags and of all that stands over them."""

    synonyms: Mapping[str, tuple[str, ...]] = field(repr=False)
    """Ids by word."""
    narrower: Mapping[str, tuple[str, ...]] = field(repr=False)
    plurals: Mapping[str, tuple[str, ...]] = field(repr=False)

    def forms(self, words: str) -> list[str]:
        """The words as they are, then with their last word in the singular: 'police dogs', 'police dog'."""
        *before, last = words.split(" ")
        singular = [*self.plurals.get(last, ())]
        singular += [last.removesuffix(end) + one for end, one in ENDINGS if last.endswith(end) and len(last) > 3]
        return list(dict.fromkeys([words, *(" ".join([*before, each]) for each in singular if each)]))


@cache
def lexicon() -> Lexicon:
    """Returns WordNet's words. The file has a line per node, then irregular plurals."""
    synonyms: dict[str, list[str]] = {}
    narrower: dict[str, list[str]] = {}
    plurals: dict[str, list[str]] = {}
    for line in _DATA.read_text("utf-8").splitlines():
        if line[0] == "#" or line == "plural":
            continue
        first, *columns = line.split("\t")
        if len(columns) == 1:
            plurals.setdefault(first, []).append(columns[0])
            continue
        for table, words in zip((synonyms, narrower), columns, strict=True):
            for word in filter(None, words.split(";")):
                table.setdefault(normal(word), []).append(first)
    frozen = ({word: tuple(ids) for word, ids in table.items()} for table in (synonyms, narrower, plurals))
    return Lexicon(*frozen)


def normal(text: str) -> str:
    """Words in one spelling: small letters, one space between them, no other signs."""
    return " ".join(re.findall(r"[^\W_]+", text[:LONGEST_WORDS].casefold().replace("'", "").replace("\u2019", "")))


def spellings(name: str) -> Iterator[str]:
    """What a name is called: 'crane (bird)' is also 'crane', 'rabbit or hare' also 'rabbit' and 'hare'."""
    yield normal(name)
    bare = re.sub(r"\s*\([^)]*\)", "", name)
    yield normal(bare)
    if " or " in bare:
        yield from map(normal, bare.split(" or "))


class Names:
    """The names of a library's tags, and of ImageNet's tags, and what words mean among them."""

    def __init__(self, tags: Iterable[tuple[int, str, str]]) -> None:
        """`tags`: key, id and name of each tag of the library."""
        self._table = imagenet_table()
        self._names: dict[int, str] = {}
        self._own: set[int | str] = set()
        self._exact: dict[str, set[int | str]] = {}
        self._loose: dict[str, set[int | str]] = {}
        self._keys: dict[str, set[int]] = {}
        for key, identifier, name in tags:
            self._names[key] = name
            self._keys.setdefault(identifier, set()).add(key)
            self._add(key, name)
            if identifier not in self._table.names:
                self._own.add(key)
                for one in lexicon().forms(normal(name))[1:]:  # it may be called by a plural
                    self._loose.setdefault(one, set()).add(key)
        for identifier, name in self._table.names.items():
            if name:
                self._add(identifier, name)

    def match(self, words: str) -> Matched:
        """Which tags of the library the words mean; commas separate alternatives."""
        parts = [part for part in map(normal, words.split(",")) if part]
        found = [self._match(part) for part in parts]
        known = [each for each in found if each.known]
        if not known:
            offered = dict.fromkeys(name for each in found for name in each.offered)
            return Matched(offered=tuple(offered)[:MOST_OFFERED])
        tags = dict.fromkeys(key for each in known for key in each.tags)
        instead = dict.fromkeys(name for each in known for name in each.instead)
        return Matched(tuple(tags), True, tuple(instead))

    def name(self, key: int) -> str:
        return self._names[key]

    def written(self) -> Written:
        """All words that find a tag of the library."""
        tables, known = list[dict[str, tuple[int, ...]]](), set[str]()
        for table in (self._exact, self._loose, lexicon().synonyms, lexicon().narrower):
            new = [word for word in table if word not in known]
            found = ((word, self._of_library(table[word])) for word in new)
            tables.append({word: keys for word, keys in found if keys})
            known |= table.keys()
        last = {word.rpartition(" ")[2] for table in tables for word in table}
        plurals = {many: ones for many, ones in lexicon().plurals.items() if last & set(ones)}
        instead = [word for word in tables[2] if self._has_unnamed(lexicon().synonyms[word])]
        own = sorted(tag for tag in self._own if isinstance(tag, int))
        return Written(tuple(tables), tuple(instead), tuple(own), plurals)

    # ---- parts ----

    def _add(self, tag: int | str, name: str) -> None:
        exact, *loose = spellings(name)
        self._exact.setdefault(exact, set()).add(tag)
        for words in loose:
            self._loose.setdefault(words, set()).add(tag)

    def _match(self, words: str) -> Matched:
        words_of = lexicon()
        forms = words_of.forms(words)
        for table in (self._exact, self._loose, words_of.synonyms):
            for form in forms:
                if form in table:
                    return self._matched(table[form], told=self._has_unnamed(table[form]))
        for form in forms:
            if form in words_of.narrower:
                return self._matched(words_of.narrower[form], told=True)
        kinds = {  # a police van is a van, and not police; of own tags, any word will do
            tag
            for form in forms
            for tag, name in self._with_words(form)
            if name.endswith(f" {form}") or tag in self._own
        }
        if kinds:
            return self._matched(kinds, told=True)
        within = dict.fromkeys(name for form in forms for _, name in self._with_words(form))
        return Matched(offered=(*sorted(within, key=len), *self._alike(words))[:MOST_OFFERED])

    def _has_unnamed(self, tags: Iterable[int | str]) -> bool:
        return any(isinstance(each, str) and not self._table.names[each] for each in tags)

    def _matched(self, tags: Iterable[int | str], *, told: bool) -> Matched:
        """`told`: the user is told which tags these are."""
        named = [self._called(tag) for tag in tags]
        return Matched(self._of_library(tags), True, tuple(name for names in named for name in names) if told else ())

    def _called(self, tag: int | str) -> list[str]:
        """The name of a tag, or those of the named tags below it."""
        if isinstance(tag, int):
            return [self._names[tag]]
        name = self._table.names[tag]
        return [name] if name else sorted(str(self._table.names[below]) for below in self._named_below(tag))

    def _of_library(self, tags: Iterable[int | str]) -> tuple[int, ...]:
        """Keys of these tags. What has no name, or is not in the library, counts as the named tags below it."""
        keys: set[int] = set()
        for tag in tags:
            if isinstance(tag, int):
                keys.add(tag)
            elif tag in self._keys:
                keys |= self._keys[tag]
            else:
                keys |= {key for below in self._named_below(tag) for key in self._keys.get(below, ())}
        return tuple(sorted(keys))

    def _named_below(self, identifier: str) -> set[str]:
        """The most general tags with a name below one without a name."""
        found, todo = set(), [identifier]
        while todo:
            for child in self._children.get(todo.pop(), ()):
                if self._table.names[child]:
                    found.add(child)
                else:
                    todo.append(child)
        return found

    @cached_property
    def _children(self) -> dict[str, list[str]]:
        children: dict[str, list[str]] = {}
        for child, parents in self._table.parents.items():
            for parent in parents:
                children.setdefault(parent, []).append(child)
        return children

    def _with_words(self, form: str) -> Iterator[tuple[int | str, str]]:
        """Tags whose name has all these words, and that name: 'retriever' is in 'golden retriever'."""
        wanted = set(form.split(" "))
        for table in (self._exact, self._loose):
            for name, tags in table.items():
                if wanted <= set(name.split(" ")):
                    yield from ((tag, name) for tag in tags)

    def _alike(self, words: str) -> list[str]:
        """Names and synonyms that are spelled alike. Those of the library come first, then the shorter ones."""
        most = 1 if len(words) < 6 else 2
        near: list[tuple[int, bool, int, str]] = []
        for table in (self._exact, self._loose, lexicon().synonyms, lexicon().narrower):
            for name, tags in table.items():
                if abs(len(name) - len(words)) <= most and (away := distance(words, name, most)) <= most:
                    near.append((away, not self._of_library(tags), len(name), name))  # type: ignore[arg-type]
        return list(dict.fromkeys(name for *_, name in sorted(near)))[:MOST_OFFERED]


def distance(one: str, other: str, most: int) -> int:
    """Letters to add, drop, change or swap to make one word the other. Above `most` it is only known to be above."""
    before, row = list[int](), list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        older, before, row = before, row, [i]
        for j, wanted in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
    return row[-1]
