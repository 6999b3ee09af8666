"""The hierarchy: it has every tag of ImageNet and everyday names, and its sums over nodes are right."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import loads_any
from hypothesis import given
from hypothesis import strategies as st

from nsnet_cli import hierarchy
from nsnet_cli.errors import UsageError
from nsnet_cli.hierarchy import Hierarchy, imagenet_table, own_table
from nsnet_cli.types import TagName
from nsnet_cli.weights.vocabulary import load_vocabulary

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(hierarchy.__file__).with_name("data")
NOUNS = Path("/usr/share/wordnet/data.noun")
NOBODY_SAYS = """entity; physical entity; object; whole; matter; artifact; instrumentality; instrument; conveyance;
covering; device; equipment; implement; mechanism; commodity; consumer goods; structure; living
thing; organism; vertebrate; chordate; placental; carnivore; canine; feline; ungulate; domestic
animal; working dog; hunting dog; substance; abstraction; container; vessel; craft; garment;
furnishing; relation; part; solid"""


@pytest.fixture(scope="module")
def imagenet() -> Hierarchy:
    return Hierarchy(load_vocabulary("imagenet-1k"))


def node_of(imagenet: Hierarchy, name: str) -> str:
    return next(node.id for node in imagenet.nodes if node.name == name)


def test_every_tag_of_imagenet_is_in_the_table_and_has_a_name(imagenet: Hierarchy) -> None:
    names = imagenet_table().names
    assert all(names.get(tag.id) for tag in imagenet.vocabulary) and len(imagenet.vocabulary) == 1000
    assert [node.id for node in imagenet.nodes[:1000]] == [tag.id for tag in imagenet.vocabulary]


@pytest.mark.parametrize(
    ("tag", "line"),
    [
        ("Egyptian cat", ["cat", "mammal", "animal"]),
        ("goldfish", ["fish", "animal"]),
        ("mountain bike", ["bicycle", "wheeled vehicle", "vehicle"]),
        ("golden retriever", ["retriever", "dog", "mammal", "animal"]),
        ("ibex", ["goat", "hoofed animal", "mammal", "animal"]),
        ("rooster", ["chicken", "bird", "animal"]),
        ("sports car", ["car", "motor vehicle", "wheeled vehicle", "vehicle"]),
        ("grand piano", ["piano", "musical instrument"]),
        ("pizza", ["meal", "food"]),
        ("banana", ["fruit", "fruit or vegetable", "food"]),
        ("barbell", ["weights", "exercise equipment", "sports equipment"]),
        ("volcano", ["mountain", "landscape"]),
    ],
)
def test_ancestors_are_everyday_words_nearest_first(imagenet: Hierarchy, tag: str, line: list[str]) -> None:
    assert [over.name for over in imagenet.ancestors(node_of(imagenet, tag))] == line


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        ("wig", "clothing"),
        ("hay", "food"),
        ("espresso", "food"),
        ("shopping cart", "vehicle"),
        ("rocket or missile", "vehicle"),
        ("minivan", "truck"),
        ("punching bag", "ball"),
        ("table lamp", "furniture"),
        ("grand piano", "percussion instrument"),
        ("meat loaf", "bread"),
        ("coyote", "wolf"),
        ("snowmobile", "wheeled vehicle"),
    ],
)
def test_odd_relations_of_wordnet_are_left_out(imagenet: Hierarchy, tag: str, name: str) -> None:
    assert not imagenet.descends(node_of(imagenet, tag), node_of(imagenet, name))


def test_descends_takes_any_node_and_no_node_descends_from_itself(imagenet: Hierarchy) -> None:
    tabby, cat, carnivore = "n02123045", "n02121808", "n02075296"
    assert imagenet.descends(tabby, cat) and imagenet.descends(cat, carnivore) and imagenet.descends(tabby, carnivore)
    assert not imagenet.descends(cat, tabby) and not imagenet.descends(cat, cat)
    assert not imagenet.descends("unknown", cat) and imagenet.ancestors("unknown") == ()


def test_names_are_peoples_words(imagenet: Hierarchy) -> None:
    inner = imagenet.nodes[1000:]
    assert 200 <= len(inner) <= 300
    assert not {node.name for node in inner} & {word.strip() for word in NOBODY_SAYS.split(";")}
    assert all(node.name == node.name.strip() for node in imagenet.nodes)


def test_names_are_unique_so_no_line_repeats_a_word(imagenet: Hierarchy) -> None:
    names = [node.name.lower() for node in imagenet.nodes]
    assert sorted(names) == sorted(set(names))


def test_the_table_has_parents_first_and_no_node_without_leaves() -> None:
    table, seen = imagenet_table(), set()
    for node, parents in table.parents.items():
        assert seen.issuperset(parents)
        seen.add(node)
    over = {parent for parents in table.parents.values() for parent in parents}
    leaves = {tag.id for tag in load_vocabulary("imagenet-1k")}
    assert seen == over | leaves and not over & leaves


def test_sums_over_nodes(imagenet: Hierarchy) -> None:
    members = imagenet.members
    assert members.shape == (len(imagenet.nodes), 1000) and members.dtype == bool
    assert np.array_equal(members[:1000], np.eye(1000, dtype=bool))
    rows = [node.id for node in imagenet.nodes]
    dog = members[rows.index(node_of(imagenet, "dog"))]
    assert dog.sum() == 118 and dog[151] and not dog[281]  # Chihuahua; tabby
    scores = np.zeros(1000)
    scores[[281, 285]] = 0.3, 0.4  # tabby, Egyptian cat
    assert (scores @ members.T)[rows.index(node_of(imagenet, "cat"))] == pytest.approx(0.7)
    with pytest.raises(ValueError, match="read-only"):
        members[0, 0] = False


def test_a_part_of_imagenet_and_unknown_tags() -> None:
    some = Hierarchy((TagName("juggling", "juggling"), TagName("n02124075", "Egyptian cat")))
    assert [node.name for node in some.nodes] == ["juggling", "Egyptian cat", "animal", "mammal", "cat"]
    assert some.members.tolist() == [[True, False], [False, True], [False, True], [False, True], [False, True]]


# ---- own vocabularies ------------------------------------------------------------------------------------------------


def test_own_rows_in_any_order() -> None:
    rows = [
        ("tabby", "tabby", ["cat"]),
        ("cat", "cat", ["mammal"]),
        ("animal", "animal", []),
        ("mammal", "", ["animal"]),
    ]
    own = Hierarchy((TagName("tabby", "tabby"), TagName("cat", "cat")), own_table(rows))
    assert [over.name for over in own.ancestors("tabby")] == ["cat", "animal"]
    assert own.nodes == (TagName("tabby", "tabby"), TagName("cat", "cat"), TagName("animal", "animal"))
    assert own.members.tolist() == [[True, False], [True, True], [True, True]]


def test_nearest_first_even_if_one_way_up_is_short() -> None:
    rows = [("dog", "dog", ["animal", "mammal"]), ("mammal", "mammal", ["animal"]), ("animal", "animal", [])]
    own = Hierarchy((TagName("dog", "dog"),), own_table(rows))
    assert [over.name for over in own.ancestors("dog")] == ["mammal", "animal"]


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        ([("cat", "cat", ["cat"])], ["'cat'", "cat < cat"]),
        ([("a", "a", ["b"]), ("b", "b", ["c"]), ("c", "c", ["a"])], ["its own ancestor", "a < b < c"]),
        ([("cat", "cat", ["mamal"])], ["'cat'", "'mamal'", "not declared"]),
        ([("cat", "cat", []), ("cat", "cat", [])], ["'cat'", "twice"]),
    ],
)
def test_mistakes_in_own_rows_name_the_tag(rows: list[tuple[str, str, list[str]]], named: list[str]) -> None:
    with pytest.raises(UsageError) as error:
        own_table(rows)
    assert all(part in str(error.value) for part in named)


@st.composite
def random_rows(draw: st.DrawFn) -> tuple[list[tuple[str, str, list[str]]], list[str]]:
    """Rows of an acyclic graph in any order, and a vocabulary of some of its nodes."""
    count = draw(st.integers(1, 9))
    rows = []
    for n in range(count):
        parents = draw(st.lists(st.integers(0, n - 1), max_size=3)) if n else []
        rows.append((f"t{n}", draw(st.sampled_from(["", f"name {n}"])), [f"t{parent}" for parent in parents]))
    vocabulary = draw(st.lists(st.sampled_from([row[0] for row in rows]), min_size=1, unique=True))
    return draw(st.permutations(rows)), vocabulary


@given(random_rows())
def test_members_and_ancestors_against_a_slow_reference(
    drawn: tuple[list[tuple[str, str, list[str]]], list[str]],
) -> None:
    rows, vocabulary = drawn
    parents = {identifier: over for identifier, _, over in rows}
    names = {identifier: name for identifier, name, _ in rows}

    def stands_over(top: str, node: str) -> bool:
        return any(top == parent or stands_over(top, parent) for parent in parents[node])

    own = Hierarchy(tuple(TagName(node, f"tag {node}") for node in vocabulary), own_table(rows))
    shown = [node for node in names if names[node] and any(stands_over(node, tag) for tag in vocabulary)]
    ids = [node.id for node in own.nodes]
    assert ids[: len(vocabulary)] == vocabulary and set(ids) == {*vocabulary, *shown} and len(ids) == len(set(ids))
    expected = [[node == tag or stands_over(node, tag) for tag in vocabulary] for node in ids]
    assert own.members.tolist() == expected
    for node in names:
        line = [over.id for over in own.ancestors(node)]
        assert set(line) == {top for top in names if names[top] and stands_over(top, node)}
        assert not any(stands_over(near, far) for n, near in enumerate(line) for far in line[n + 1 :])
        assert all(own.descends(node, top) == stands_over(top, node) for top in names)


# ---- the file --------------------------------------------------------------------------------------------------------


def test_the_licence_is_packaged_with_the_table() -> None:
    head = (DATA / "imagenet_hierarchy.tsv").read_text("utf-8").partition("\nn")[0]
    licence = (DATA / "LICENSE-wordnet").read_text("utf-8")
    assert "WordNet 3.0 Copyright 2006 by Princeton University" in head and "LICENSE-wordnet" in head
    assert "WordNet 3.0 Copyright 2006 by Princeton University" in licence and 'PROVIDED "AS IS"' in licence


def test_numpy_is_not_needed_for_names_and_parents() -> None:
    code = (
        "from nsnet_cli.hierarchy import Hierarchy; from nsnet_cli.types import TagName\n"
        "own = Hierarchy((TagName('n02124075', 'Egyptian cat'),)); own.ancestors('n02124075'); own.nodes"
    )
    assert not loads_any(code, "numpy")


@pytest.mark.skipif(not NOUNS.is_file(), reason="WordNet 3.0 is not installed (Debian: wordnet-base)")
def test_the_table_is_what_the_script_writes(tmp_path: Path) -> None:
    written = tmp_path / "hierarchy.tsv"
    command = [sys.executable, "tools/make_hierarchy.py", "--output", str(written)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert written.read_bytes() == (DATA / "imagenet_hierarchy.tsv").read_bytes()
