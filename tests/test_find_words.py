"""Which tags words mean: names, synonyms, narrower words, plurals, words within names, and mistakes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import loads_any
from hypothesis import given, settings
from hypothesis import strategies as st

from nsnet_cli import words
from nsnet_cli.hierarchy import imagenet_table
from nsnet_cli.words import LONGEST_WORDS, Names, distance, lexicon, normal

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(words.__file__).parent / "data"
WORDNET = Path("/usr/share/wordnet")
KEYS = {name: (key, identifier) for key, (identifier, name) in enumerate(imagenet_table().names.items()) if name}


@pytest.fixture(scope="module")
def names() -> Names:
    """A library in which every tag of ImageNet, and all that stands over them, was seen."""
    return Names((key, identifier, name) for name, (key, identifier) in KEYS.items())


def meant(names: Names, text: str) -> set[str]:
    return {names.name(key) for key in names.match(text).tags}


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("dog", {"dog"}),
        ("dogs", {"dog"}),
        ("DOG ", {"dog"}),
        ("puppy", {"dog"}),
        ("puppies", {"dog"}),
        ("cat", {"cat"}),
        ("kitten", {"cat"}),
        ("bird", {"bird"}),
        ("fish", {"fish"}),
        ("horse", {"horse"}),
        ("foal", {"horse"}),
        ("cow", {"cattle"}),
        ("monkeys", {"monkey"}),
        ("wolves", {"wolf"}),
        ("insect", {"insect"}),
        ("serpent", {"snake"}),
        ("furniture", {"furniture"}),
        ("couch", {"sofa"}),
        ("car", {"car"}),
        ("automobile", {"car"}),
        ("SUV", {"car"}),
        ("truck", {"truck"}),
        ("lorries", {"truck"}),
        ("vehicle", {"vehicle"}),
        ("bicycles", {"bicycle"}),
        ("boats", {"boat"}),
        ("TV", {"television"}),
        ("telephone", {"phone"}),
        ("food", {"food"}),
        ("fruit", {"fruit"}),
        ("mushrooms", {"mushroom"}),
        ("clothing", {"clothing"}),
        ("shoes", {"shoe"}),
        ("musical instruments", {"musical instrument"}),
        ("knives", {"knife"}),
        ("golden retrievers", {"golden retriever"}),
        ("retriever", {"retriever"}),
        ("minivan", {"minivan"}),
        ("glasses", {"glasses"}),
        ("crane", {"crane (bird)", "crane (machine)"}),
        ("crane (bird)", {"crane (bird)"}),
        ("rabbit", {"rabbit"}),
        ("rabbit or hare", {"rabbit or hare"}),
        ("hare", {"hare"}),
        ("carpenter's plane", {"carpenter's plane"}),
        ("carpenters plane", {"carpenter's plane"}),
        ("dog, cat", {"dog", "cat"}),
    ],
)
def test_what_words_mean(names: Names, text: str, tags: set[str]) -> None:
    assert meant(names, text) == tags


def test_every_tag_is_found_by_its_own_name(names: Names) -> None:
    """With 'or' and commas in names, and in the plural where that is no other name."""
    assert [name for name in KEYS if name not in meant(names, name)] == []
    ending = [name for name in KEYS if name[-1] in "abcdegiklmnprtw" and f"{name}s" not in KEYS]
    assert [name for name in ending if name not in meant(names, f"{name}s")] == []


def test_what_has_no_name_counts_as_what_is_below_it(names: Names) -> None:
    assert {"bird", "mammal", "fish"} <= meant(names, "vertebrate")
    assert meant(names, "feline") == {"cat", "wild cat", "big cat"}


def test_a_narrower_word_is_told(names: Names) -> None:
    assert names.match("puppy").instead == ("dog",) and names.match("dog").instead == ()
    assert not names.match("president").known, "not every person"
    assert not names.match("pet").known, "not every animal"


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("dgo", "dog"),
        ("elefant", "elephant"),
        ("cofee", "coffee"),
        ("trukc", "truck"),
        ("aircraft carier", "aircraft carrier"),
    ],
)
def test_a_mistake_is_offered_and_not_guessed(names: Names, text: str, offered: str) -> None:
    found = names.match(text)
    assert not found.known and not found.tags and found.offered[0] == offered


def test_words_that_are_known_and_not_in_the_library() -> None:
    few = Names([(7, KEYS["dog"][1], "dog")])
    assert few.match("puppy").tags == (7,)
    assert few.match("zebra").known and few.match("zebra").tags == ()
    assert few.match("dgo").offered[0] == "dog"


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("monitor", ("computer monitor",)),  # not the lizard
        ("house", ("monastery", "palace")),  # WordNet's house has no name here
        ("van", ()),
    ],
)
def test_what_is_taken_instead_is_told(names: Names, words: str, meant: tuple[str, ...]) -> None:
    assert names.match(words).known and names.match(words).instead == meant


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("police", "police van"),
        ("street", "street sign"),
        ("baby", "baby bed"),
        ("helicopter", None),  # WordNet puts it under what people call airplane
        ("skateboard", None),
        ("light", None),
    ],
)
def test_other_things_are_offered_and_not_shown(names: Names, words: str, offered: str | None) -> None:
    found = names.match(words)
    assert not {"scoreboard", "airplane", "cigarette lighter"} & set(found.instead)
    assert offered is None or (not found.known and offered in found.offered)


def test_own_tags_are_found_by_name_by_words_within_and_by_what_stands_over_them() -> None:
    own = Names(
        [(1, "own:1", "kite surfing"), (2, "own:2", "surfing"), (3, "own:3", "water sports"), (4, "a", "Straße 7")]
    )
    assert own.match("surfing").tags == (2,)
    assert own.match("kite surfing").tags == (1,)
    assert own.match("Water Sport").tags == (3,)
    assert own.match("STRASSE").tags == (4,)
    assert own.match("kite").known, "a bird of ImageNet's, which is not here"
    assert own.match("surfign").offered[0] == "surfing"


def test_two_tags_of_one_name_are_both_found() -> None:
    """As in a library that was tagged with two checkpoints."""
    assert Names([(1, "n02084071", "dog"), (2, "own", "dog"), (3, "x", "cat")]).match("dog").tags == (1, 2)


@settings(deadline=None)
@given(st.text(max_size=2 * LONGEST_WORDS))
def test_no_words_break_it(text: str) -> None:
    found = Names([(1, "n02084071", "dog"), (2, "own:1", "kite surfing")]).match(text)
    assert found.known or not found.tags
    assert normal(text) == normal(normal(text)) or len(text) > LONGEST_WORDS


@pytest.mark.parametrize(
    ("one", "other", "away"), [("dog", "dog", 0), ("dgo", "dog", 1), ("dogs", "dog", 1), ("cat", "dog", 3)]
)
def test_distance(one: str, other: str, away: int) -> None:
    assert distance(one, other, 5) == distance(other, one, 5) == away


# ---- the file --------------------------------------------------------------------------------------------------------


def test_the_words_belong_to_the_hierarchy() -> None:
    ids = {each for table in (lexicon().synonyms, lexicon().narrower) for ids in table.values() for each in ids}
    assert ids <= set(imagenet_table().names)


def test_the_words_have_the_licence() -> None:
    head = (DATA / "imagenet_words.tsv").read_text("utf-8")[:600]
    assert "WordNet 3.0 Copyright 2006 by Princeton University" in head and "LICENSE-wordnet" in head


def test_numpy_is_not_needed_for_words() -> None:
    assert not loads_any("from nsnet_cli.words import Names; Names([]).match('dog')", "numpy")


@pytest.mark.skipif(not WORDNET.is_dir(), reason="WordNet 3.0 is not installed (Debian: wordnet-base)")
def test_the_words_are_what_the_script_writes(tmp_path: Path) -> None:
    written = tmp_path / "words.tsv"
    command = [sys.executable, "tools/make_words.py", "--output", str(written)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert written.read_bytes() == (DATA / "imagenet_words.tsv").read_bytes()
