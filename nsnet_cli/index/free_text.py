"""Any words as a question: embedded by a text tower, and compared with the images that an image-text run kept."""

from __future__ import annotations

from nsnet_cli.errors import UsageError
from nsnet_cli.index.question import Question
from nsnet_cli.nets.text import word_embeddings
from nsnet_cli.weights.checkpoint import ANY_WORDS, resolve_checkpoint
from nsnet_cli.weights.text_head import TextHead
from nsnet_cli.weights.wordlist import words_named


def embed_text(words: str, spec: str) -> Question:
    """Embeds a question with the text tower of a checkpoint, or takes it from the cache. Loads no image tower.

    Raises UsageError for words that it cannot read, and WeightsError.
    """
    head = resolve_checkpoint(spec).head
    if not isinstance(head, TextHead):
        raise UsageError(f"{spec} takes no words of your own", ANY_WORDS)
    found = word_embeddings(head.use.network, words_named([words], "the question"))
    return Question(found, f"{head.tower}-{found.shape[1]}", text=True)
