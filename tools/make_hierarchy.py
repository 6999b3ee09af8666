"""Writes nsnet_cli/data/imagenet_hierarchy.tsv: the nodes over each of ImageNet's 1,000 tags, with everyday names.

    python tools/make_hierarchy.py                  # needs WordNet 3.0: apt-get install wordnet-base
    python tools/make_hierarchy.py --review | less  # every inner node with its leaves, to decide on its name

Nodes and relations are WordNet's nouns and hypernyms. Names, and the relations that people would not agree with, are
decided by hand in tools/hierarchy_names.tsv. The same input gives the same bytes.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from nsnet_cli.weights.vocabulary import load_vocabulary

ROOT = Path(__file__).resolve().parents[1]
NOUNS = Path("/usr/share/wordnet/data.noun")
DECISIONS = ROOT / "tools" / "hierarchy_names.tsv"
OUTPUT = ROOT / "nsnet_cli" / "data" / "imagenet_hierarchy.tsv"
MOST_NAMED = 300
HYPERNYMS = ("@", "@i")
HEAD = """\
# What stands over each of ImageNet's 1,000 tags. Written by tools/make_hierarchy.py; change tools/hierarchy_names.tsv.
# Columns: id, name to show (empty: the node is never shown), ids of its parents, with ; between. Parents come first.
# Derived from WordNet 3.0 and changed: names were chosen by hand, some relations were left out or added.
# WordNet 3.0 Copyright 2006 by Princeton University. All rights reserved.
# The full licence is in LICENSE-wordnet, beside this file.
"""

Parents = dict[str, tuple[str, ...]]


@dataclass
class WordNet:
    """The nouns: the first word of each synset, and its hypernyms."""

    words: dict[str, str] = field(default_factory=dict)
    parents: Parents = field(default_factory=dict)


@dataclass
class Decisions:
    """The content of tools/hierarchy_names.tsv."""

    names: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    """The number of leaves under a node when it was named: if it changes, the name may be wrong."""
    cut: list[tuple[str, str]] = field(default_factory=list)
    add: list[tuple[str, str]] = field(default_factory=list)


def read_nouns(path: Path) -> WordNet:
    """Reads lines: offset file type words(hex) word lex_id ... pointers symbol offset type where ... | gloss."""
    nouns = WordNet()
    for line in path.read_text("utf-8").splitlines():
        if not line or line.startswith(" "):  # the licence
            continue
        fields = line.split(" | ", 1)[0].split()
        synset, at = f"n{fields[0]}", 4 + 2 * int(fields[3], 16)
        pointers = [fields[at + 1 + 4 * n : at + 5 + 4 * n] for n in range(int(fields[at]))]
        nouns.words[synset] = fields[4].replace("_", " ")
        nouns.parents[synset] = tuple(f"n{other}" for symbol, other, _, _ in pointers if symbol in HYPERNYMS)
    return nouns


def read_decisions(path: Path) -> Decisions:
    said = Decisions()
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        kind, synset, value, comment = line.split("\t")
        if kind == "name":
            if synset in said.names:
                sys.exit(f"{path}:{number}: {synset} is named twice")
            said.names[synset] = value
            if counted := re.match(r"(\d+) lea(f|ves)\b", comment):
                said.counts[synset] = int(counted[1])
        elif kind in ("cut", "add"):
            (said.cut if kind == "cut" else said.add).append((synset, value))
        else:
            sys.exit(f"{path}:{number}: {kind!r} is not name, cut or add")
    return said


def change_relations(parents: Parents, said: Decisions) -> Parents:
    """WordNet's hypernyms, with relations cut and added as decided by hand."""
    changed = dict(parents)
    for child, parent in said.cut:
        if parent not in changed[child]:
            sys.exit(f"cut {child} {parent}: there is no such relation")
        changed[child] = tuple(other for other in changed[child] if other != parent)
    for child, parent in said.add:
        if parent in changed[child] or parent not in changed:
            sys.exit(f"add {child} {parent}: the relation is there, or {parent} is not in WordNet")
        changed[child] = (*changed[child], parent)
    return changed


def leaves_under(leaves: list[str], parents: Parents) -> dict[str, list[str]]:
    """The leaves of each node that is a leaf or has leaves below it, in the vocabulary's order."""
    under: dict[str, list[str]] = {}
    for leaf in leaves:
        seen, todo = {leaf}, [leaf]
        while todo:
            for parent in parents[todo.pop()]:
                if parent not in seen:
                    seen.add(parent)
                    todo.append(parent)
        for node in seen:
            under.setdefault(node, []).append(leaf)
    return under


def check(said: Decisions, shown: dict[str, str], under: dict[str, list[str]], leaves: dict[str, str]) -> None:
    """Exits if a decision has no effect or is no longer true."""
    faults = [f"{node} {name!r} stands over no leaf" for node, name in said.names.items() if node not in under]
    for node, name in said.names.items():
        if node in leaves and leaves[node] == name:
            faults.append(f"{node} {name!r} is ImageNet's own name")
        elif node in under and node not in leaves and said.counts.get(node) != len(under[node]):
            faults.append(f"{node} {name!r} stands over {len(under[node])} leaves, not {said.counts.get(node)}")
    twice = [name for name, times in Counter(name.lower() for name in shown.values()).items() if times > 1]
    faults += [f"the name {name!r} is given twice" for name in twice]
    named = len(said.names.keys() - leaves.keys())
    if named > MOST_NAMED:
        faults.append(f"{named} inner nodes have names, more than {MOST_NAMED}")
    if faults:
        sys.exit("\n".join(faults))


def in_order(parents: Parents) -> list[str]:
    """Parents before children; among nodes at the same depth, by id."""
    try:
        order = list(TopologicalSorter(parents).static_order())
    except CycleError as error:
        sys.exit(f"the relations have a cycle: {' > '.join(error.args[1])}")
    depth: dict[str, int] = {}
    for node in order:
        depth[node] = 1 + max((depth[parent] for parent in parents[node]), default=0)
    return sorted(order, key=lambda node: (depth[node], node))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nouns", type=Path, default=NOUNS, help="WordNet 3.0's data.noun")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--review", action="store_true", help="print every inner node with its leaves; write nothing")
    options = parser.parse_args()
    nouns, said = read_nouns(options.nouns), read_decisions(DECISIONS)
    leaves = {tag.id: tag.name for tag in load_vocabulary("imagenet-1k")}
    parents = change_relations(nouns.parents, said)
    under = leaves_under(list(leaves), parents)
    shown = leaves | {node: name for node, name in said.names.items() if node in under}
    if options.review:
        for node in sorted(under.keys() - leaves.keys(), key=lambda node: (-len(under[node]), node)):
            below = "; ".join(shown[leaf] for leaf in under[node])
            sys.stdout.write(
                f"{node}\t{shown.get(node, '-')}\t{nouns.words[node]}\t{len(under[node])} leaves: {below}\n"
            )
        return
    check(said, shown, under, leaves)
    kept = {node: parents[node] for node in under}
    rows = [f"{node}\t{shown.get(node, '')}\t{';'.join(kept[node])}\n" for node in in_order(kept)]
    options.output.write_text(HEAD + "".join(rows), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
