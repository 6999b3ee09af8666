"""Lists of words: what a user may write, and the list that comes with nsnet."""

from __future__ import annotations

from pathlib import Path

import pytest

from nsnet_cli.errors import UsageError, WeightsError
from nsnet_cli.hierarchy import Hierarchy, own_table
from nsnet_cli.types import TagName
from nsnet_cli.weights.checkpoint import resolve_checkpoint
from nsnet_cli.weights.text_head import TextHead
from nsnet_cli.weights.wordlist import WordList, everyday, is_action, word_list, words_named


def test_tags_are_split_at_commas_outside_of_quotes() -> None:
    tags = ' a birthday cake,kite  surfing , "salt, pepper", "say ""cheese""", 🎂, собака, 生日蛋糕,'
    wanted = ("a birthday cake", "kite surfing", "salt, pepper", 'say "cheese"', "🎂", "собака", "生日蛋糕")
    assert word_list(tags).words == wanted
    assert word_list("dog").words == ("dog",)


def test_a_word_that_is_given_twice_is_named_and_counts_once(heard: pytest.LogCaptureFixture) -> None:
    accents = "caf\u00e9, cafe\u0301"  # one word in two spellings of Unicode
    assert word_list(f"dog, cat, Dog, {accents}").words == ("dog", "cat", "caf\u00e9")
    assert "--tags: given twice, counted once: 'Dog', 'caf\u00e9'" in heard.text


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_file_has_one_word_per_line(tmp_path: Path, mark: bytes) -> None:
    path = tmp_path / "words.txt"
    path.write_bytes(mark + "# things\r\nsalt, pepper\r\n\r\n  a dog  \nсобака\n  # the end\n".encode())
    assert word_list(tags_file=str(path)).words == ("salt, pepper", "a dog", "собака")


def test_twenty_thousand_words_are_a_list_and_a_hierarchy(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("\n".join(f"thing {n}" for n in range(20_000)))
    words = word_list(tags_file=str(path)).words
    assert len(words) == 20_000
    import numpy as np

    found = Hierarchy(tuple(TagName(word, word) for word in words), own_table(()))
    scores = np.random.default_rng(0).random((2, 20_000), np.float32)
    assert (found.sums(scores, np.arange(20_000), highest=True) == scores).all()


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ("", "--tags has no words"),
        (" , ,", "--tags has no words"),
        ("dog, ca\x07t", r"--tags: the word 'ca\x07t' has a control character, '\x07'"),
        ("dog, \u202eabc", "has a control character"),
        ("dog, !?!", "--tags: '!?!' has no letter, digit or symbol"),
        ('dog, "cat', "--tags cannot be read: unexpected end of data"),
    ],
)
def test_words_that_cannot_be_looked_for_are_named(tags: str, said: str) -> None:
    with pytest.raises(UsageError) as error:
        word_list(tags)
    assert said in str(error.value)


def test_files_that_are_no_lists_are_named(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    for content, said in (
        (b"", "has no words"),
        (b"# only this\n", "has no words"),
        ("größe".encode("latin-1"), "is not UTF-8: byte 2 cannot be read"),
        (b"a\0b", "has a control character"),
    ):
        path.write_bytes(content)
        with pytest.raises(UsageError, match=said):
            word_list(tags_file=str(path))
    with pytest.raises(UsageError, match=r"cannot read --tags-file .*: No such file"):
        word_list(tags_file=str(tmp_path / "none.txt"))
    with pytest.raises(UsageError, match="name two lists"):
        word_list("dog", str(path))


def test_words_stand_in_prompts_for_things_or_for_actions() -> None:
    words = words_named(["a dog", "riding a horse"])
    assert words.texts("a dog") == ("a photo of a dog.", "a video of a dog.", "this is a photo of a dog.")
    assert words.texts("riding a horse")[0] == "a video of riding a horse."
    for word in ("kite surfing", "Playing chess", "walking", "clean and jerk walking"):
        assert is_action(word), word
    for word in ("building", "a wedding", "wedding", "morning", "dog", "ring", "a painting", "🎂"):
        assert not is_action(word), word


def test_prompts_of_ones_own_are_for_all_words(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text("# mine\nein Foto: {}\na {} at night\n")
    words = word_list("a dog, swimming", prompts=str(path))
    assert words.texts("a dog") == ("ein Foto: a dog", "a dog at night")
    assert words.texts("swimming") == ("ein Foto: swimming", "a swimming at night")
    assert words.identity != word_list("a dog, swimming").identity
    for content, said in (("{} and {}\n", "needs {} once"), ("a photo\n", "needs {} once"), ("\n", "has no prompts")):
        path.write_text(content)
        with pytest.raises(UsageError) as error:
            word_list("dog", prompts=str(path))
        assert said in str(error.value)


def test_the_words_that_come_with_nsnet() -> None:
    words = everyday()
    assert 1_500 <= len(words) <= 1_800
    assert len({word.casefold() for word in words}) == len(words)
    assert all(word == " ".join(word.split()) and word.isascii() for word in words)
    assert word_list().words == words
    assert {"dog", "living room", "birthday party", "riding a horse"} <= set(words)


def test_words_belong_to_checkpoints_that_take_any() -> None:
    found = resolve_checkpoint("siglip2-b32", words=word_list("dog, cat"))
    assert [tag.name for tag in found.vocabulary] == ["dog", "cat"] and found.head.multi_label
    assert len(resolve_checkpoint("siglip2-b32").vocabulary) == len(everyday())
    others = ("dog", "cat, dog", "dog, cat, bird")
    hashes = {resolve_checkpoint("siglip2-b32", words=word_list(each)).hash for each in others}
    assert len({found.hash, *hashes}) == 4
    with pytest.raises(UsageError, match="need a checkpoint for any words; imagenet-lite is none"):
        resolve_checkpoint("imagenet-lite", words=word_list("dog"))


def test_a_head_without_embeddings_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSNET_CACHE", str(tmp_path))
    head = resolve_checkpoint("clip-datacomp", words=word_list("dog")).head
    assert isinstance(head, TextHead) and isinstance(head.words, WordList)
    with pytest.raises(WeightsError, match=r"cannot read .*safetensors"):
        head.check_width(512, "clip")
