"""Writes nsnet_cli/data/imagenet_words.tsv: words that people may search for, and the nodes that they find.

    python tools/make_words.py                  # needs WordNet 3.0: apt-get install wordnet-base

Words are WordNet's synonyms of each node of nsnet_cli/data/imagenet_hierarchy.tsv, everyday words from
tools/search_words.tsv, and narrower words one step below a node ("puppy" below dog). A synonym counts only in one of
its two most common senses ("monitor" is not the lizard), a narrower word only in its most common one. A node that
people call by another name than WordNet has no narrower words: "helicopter" stands below what is called airplane.
The same input gives the same bytes.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from nsnet_cli.hierarchy import Hierarchy, imagenet_table
from nsnet_cli.weights.vocabulary import load_vocabulary
from nsnet_cli.words import normal

ROOT = Path(__file__).resolve().parents[1]
WORDNET = Path("/usr/share/wordnet")
OWN = ROOT / "tools" / "search_words.tsv"
OUTPUT = ROOT / "nsnet_cli" / "data" / "imagenet_words.tsv"
MOST_LEAVES = 250
"""A node over more of ImageNet's tags is too general for narrower words: "pet" should not find every animal."""
SENSES = 2
"""How many of a word's senses count."""
PERSON = "n00007846"
"""Has no narrower words: "president" should not find every person."""
HEAD = """\
# Words that find ImageNet's tags and what stands over them. Written by tools/make_words.py; change that, or
# tools/search_words.tsv. Columns: id, its words, narrower words, with ; between. After "plural": plural, singular.
# Derived from WordNet 3.0 and changed: words were chosen and added.
# WordNet 3.0 Copyright 2006 by Princeton University. All rights reserved.
# The full licence is in LICENSE-wordnet, beside this file.
"""

Synsets = dict[str, tuple[tuple[str, ...], tuple[str, ...]]]


def read_synsets(path: Path) -> Synsets:
    """Words and hyponyms of each noun. A line: offset file type words(hex) word lex_id ... pointers symbol offset."""
    found: Synsets = {}
    for line in path.read_text("utf-8").splitlines():
        if not line or line.startswith(" "):  # the licence
            continue
        fields = line.split(" | ", 1)[0].split()
        count = int(fields[3], 16)
        at = 4 + 2 * count
        pointers = [fields[at + 1 + 4 * n : at + 3 + 4 * n] for n in range(int(fields[at]))]
        words = tuple(word(fields[4 + 2 * n]) for n in range(count))
        found[f"n{fields[0]}"] = words, tuple(f"n{other}" for symbol, other in pointers if symbol in ("~", "~i"))
    return found


def word(text: str) -> str:
    return text.replace("_", " ").lower()


def senses(path: Path) -> dict[str, list[str]]:
    """The synsets of each noun, most common first. A line: lemma n senses pointers symbol ... senses tagged offset."""
    found = {}
    for line in path.read_text("utf-8").splitlines():
        if line and not line.startswith(" "):
            fields = line.split()
            found[word(fields[0])] = [f"n{offset}" for offset in fields[6 + int(fields[3]) :]]
    return found


def plurals(path: Path, words: set[str]) -> Iterator[tuple[str, str]]:
    """Irregular plurals of last words: mice, mouse."""
    last = {each.split(" ")[-1] for each in words}
    for line in path.read_text("utf-8").splitlines():
        plural, *singular = (word(each) for each in line.split())
        for each in singular:
            if each in last and each != plural:
                yield plural, each


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wordnet", type=Path, default=WORDNET, help="the folder of WordNet 3.0")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    synsets, meant = read_synsets(options.wordnet / "data.noun"), senses(options.wordnet / "index.noun")
    nodes = imagenet_table().names
    words = {node: dict.fromkeys(each for each in synsets[node][0] if node in meant[each][:SENSES]) for node in nodes}
    for line in OWN.read_text("utf-8").splitlines():
        if not line.startswith("#"):
            own, node = line.split("\t")
            if node not in nodes:
                sys.exit(f"{OWN}: {node} is not in the hierarchy")
            words[node][own] = None
    members = Hierarchy(load_vocabulary("imagenet-1k"))
    leaves = Counter(node for tag in members.vocabulary for node in (tag.id, *members.above(tag.id)))
    known = {each for of in words.values() for each in of}
    narrower: dict[str, list[str]] = {}
    for node in nodes:
        below = [child for child in synsets[node][1] if child not in nodes]
        named = normal(nodes[node]) in map(normal, synsets[node][0])
        if named and node != PERSON and leaves[node] <= MOST_LEAVES:
            candidates = dict.fromkeys(each for child in below for each in synsets[child][0] if meant[each][0] == child)
            narrower[node] = [each for each in candidates if each not in known]
    rows = [f"{node}\t{';'.join(of)}\t{';'.join(narrower.get(node, ()))}\n" for node, of in words.items()]
    known |= {each for of in narrower.values() for each in of}
    rows += ["plural\n", *(f"{plural}\t{one}\n" for plural, one in plurals(options.wordnet / "noun.exc", known))]
    options.output.write_text(HEAD + "".join(rows), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
