"""`nsnet tag` and `nsnet find` with checkpoints for any words, on small random models, from row to hit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import image_text_models as made
import numpy as np
import pytest
from hub_server import HubServer
from platformdirs import user_cache_path

import nsnet_cli
from nsnet_cli.errors import UsageError
from nsnet_cli.outputs.kept_results import read_kept
from nsnet_cli.weights.checkpoint import resolve_checkpoint
from nsnet_cli.weights.text_head import TextHead
from nsnet_cli.weights.wordlist import word_list

pytestmark = pytest.mark.torch
Inside = Callable[..., subprocess.CompletedProcess[str]]
CLIP_SEED = 4
"""With these random weights the question of these tests has positive cosines: others are no hits."""
TAGS = "a birthday cake, kite surfing, 🎂, собака"


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows `siglip` and `clip`, with their files, and a cache for the exports of this module. Others' are used."""
    for package in ("open_clip", "tokenizers"):
        pytest.importorskip(package, reason=f"needs {package}, which nsnet[words] installs")
    folder = tmp_path_factory.mktemp("rows")
    (folder / "cache" / "engine").mkdir(parents=True)
    exports = Path(os.environ.get("NSNET_CACHE", str(user_cache_path("nsnet")))) / "engine"
    for export in exports.glob("efficientnet-lite0-*"):
        (folder / "cache" / "engine" / export.name).symlink_to(export)
    siglip, clip = made.file_of(made.siglip_model()), made.file_of(made.clip_model(CLIP_SEED))
    made.cached(folder / "hub", "siglip", {made.FILE: siglip, "tokenizer.json": made.tokenizer_json()})
    made.cached(folder / "hub", "clip", {made.FILE: clip})
    text = "schema_version = 1\n" + made.row("siglip", "siglip", siglip) + made.row("clip", "clip", clip)
    (folder / "weights.toml").write_text(text)
    return folder


@pytest.fixture
def here(rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and the environment in which the rows are there."""
    monkeypatch.setenv("NSNET_CACHE", str(rows / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("HF_HUB_CACHE", str(rows / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(rows / "hub"))
    monkeypatch.setenv("NSNET_WEIGHTS", str(rows / "weights.toml"))
    return tmp_path


def imported(*args: str | Path) -> set[str]:
    """The modules that `nsnet ARGS` imports, in a process of its own."""
    command = [sys.executable, "-X", "importtime", "-m", "nsnet_cli", *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.split("|")[-1].strip() for line in lines}


@pytest.mark.parametrize("name", ["siglip", pytest.param("clip", marks=pytest.mark.slow)])
def test_words_are_read_once_and_any_question_is_answered(
    here: Path, inside: Inside, cat_video: Path, name: str
) -> None:
    results = here / "results"
    asked = ("tag", cat_video, "--checkpoint", name, "--tags", TAGS, "-o", results)
    done = inside(*asked, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert sorted(tag["name"] for tag in result["tags"]) == sorted(word.strip() for word in TAGS.split(","))
    assert all(tag["probability"] is None and 0 <= tag["score"] <= 1 for tag in result["tags"])
    scores = [tag["score"] for tag in result["tags"]]
    assert scores == sorted(scores, reverse=True)
    assert result["sampling"]["policy"] == "nsnet" and "no tag can be certain" in done.stderr

    kept = read_kept(results / f"{cat_video.name}.nsnet.json")
    assert kept.images is not None and kept.images_of is not None
    assert kept.images_of.tolist() == sorted(kept.chosen.tolist()) and kept.images.dtype == np.float16
    assert np.linalg.norm(kept.images.astype(np.float32), axis=1) == pytest.approx(1, abs=1e-3)

    again = imported(*asked, "--overwrite")
    assert not again & {"torch", "timm", "open_clip", "tokenizers", "transformers"}

    found = inside("find", results, "a child on a swing", "--json")
    assert found.returncode == 0, found.stderr
    hit = json.loads(found.stdout.splitlines()[0])
    assert hit["tag"] is None and hit["probability"] is None and 0 < hit["similarity"] <= 1
    assert hit["at_s"] in kept.pts_s[kept.images_of].round(6).tolist()
    assert 0 <= hit["start_s"] <= hit["at_s"] <= hit["end_s"] <= 20
    known = imported("find", results, "a child on a swing", "--checkpoint", name)
    assert not known & {"torch", "timm", "openvino", "open_clip", "tokenizers"}


def test_all_frames_can_be_embedded_and_the_run_knows_it(here: Path, inside: Inside, cat_video: Path) -> None:
    results = here / "results"
    asked = ("tag", cat_video, "--checkpoint", "siglip", "--tags", "dog", "-o", results)
    assert inside(*asked).returncode == 0
    few = read_kept(results / f"{cat_video.name}.nsnet.json")
    assert "1 tagged" in inside(*asked, "--index-frames", "all").stderr
    whole = read_kept(results / f"{cat_video.name}.nsnet.json")
    assert whole.images is not None and len(whole.images) == len(whole.pts_s) > len(few.chosen)
    assert whole.cost.gflops > few.cost.gflops and "1 skipped" in inside(*asked, "--index-frames", "all").stderr
    refused = inside("tag", cat_video, "-o", results, "--index-frames", "all")
    assert refused.returncode == 2 and "--index-frames all needs a checkpoint for any words" in refused.stderr


def test_what_cannot_be_answered_says_why(here: Path, inside: Inside, cat_video: Path) -> None:
    """Also: a tag of the library is found as a tag, if no checkpoint is named."""
    results = here / "results"
    assert inside("tag", cat_video, "-o", results, "--policy", "uniform").returncode == 0
    nothing = inside("find", results, "a child on a swing")
    assert nothing.returncode == 4 and "no tag 'a child on a swing'" in nothing.stderr
    other = inside("find", results, "a child on a swing", "--checkpoint", "siglip")
    assert other.returncode == 2 and "no video here was tagged with this checkpoint" in other.stderr
    long = inside("tag", cat_video, "--checkpoint", "siglip", "--tags", "dog, " + "very " * 60 + "long")
    assert long.returncode == 2 and "the word 'very very" in long.stderr and "-towers reads 64" in long.stderr
    wrong = inside("tag", cat_video, "--tags", "dog")
    assert wrong.returncode == 2 and "need a checkpoint for any words; imagenet-lite is none" in wrong.stderr


def test_programs_name_words_too(here: Path, cat_video: Path) -> None:
    (result,) = nsnet_cli.tag_videos([cat_video], checkpoint="siglip", tags=["dog", "salt, pepper"], device="torch-cpu")
    assert sorted(tag.name for tag in result.tags) == ["dog", "salt, pepper"]
    with pytest.raises(UsageError, match="tags has no words"):
        next(nsnet_cli.tag_videos([cat_video], checkpoint="siglip", tags=[]))


def test_odd_words_are_read(here: Path) -> None:
    """Each by itself, and with others: no word's embedding depends on its list."""
    from nsnet_cli.nets.text import word_embeddings

    row = resolve_checkpoint("clip").recogniser.network
    words = ["x", "🎂🎈", "собака", "生日蛋糕", "naïve café", "a" * 60, "!dog?"]
    together = word_embeddings(row, word_list(", ".join(words)))
    assert together.shape == (len(words), 32) and np.linalg.norm(together, axis=1) == pytest.approx(1, abs=1e-5)
    for n, word in enumerate(words):
        np.testing.assert_allclose(word_embeddings(row, word_list(word))[0], together[n], atol=1e-5)


def test_damaged_embeddings_are_made_again(here: Path) -> None:
    from nsnet_cli.nets.text import word_embeddings
    from nsnet_cli.weights.text_head import words_file

    row, words = resolve_checkpoint("siglip").recogniser.network, word_list("dog, cat")
    first = word_embeddings(row, words)
    path = words_file(row, words)
    for data in (b"", path.read_bytes()[:-9]):
        path.write_bytes(data)
        np.testing.assert_array_equal(word_embeddings(row, words), first)


@pytest.mark.parametrize("name", ["siglip", "clip"])
def test_scores_by_hand(here: Path, name: str) -> None:
    """A word's score depends on no other word, and rises with the cosine."""
    from nsnet_cli.nets.families import load_network
    from nsnet_cli.nets.references import reference_frames
    from nsnet_cli.nets.text import prepare_references, prepare_words

    tower = load_network(resolve_checkpoint(name).recogniser)

    def recognise(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        features, logits = tower(torch.from_numpy(pixels))
        return features.numpy(), logits.numpy()

    def made_for(words: str) -> TextHead:
        head = resolve_checkpoint(name, words=word_list(words)).head
        assert isinstance(head, TextHead)
        prepare_words(head)
        prepare_references(head, recognise)
        return head

    import torch

    features, logits = recognise(np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8))
    head, alone = made_for("dog, kite surfing, 🎂"), made_for("🎂")
    scores = head.scores(features, logits)
    np.testing.assert_allclose(scores[:, 2:], alone.scores(features, logits), rtol=1e-4)

    word = head._embeddings["words"][1]
    reference = recognise(reference_frames(64))[0] @ word
    steps = (features @ word - reference.mean()) / reference.std()
    own = steps - 5
    if name == "siglip":
        own = features @ word * float(head._embeddings["scale"][0]) + float(head._embeddings["bias"][0])
    wanted = 1 / (1 + np.exp(-own)) / (1 + np.exp(-1.702 * steps))
    np.testing.assert_allclose(scores[:, 1], wanted, rtol=1e-3)
    towards = word / np.linalg.norm(word)
    assert head.scores(np.stack([features[0], towards]), logits)[1, 1] > scores[0, 1]


@pytest.mark.slow
def test_from_an_empty_cache_to_a_hit_and_offline_again(tmp_path: Path, cat_video: Path) -> None:
    """Only the tower's own files come from the Hub, each once, and bytes that came are the files'."""
    for package in ("open_clip", "tokenizers"):
        pytest.importorskip(package, reason=f"needs {package}, which nsnet[words] installs")

    def run(*args: str | Path, **more: str) -> Any:
        command = [sys.executable, "-m", "nsnet_cli", *map(str, args)]
        return subprocess.run(command, env={**env, **more}, capture_output=True, encoding="utf-8", timeout=600)

    with HubServer() as hub:
        files = {made.FILE: made.file_of(made.siglip_model()), "tokenizer.json": made.tokenizer_json()}
        hub.add("made/siglip", files, made.REVISION)
        rows = tmp_path / "weights.toml"
        rows.write_text("schema_version = 1\n" + made.row("siglip", "siglip", files[made.FILE]))
        env = hub.environment(tmp_path / "home", NSNET_WEIGHTS=str(rows))
        dry = run("models", "pull", "siglip", "--dry-run")
        assert dry.returncode == 0 and "would download 2 files" in dry.stderr, dry.stderr
        asked = ("tag", cat_video, "--checkpoint", "siglip", "--tags", TAGS, "-o", tmp_path / "results")
        first = run(*asked, "--json")
        assert first.returncode == 0, first.stderr
        gets = [path for method, path in hub.log if method == "GET"]
        assert sorted(path.rpartition("/")[2] for path in gets) == sorted(files)
        cached = {path.name: path.read_bytes() for path in (tmp_path / "home" / "hf").rglob("snapshots/*/*")}
        assert cached == files
        assert run("find", tmp_path / "results", "a child on a swing").stdout.count("cat.mp4") >= 1
        sent = hub.requests()
        offline = {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9"}
        again = run(*asked, "--json", "--overwrite", **offline)
        assert again.returncode == 0, again.stderr
        assert json.loads(again.stdout)["tags"] == json.loads(first.stdout)["tags"]
        assert run("find", tmp_path / "results", "a child on a swing", **offline).returncode == 0
        assert hub.requests() == sent
