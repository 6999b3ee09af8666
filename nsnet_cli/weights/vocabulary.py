"""Vocabularies: the ordered tags that a classifier can give. ImageNet's come with timm, read without importing it."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from nsnet_cli.errors import WeightsError
from nsnet_cli.types import TagName


@cache
def load_vocabulary(name: str) -> tuple[TagName, ...]:
    """The tags of vocabulary `name`, in the order of the classifier's outputs."""
    if name != "imagenet-1k":
        raise WeightsError(f"no vocabulary named {name!r}", "known: imagenet-1k")
    spec = find_spec("timm")
    if spec is None or not spec.submodule_search_locations:
        raise WeightsError("the package timm is not installed; it carries ImageNet's tag names", "pip install timm")
    info = Path(spec.submodule_search_locations[0]) / "data" / "_info"
    lemmas = dict(
        line.split("\t", 1) for line in (info / "imagenet_synset_to_lemma.txt").read_text("utf-8").splitlines() if line
    )
    synsets = (info / "imagenet_synsets.txt").read_text("utf-8").split()
    return tuple(TagName(synset, lemmas[synset].split(",")[0].strip()) for synset in synsets)
