"""Vocabularies: the tags of a classifier, in order.

ImageNet's are read from timm's files, without importing it. Those of Kinetics are in nsnet's own `data/`.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nsnet_cli.errors import WeightsError
from nsnet_cli.types import TagName
from nsnet_cli.weights.fields import Place, check, read_bytes
from nsnet_cli.weights.rows import VOCABULARIES
from nsnet_cli.weights.schema import MOST_TAGS, TAGS, VOCABULARY, VOCABULARY_BYTES


def load_vocabulary(vocabulary: str | tuple[TagName, ...] | None) -> tuple[TagName, ...]:
    """The tags of a row's vocabulary, in the order of the classifier's outputs. Raises WeightsError.

    `vocabulary` is one of VOCABULARIES, the path of a file, the tags themselves, or None for no tags. A file is JSON (a
    list of names, or of {"id", "name"}) or text with one tag per line, `name` or `id<TAB>name`.
    """
    if vocabulary is None:
        return ()
    if isinstance(vocabulary, tuple):
        return vocabulary
    if vocabulary == "imagenet-1k":
        return _imagenet()
    if vocabulary in VOCABULARIES:
        return _kinetics(vocabulary)
    path = Path(vocabulary)
    if not path.is_absolute():
        raise WeightsError(
            f"no vocabulary named {vocabulary!r}",
            f"use {', '.join(VOCABULARIES)} or the path of a file of names",
            "bad_vocabulary",
        )
    return _from_file(path)


def checked_vocabulary(value: Any, place: Place) -> tuple[TagName, ...]:
    """The tags of a config.json: a list, or a named vocabulary.

    Never a file: a checkpoint refers to nothing outside its folder. Raises WeightsError.
    """
    if isinstance(value, str):
        return load_vocabulary(check(value, VOCABULARY, place))
    tags = tuple(TagName(tag["id"], tag["name"]) for tag in check(value, TAGS, place))
    if len({tag.id for tag in tags}) != len(tags):
        raise place.wrong("names a tag twice")
    return tags


@cache
def _imagenet() -> tuple[TagName, ...]:
    spec = find_spec("timm")
    if spec is None or not spec.submodule_search_locations:
        raise WeightsError("the package timm, which has ImageNet's tag names, is not installed", "pip install timm")
    info = Path(spec.submodule_search_locations[0]) / "data" / "_info"
    synsets = (info / "imagenet_synsets.txt").read_text("utf-8").split()
    wanted = set(synsets)  # of 21,841 lines: an id of nine characters, a tab, names
    lines = (info / "imagenet_synset_to_lemma.txt").read_text("utf-8").split("\n")
    lemmas = {line[:9]: line[10:] for line in lines if line[:9] in wanted}
    return tuple(TagName(synset, lemmas[synset].split(",")[0].strip()) for synset in synsets)


@cache
def _kinetics(vocabulary: str) -> tuple[TagName, ...]:
    """The actions of Kinetics. They have no ids, so a name is its own id: most are the same in 400 and in 710.

    The order is UniFormer's and VideoMAE's. torchvision's networks have the 400 in alphabetical order.
    """
    named, in_order = vocabulary.removesuffix("-sorted"), vocabulary.endswith("-sorted")
    path = Path(__file__).parents[1] / "data" / f"{named.replace('-', '')}.txt"
    names = [line for line in path.read_text("utf-8").splitlines() if not line.startswith("#")]
    return tuple(TagName(name, name) for name in (sorted(names) if in_order else names))


@cache
def _from_file(path: Path) -> tuple[TagName, ...]:
    try:
        text = read_bytes(path, VOCABULARY_BYTES).decode("utf-8-sig")
        tags = _json_tags(text) if path.suffix == ".json" else _text_tags(text)
        "".join(tag.id + tag.name for tag in tags).encode()  # half a character cannot be written
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise WeightsError(
            f"cannot read the vocabulary {path}: {error}",
            "write one tag per line, or a JSON list of names",
            "bad_vocabulary",
        ) from error
    if len(tags) > MOST_TAGS:
        raise WeightsError(
            f"the vocabulary {path} has {len(tags):,} tags", f"the limit is {MOST_TAGS:,}", "bad_vocabulary"
        )
    if not tags:
        raise WeightsError(
            f"the vocabulary {path} is empty", "write one tag per line, in the order of the outputs", "bad_vocabulary"
        )
    if len({tag.id for tag in tags}) != len(tags):
        twice = Counter(tag.id for tag in tags).most_common(1)[0][0]
        raise WeightsError(f"the vocabulary {path} has {twice!r} twice", "list each id once", "bad_vocabulary")
    return tags


def _json_tags(text: str) -> tuple[TagName, ...]:
    entries = json.loads(text)
    if not isinstance(entries, list):
        raise ValueError("it is not a JSON list")
    return tuple(
        TagName(entry, entry) if isinstance(entry, str) else TagName(str(entry["id"]), str(entry["name"]))
        for entry in entries
    )


def _text_tags(text: str) -> tuple[TagName, ...]:
    tags = []
    for line in text.splitlines():
        if not line.strip():
            continue
        identifier, tab, name = line.strip().partition("\t")
        tags.append(TagName(identifier.strip(), name.strip() if tab else identifier.strip()))
    return tuple(tags)
