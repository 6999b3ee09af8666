"""The truth file of real footage: tags that a person who looks agrees with (benchmarks/real_footage.csv)."""

from __future__ import annotations

import csv
import hashlib
import re
from collections import Counter
from pathlib import Path

import pytest

from nsnet_cli.weights.vocabulary import load_vocabulary

TRUTH = Path(__file__).resolve().parents[1] / "benchmarks" / "real_footage.csv"
WORDNET = Path("/usr/share/wordnet/data.noun")  # Debian's wordnet-base
COLUMNS = ["path", "source", "part", "right", "unjudged", "note"]


def read_truth() -> list[dict[str, str]]:
    with TRUTH.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(line for line in file if not line.startswith("#"))
        assert reader.fieldnames == COLUMNS
        return list(reader)


def ids_of(row: dict[str, str], column: str) -> list[str]:
    return [each for each in row[column].split(";") if each]


@pytest.fixture(scope="module")
def hypernyms() -> dict[str, set[str]]:
    """Each noun of WordNet 3.0 and its direct hypernyms."""
    if not WORDNET.is_file():
        pytest.skip(f"needs WordNet 3.0 in {WORDNET} (apt-get install wordnet-base)")
    lines = [line for line in WORDNET.read_text("latin-1").splitlines() if not line.startswith(" ")]
    return {f"n{line[:8]}": {f"n{offset}" for offset in re.findall(r"@i? (\d{8}) n ", line)} for line in lines}


def above(node: str, hypernyms: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    todo = [node]
    while todo:
        new = hypernyms[todo.pop()] - found
        found |= new
        todo += new
    return found


def test_every_row_is_whole() -> None:
    rows = read_truth()
    assert len(rows) >= 150
    assert all(None not in row and None not in row.values() for row in rows)
    assert all(row["path"] and row["source"] and row["note"] for row in rows)
    assert all(re.fullmatch(r"n\d{8}", each) for row in rows for each in ids_of(row, "right") + ids_of(row, "unjudged"))


def test_clips_and_their_ids_are_listed_once() -> None:
    rows = read_truth()
    assert [path for path, times in Counter(row["path"] for row in rows).items() if times > 1] == []
    for row in rows:
        ids = ids_of(row, "right") + ids_of(row, "unjudged")
        assert len(set(ids)) == len(ids), row["path"]


def test_no_source_is_in_both_parts_and_its_name_decides_the_part() -> None:
    rows = read_truth()
    for row in rows:
        odd = hashlib.sha256(f"114/{row['source']}".encode()).digest()[0] % 2
        assert row["part"] == ("calibration" if odd else "test"), row["path"]
    for wanted in ({True, False}, {True}):  # of all clips, and of those with something to name
        parts = Counter(row["part"] for row in rows if bool(row["right"]) in wanted)
        assert min(parts["calibration"], parts["test"]) >= 0.4 * parts.total()


def test_every_id_is_a_class_or_an_ancestor_of_one(hypernyms: dict[str, set[str]]) -> None:
    classes = {tag.id for tag in load_vocabulary("imagenet-1k")}
    known = classes.union(*(above(each, hypernyms) for each in classes))
    for row in read_truth():
        unknown = set(ids_of(row, "right") + ids_of(row, "unjudged")) - known
        assert not unknown, row["path"]


def test_only_the_most_specific_ids_are_written(hypernyms: dict[str, set[str]]) -> None:
    for row in read_truth():
        right = ids_of(row, "right")
        implied = set().union(*(above(each, hypernyms) for each in right))
        assert not implied & set(right + ids_of(row, "unjudged")), row["path"]


def test_every_clip_exists(shared_data: Path) -> None:
    assert [row["path"] for row in read_truth() if not (shared_data / row["path"]).is_file()] == []
