"""Kept stretches: objects and footage with known answers, so that a sampler that learns new footage forgets nothing.

A file beside a shipped sampler holds the preview network's features of a few hundred frames: of photos that show a
class, and of footage that shows none. Half of the sources are for learning, the others only judge. There are no
pictures in it. Logits are made again from the features, by the preview network's own classifier, and of the
recogniser's scores the highest five are kept.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from nsnet_cli.errors import UsageError, WeightsError
from nsnet_cli.nets.families import load_network
from nsnet_cli.records import dataclass
from nsnet_cli.training.splice import Bank, Splicer
from nsnet_cli.weights.checkpoint import CONFIG_FILE, Checkpoint
from nsnet_cli.weights.fields import read_json
from nsnet_cli.weights.heads import softmax
from nsnet_cli.weights.keys import HINT
from nsnet_cli.weights.registry import PACKAGE_DIR
from nsnet_cli.weights.rows import NetworkUse
from nsnet_cli.weights.schema import CONFIG_BYTES

KEPT_FILE = "kept.npz"
LEVELS = 63
"""Features are kept as roots in this many steps: 0.6 kB for a frame of 1,280 numbers, at a cosine of 0.999."""
BEST = 5
"""Scores of the recogniser that are kept per frame."""
LEARN, JUDGE = "learn", "judge"

Classifier = tuple[np.ndarray, np.ndarray]
"""weight (C, D), bias (C,): from the preview network's features to its logits."""


@dataclass(frozen=True, slots=True)
class Side:
    """Objects and footage: what sequences are spliced from."""

    objects: Bank
    footage: Bank

    def splicer(self) -> Splicer:
        return Splicer(self.objects, self.footage)


@dataclass(frozen=True, slots=True)
class Kept:
    """What the sampler learns again while it learns new footage, and what it is judged on. They share no source."""

    learn: Side
    judge: Side
    recogniser: tuple[str, int]
    """Name and input size of the network that gave the recogniser's scores."""


def kept_file(checkpoint: Checkpoint) -> Path:
    """The shipped file for the checkpoint's preview network. Raises UsageError if there is none."""
    wanted = {"network": checkpoint.preview.network.name, "size_px": checkpoint.preview.size_px}
    known = []
    for path in sorted((PACKAGE_DIR / "checkpoints").glob(f"*/{KEPT_FILE}")):
        preview = read_json(path.with_name(CONFIG_FILE), CONFIG_BYTES)["preview"]
        if preview == wanted:
            return path
        known.append(f"{preview['network']} at {preview['size_px']} px")
    raise UsageError(
        f"{checkpoint.name} previews with {wanted['network']} at {wanted['size_px']} px, and for that nsnet has nothing"
        " to judge a new sampler by",
        f"adapt a checkpoint that previews with {' or '.join(known)}",
    )


def classifier_of(use: NetworkUse) -> Classifier:
    """The last layer of a network of single frames. Raises WeightsError."""
    layer = load_network(use).net.get_classifier()
    return layer.weight.detach().numpy(), layer.bias.detach().numpy()


def read_kept(path: Path, classifier: Classifier) -> Kept:
    """Raises WeightsError for a damaged file."""
    try:
        with np.load(path) as data:  # no pickles
            arrays = {name: data[name] for name in data.files}
        sides = {part: Side(*(_bank(arrays, classifier, part, objects) for objects in (True, False)))
                 for part in (LEARN, JUDGE)}  # fmt: skip
        name, size_px = arrays["recogniser"].tolist()
        return Kept(sides[LEARN], sides[JUDGE], (str(name), int(size_px)))
    except Exception as error:  # a damaged zip can raise any error
        raise WeightsError(f"cannot read {path}: {error}", HINT, "bad_tensors") from error


def _bank(arrays: dict[str, np.ndarray], classifier: Classifier, part: str, objects: bool) -> Bank:
    """The stretches of one part: S of F frames."""
    rows = (arrays["part"] == part) & ((arrays["label"] >= 0) == objects)
    features = unpacked(arrays["features"][rows], arrays["scale"][rows])
    weight, bias = classifier
    logits = features @ weight.T + bias
    scores = _scores(arrays["best"][rows], arrays["score"][rows].astype(np.float32), logits.shape[-1])
    return Bank(
        features.astype(np.float16), logits.astype(np.float16), np.log(scores).astype(np.float16),
        arrays["source"][rows], arrays["kind"][rows], arrays["label"][rows].astype(int),
    )  # fmt: skip


def write_kept(path: Path, bank: Bank, part: np.ndarray, recogniser: NetworkUse) -> int:
    """Writes the file and returns its size in bytes. `part` (S,) says of each stretch: learn or judge."""
    packed, scale = packed_features(bank.features.astype(np.float32))
    scores = softmax(bank.recogniser.astype(np.float32))
    best = np.argsort(-scores, axis=-1)[..., :BEST]
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        features=packed,
        scale=scale,
        best=best.astype(np.uint16),
        score=np.take_along_axis(scores, best, -1).astype(np.float16),
        source=bank.source.astype(str),
        kind=bank.kind.astype(str),
        label=bank.label.astype(np.int16),
        part=part.astype(str),
        recogniser=np.array([recogniser.network.name, str(recogniser.size_px)]),
    )
    path.write_bytes(buffer.getvalue())
    return len(buffer.getvalue())


def packed_features(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(..., D), none negative -> (..., D) uint8, and the scale of each frame (...)."""
    scale = features.max(-1)
    roots = np.sqrt(np.maximum(features, 0) / np.maximum(scale, 1e-9)[..., None])
    return np.rint(roots * LEVELS).astype(np.uint8), scale.astype(np.float16)


def unpacked(packed: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """The features (..., D) float32 again."""
    return np.asarray((packed.astype(np.float32) / LEVELS) ** 2 * scale.astype(np.float32)[..., None])


def _scores(best: np.ndarray, score: np.ndarray, classes: int) -> np.ndarray:
    """Scores (..., C) from the highest ones: the other classes share the rest."""
    rest = np.maximum(1 - score.sum(-1, keepdims=True), 1e-4) / (classes - best.shape[-1])
    full = np.broadcast_to(rest, (*best.shape[:-1], classes)).copy()
    np.put_along_axis(full, best.astype(int), np.maximum(score, 1e-6), -1)
    return full
