"""The head of image-text checkpoints: scores of a user's words, from embeddings of words and of images.

A score says how well an image fits one word, whatever other words there are:

- SigLIP was trained to say so: the sigmoid of scale x cosine + bias, with its own scale and bias.
- CLIP was trained to choose among captions, so its cosine has no zero of its own. It is measured in steps of the word's
  own spread over the reference frames, pictures that show nothing in particular, and STEPS of them are a half.
- Some words fit any picture. So the score is multiplied by the share of reference frames that the image beats, as a
  normal distribution has it. This changes little for a word that stands out.

No score is a probability until `nsnet calibrate` has seen labels. No numpy at the top, as in heads.py.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nsnet_cli.errors import WeightsError
from nsnet_cli.types import TagName
from nsnet_cli.weights.fields import regular_size
from nsnet_cli.weights.folders import cache_folder
from nsnet_cli.weights.identity import network_identity, source_identity
from nsnet_cli.weights.rows import NetworkRow, NetworkUse
from nsnet_cli.weights.schema import MODEL_BYTES
from nsnet_cli.weights.wordlist import WordList

if TYPE_CHECKING:
    import numpy as np

WORDS_VERSION = 1
"""Increased whenever embeddings of the same words change: older ones are then made again."""
STEPS = 5.0
"""A CLIP cosine so many spreads above the word's mean over the reference frames has the score 0.5."""
LEAST_SPREAD = 1e-3
NORMAL = 1.702
"""sigmoid(1.702 z) is the normal distribution's share below z, within 0.01."""


@dataclass(frozen=True)
class TextHead:
    """Scores of words. `nets/text.py` makes its files; they are read for the first scores."""

    words: WordList
    use: NetworkUse
    """The image-text network, at its input size."""
    multi_label = True

    @cached_property
    def vocabulary(self) -> tuple[TagName, ...]:
        return tuple(TagName(word, word) for word in self.words.words)

    @property
    def identity(self) -> dict[str, Any]:
        return {"head": "text", "words": self.words.identity, "tower": text_identity(self.use.network)}

    @property
    def tower(self) -> str:
        """What kept embeddings are known by: any words can be compared with those of the same model."""
        identity = f"{text_identity(self.use.network)}{network_identity(self.use)}"
        return f"text-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"

    @property
    def words_file(self) -> Path:
        return words_file(self.use.network, self.words)

    @property
    def reference_file(self) -> Path:
        """Embeddings of the reference frames (R, D). The first engine that runs makes it: others differ too little."""
        return _cached(self.use.network.name, f"reference:{network_identity(self.use)}")

    def check_width(self, features: int, network: str) -> None:
        width = self._embeddings["words"].shape[1]
        if width != features:
            message = f"the text tower of {network} gives {width} numbers, its image tower {features}"
            raise WeightsError(message, "correct the architecture in its row", "bad_tensors")

    def scores(self, features: np.ndarray, logits: np.ndarray) -> np.ndarray:
        """features (K, D) of length 1 -> scores (K, C) in [0, 1]."""
        import numpy as np

        if not np.isfinite(features).all():
            hint = "its weights may be damaged; check them with: nsnet models verify"
            raise WeightsError("the recogniser's features are not numbers", hint)
        found, (mean, spread) = self._embeddings, self._levels
        cosines = features @ found["words"].T
        steps = (cosines - mean) / spread
        log_odds = cosines * found["scale"] + found["bias"] if "bias" in found else steps - STEPS
        return np.asarray(_sigmoid(log_odds) * _sigmoid(NORMAL * steps), np.float32)

    @cached_property
    def _embeddings(self) -> dict[str, np.ndarray]:
        return read_arrays(self.words_file)

    @cached_property
    def _levels(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and spread (C,) of each word's cosine over the reference frames."""
        import numpy as np

        cosines = read_arrays(self.reference_file)["frames"] @ self._embeddings["words"].T
        return cosines.mean(0), np.maximum(cosines.std(0), LEAST_SPREAD)


def text_identity(row: NetworkRow) -> str:
    """Everything that can change an embedding of text: weights, tokenizer, family."""
    sources, tokenizer = (sorted(map(source_identity, each)) for each in (row.sources, row.tokenizer))
    return json.dumps([WORDS_VERSION, row.family, sources, tokenizer])


def words_file(row: NetworkRow, words: WordList) -> Path:
    """Where the embeddings of these words are kept: `words` (C, D), `scale` and, for SigLIP, `bias`."""
    return _cached(row.name, f"words:{text_identity(row)}:{words.identity}")


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file in the cache. Raises WeightsError if it is missing or damaged."""
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        regular_size(path, MODEL_BYTES)
        found = load(path.read_bytes())
        if not found or not all(value.dtype == np.float32 and np.isfinite(value).all() for value in found.values()):
            raise ValueError("it has numbers that are not finite")
        return found
    except (OSError, ValueError, SafetensorError) as error:
        raise WeightsError(f"cannot read {path}: {error}", "remove it: it is made again", "bad_tensors") from error


def _cached(name: str, identity: str) -> Path:
    key = hashlib.sha256(f"{WORDS_VERSION}:{identity}".encode()).hexdigest()[:16]
    return cache_folder() / "words" / f"{name}-{key}.safetensors"


def _sigmoid(values: np.ndarray) -> np.ndarray:
    import numpy as np

    return np.asarray(1 / (1 + np.exp(-np.clip(values, -80, 80))))
