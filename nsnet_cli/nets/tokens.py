"""Token ids of texts, as the text towers of SigLIP and CLIP were trained with. Needs what nsnet[words] installs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from nsnet_cli.errors import WeightsError
from nsnet_cli.records import dataclass
from nsnet_cli.weights.obtain import source_file
from nsnet_cli.weights.rows import NetworkRow


@dataclass(frozen=True, slots=True)
class Tokens:
    """Turns texts into token ids, with what marks their start and end, not cut and not padded."""

    ids: Callable[[Sequence[str]], list[list[int]]]
    padding: int


def tokens_of(row: NetworkRow) -> Tokens:
    """The tokens of a row's text tower. Downloads its tokenizer.json if it is not here. Raises WeightsError."""
    try:  # before anything is downloaded
        import open_clip.tokenizer  # noqa: F401

        if row.family != "clip":
            import tokenizers  # noqa: F401
    except ImportError as error:
        message = f"words need the package {(error.name or 'open_clip').partition('.')[0]}, which is not installed"
        raise WeightsError(message, 'pip install "nsnet[words]"', "not_installed") from error
    if row.family == "clip":
        return clip_tokens()
    return siglip_tokens(source_file(row.tokenizer, row.name))


def clip_tokens() -> Tokens:
    """CLIP's own, which come with open_clip."""
    from open_clip.tokenizer import SimpleTokenizer

    known = SimpleTokenizer()

    def ids(texts: Sequence[str]) -> list[list[int]]:
        return [[known.sot_token_id, *known.encode(text), known.eot_token_id] for text in texts]

    return Tokens(ids, 0)


def siglip_tokens(path: Path) -> Tokens:
    """SigLIP's, from a tokenizer.json: small letters, no punctuation, and an end mark."""
    from open_clip.tokenizer import get_clean_fn
    from tokenizers import Tokenizer

    try:
        known = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises plain exceptions
        raise WeightsError(f"cannot read {path}: {error}", "download it again", "bad_tensors") from error
    end, padding = known.token_to_id("<eos>"), known.token_to_id("<pad>")
    if end is None or padding is None:
        raise WeightsError(f"{path} has no tokens <eos> and <pad>", "correct the tokenizer in its row", "bad_tensors")
    known.no_padding()
    known.no_truncation()
    clean = get_clean_fn("canonicalize")

    def ids(texts: Sequence[str]) -> list[list[int]]:
        found = known.encode_batch([clean(text) for text in texts], add_special_tokens=False)
        return [[*each.ids, end] for each in found]

    return Tokens(ids, padding)
