"""What a network is: text that changes whenever its outputs can change. It enters exports, features and results."""

from __future__ import annotations

import json

from nsnet_cli.weights.rows import VOCABULARIES, NetworkUse, Source
from nsnet_cli.weights.vocabulary import load_vocabulary


def network_identity(use: NetworkUse) -> str:
    """Everything that can change a network's outputs: weights, preprocessing, input size, vocabulary."""
    row = use.network
    hashes = sorted(set(map(source_identity, row.sources)))
    named = row.vocabulary is None or row.vocabulary in VOCABULARIES
    words = [row.vocabulary if named else [tag.id for tag in load_vocabulary(row.vocabulary)]]
    parts = [row.architecture, hashes, row.mean, row.std, row.interpolation, row.crop, use.size_px, words]
    if row.family != "timm":  # left out for timm: what was kept before there were families stays valid
        parts += [row.family, row.frames, row.stride_s]
    return json.dumps(parts)


def source_identity(source: Source) -> str:
    """The hash of a source's file; without one, the revision and name that it is pinned by."""
    return source.sha256 or f"{getattr(source, 'revision', '')}:{source.file}"
