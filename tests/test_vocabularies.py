"""The named vocabularies that come with nsnet."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import SHARED

import nsnet_cli
from nsnet_cli.errors import WeightsError
from nsnet_cli.types import TagName
from nsnet_cli.weights.rows import VOCABULARIES
from nsnet_cli.weights.vocabulary import load_vocabulary

DATA = Path(nsnet_cli.__file__).parent / "data"


@pytest.mark.parametrize(("vocabulary", "count"), [("kinetics-400", 400), ("kinetics-710", 710)])
def test_the_actions_of_kinetics(vocabulary: str, count: int) -> None:
    tags = load_vocabulary(vocabulary)
    assert len({tag.id for tag in tags}) == len(tags) == count
    assert tags[0] == TagName("riding a bike", "riding a bike")
    assert all(tag.id == tag.name == tag.name.strip() != "" for tag in tags)


def test_the_710_begin_with_the_400_under_names_as_they_were_published() -> None:
    old, new = load_vocabulary("kinetics-400"), load_vocabulary("kinetics-710")
    renamed = {a.name: b.name for a, b in zip(old, new[:400], strict=True) if a != b}
    assert len(renamed) == 13 and renamed["dying hair"] == "dyeing hair"
    assert (new[222].name, new[271].name) == ("hugging baby", "opening wine bottle")
    assert (new[662].name, new[626].name) == ("hugging (not baby)", "opening bottle (not wine)")


@pytest.mark.parametrize("file", ["kinetics400.txt", "kinetics710.txt"])
def test_the_lists_name_their_source_and_licence(file: str) -> None:
    lines = (DATA / file).read_text("utf-8").splitlines()
    head = " ".join(line for line in lines if line.startswith("#"))
    assert "github.com/" in head and "LICENSE-kinetics" in head
    licence = (DATA / "LICENSE-kinetics").read_text("utf-8")
    assert file in licence and "Permission is hereby granted" in licence and "SenseTime X-Lab" in licence
    published = SHARED / "parity" / file
    if published.is_file():
        assert [line for line in lines if not line.startswith("#")] == published.read_text("utf-8").splitlines()


def test_a_name_that_is_no_vocabulary() -> None:
    with pytest.raises(WeightsError, match="no vocabulary named 'kinetics-700'") as raised:
        load_vocabulary("kinetics-700")
    assert all(name in str(raised.value.hint) for name in VOCABULARIES)
