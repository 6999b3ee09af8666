"""Embeddings of words and of reference frames, made once and kept in the cache. No torch at the top.

The text tower reads a list of words once per machine. A later run with the same words needs neither torch nor
open_clip. What is kept is known by the checkpoint's files, the words and the prompts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nsnet_cli.atomic import write_whole
from nsnet_cli.errors import UsageError, WeightsError
from nsnet_cli.nets.references import reference_frames
from nsnet_cli.progress import progress
from nsnet_cli.weights.folders import CACHE_VARIABLE
from nsnet_cli.weights.obtain import network_file
from nsnet_cli.weights.rows import NetworkRow
from nsnet_cli.weights.text_head import TextHead, read_arrays, words_file
from nsnet_cli.weights.wordlist import WordList, shown

if TYPE_CHECKING:
    from nsnet_cli.nets.layouts import TowerFile

logger = logging.getLogger(__name__)


def prepare_words(head: TextHead) -> None:
    """Embeds the head's words if the cache does not have them. Raises UsageError for a word that is too long."""
    word_embeddings(head.use.network, head.words)


def prepare_references(head: TextHead, recognise: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]) -> None:
    """Embeds the reference frames with the image tower if the cache does not have them."""
    if _kept(head.reference_file, "frames") is None:
        features, _ = recognise(reference_frames(head.use.size_px))
        _keep(head.reference_file, {"frames": np.asarray(features, np.float32)})


def word_embeddings(row: NetworkRow, words: WordList) -> np.ndarray:
    """(C, D) float32 of length 1, one per word: the mean over its prompts. Kept in the cache.

    Raises UsageError that names a word over the tower's limit, and WeightsError.
    """
    path = words_file(row, words)
    kept = _kept(path, "words")
    if kept is not None and len(kept["words"]) == len(words.words):
        return kept["words"]
    made = _embedded(row, words)
    _keep(path, made)
    return made["words"]


def _embedded(row: NetworkRow, words: WordList) -> dict[str, np.ndarray]:
    from nsnet_cli.nets.tokens import tokens_of  # says first what is not installed

    tokens = tokens_of(row)
    texts = {text: None for word in words.words for text in words.texts(word)}
    ids = dict(zip(texts, tokens.ids(list(texts)), strict=True))
    path, _ = network_file(row)
    from nsnet_cli.nets.layouts import tower_file

    with tower_file(path) as file:
        context, vocabulary = file.context(), file.vocabulary()
        for word in words.words:
            longest = max(len(ids[text]) for text in words.texts(word))
            if longest > context:
                message = f"the word {shown(word)} is too long: {longest} tokens, {row.name} reads {context}"
                raise UsageError(message, "shorten it, or leave it out")
        if max(map(max, ids.values())) >= vocabulary:
            message = f"the tokenizer of {row.name} has more tokens than its text tower ({vocabulary:,})"
            raise WeightsError(message, "correct the tokenizer in its row", "bad_tensors")
        embedded = _embed(row, file, ids, tokens.padding)
        scale, bias = file.numbers()
    means = np.stack([np.mean([embedded[text] for text in words.texts(word)], 0) for word in words.words])
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
    numbers = {"scale": scale} if bias is None else {"scale": scale, "bias": bias}
    return {"words": means.astype(np.float32), **{key: np.array([each], np.float32) for key, each in numbers.items()}}


def _embed(row: NetworkRow, file: TowerFile, ids: dict[str, list[int]], padding: int) -> dict[str, np.ndarray]:
    """Embeds texts by their token ids, shorter ones first, so that texts of one batch are of one length."""
    import torch

    from nsnet_cli.nets.text_tower import BATCH, embed_ids, load_text_tower

    tower = load_text_tower(file, row).to("cuda" if torch.cuda.is_available() else "cpu")
    order = sorted(ids, key=lambda text: len(ids[text]))
    found: dict[str, np.ndarray] = {}
    logger.info("%s: reading the words (once for these words) ...", row.name)
    with progress("words", len(order), "texts") as bar:
        for at in range(0, len(order), BATCH):
            part = order[at : at + BATCH]
            rows = embed_ids(tower, file, [ids[text] for text in part], padding).numpy()
            found |= dict(zip(part, rows, strict=True))
            bar.advance(len(part))
    return found


def _kept(path: Path, name: str) -> dict[str, np.ndarray] | None:
    """The arrays of a file in the cache, None if it is missing, damaged, or without this one."""
    if not path.is_file():
        return None
    try:
        found = read_arrays(path)
    except WeightsError:
        return None
    return found if name in found and found[name].ndim == 2 else None


def _keep(path: Path, arrays: dict[str, np.ndarray]) -> None:
    from safetensors.numpy import save

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, save({name: np.ascontiguousarray(value) for name, value in arrays.items()}))
    except OSError as error:
        message = f"cannot keep embeddings in {path.parent}: {error.strerror or error}"
        raise WeightsError(
            message, f"set {CACHE_VARIABLE} to a folder that can be written", "cache_not_writable"
        ) from error
