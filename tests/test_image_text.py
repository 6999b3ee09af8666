"""Image and text towers against the libraries that they come from, on small random models of each layout."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import image_text_models as made
import pytest

from nsnet_cli.errors import WeightsError
from nsnet_cli.weights.registry import load_registry
from nsnet_cli.weights.rows import NetworkUse

pytestmark = pytest.mark.torch
TEXTS = ["a photo of a dog.", "Kite surfing!", "a 🎂", "собака", "an empty street at night, with rain"]
LARGEST = 2e-6
"""Largest difference of an embedding of length 1."""
MODELS: dict[str, tuple[str, Callable[[], Any], str]] = {
    "clip": ("clip", made.clip_model, made.FILE),
    "siglip": ("siglip", made.siglip_model, made.FILE),
    "transformers": ("siglip", made.transformers_model, "model.safetensors"),
}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("tokenizers", reason="needs tokenizers, which nsnet[words] installs")
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    path.write_bytes(made.tokenizer_json())
    return path


@pytest.fixture
def use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokenizer: Path) -> Callable[[str], tuple[NetworkUse, Any]]:
    """A row for a model of this kind whose files are here, and the model."""
    pytest.importorskip("open_clip", reason="needs open_clip, which nsnet[words] installs")
    monkeypatch.setenv("NSNET_CACHE", str(tmp_path / "cache"))
    for variable in ("CACHE", "DATA"):
        monkeypatch.setenv(f"XDG_{variable}_HOME", str(tmp_path / variable))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))

    def make(kind: str) -> tuple[NetworkUse, Any]:
        family, build, file = MODELS[kind]
        if kind == "transformers":
            pytest.importorskip("transformers")
        model = build()
        data = made.file_of(model)
        made.cached(tmp_path / "hub", kind, {file: data, "tokenizer.json": tokenizer.read_bytes()})
        rows = tmp_path / "weights.toml"
        rows.write_text("schema_version = 1\n" + made.row(kind, family, data, file))
        monkeypatch.setenv("NSNET_WEIGHTS", str(rows))
        return NetworkUse(load_registry().networks[f"{kind}-towers"], made.SIDE_PX), model

    return make


def image_features(model: Any, pixels: Any) -> Any:
    if hasattr(model, "encode_image"):
        return model.encode_image(pixels, normalize=True)
    found = model.get_image_features(pixel_values=pixels)
    found = getattr(found, "pooler_output", found)
    return found / found.norm(dim=-1, keepdim=True)


def text_features(model: Any, ids: Any) -> Any:
    if hasattr(model, "encode_text"):
        return model.encode_text(ids, normalize=True)
    found = model.get_text_features(input_ids=ids)
    found = getattr(found, "pooler_output", found)
    return found / found.norm(dim=-1, keepdim=True)


@pytest.mark.parametrize("kind", MODELS)
def test_image_towers_are_those_of_the_library(use: Any, kind: str) -> None:
    import torch

    from nsnet_cli.nets.families import load_network

    row, model = use(kind)
    pixels = torch.randint(0, 256, (3, made.SIDE_PX, made.SIDE_PX, 3), dtype=torch.uint8)
    with torch.inference_mode():
        features, logits = load_network(row)(pixels)
        wanted = image_features(model, (pixels.permute(0, 3, 1, 2) / 255 - 0.5) / 0.5)
    assert logits.shape == (3, 0) and features.shape == wanted.shape
    print(f"{kind}: image tower {float((features - wanted).abs().max()):.1e}")
    assert float((features - wanted).abs().max()) < LARGEST


def test_a_missing_package_is_told_before_anything_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    from nsnet_cli.nets import tokens

    monkeypatch.setitem(sys.modules, "open_clip", None)
    monkeypatch.setattr(tokens, "source_file", lambda *_: pytest.fail("asked for the tokenizer"))
    with pytest.raises(WeightsError, match="words need the package open_clip, which is not installed"):
        tokens.tokens_of(load_registry().networks["siglip2-vit-b32"])


@pytest.mark.parametrize("kind", MODELS)
def test_text_towers_are_those_of_the_library(use: Any, kind: str, tokenizer: Path) -> None:
    import torch

    from nsnet_cli.nets.layouts import tower_file
    from nsnet_cli.nets.text_tower import embed_ids, load_text_tower
    from nsnet_cli.nets.tokens import tokens_of
    from nsnet_cli.weights.obtain import network_file

    row, model = use(kind)
    tokens = tokens_of(row.network)
    ids = tokens.ids(TEXTS)
    path, _ = network_file(row.network)
    with tower_file(path) as file:
        found = embed_ids(load_text_tower(file, row.network), file, ids, tokens.padding)
        scale, bias = file.numbers()
    padded = torch.zeros(len(ids), 77 if kind == "clip" else made.CONTEXT, dtype=torch.long)
    for n, each in enumerate(ids):
        padded[n, : len(each)] = torch.tensor(each)
    with torch.inference_mode():
        wanted = text_features(model, padded)
    apart = (wanted @ wanted.T)[~torch.eye(len(TEXTS), dtype=torch.bool)]
    assert float(apart.max()) < 0.999
    print(f"{kind}: text tower {float((found - wanted).abs().max()):.1e}")
    assert float((found - wanted).abs().max()) < LARGEST
    assert scale == pytest.approx(model.logit_scale.exp().item(), rel=1e-6)
    assert bias == (None if kind == "clip" else pytest.approx(model.logit_bias.item()))


def test_token_ids_are_open_clips(tokenizer: Path, tmp_path: Path) -> None:
    open_clip = pytest.importorskip("open_clip", reason="needs open_clip, which nsnet[words] installs")
    from nsnet_cli.nets.tokens import clip_tokens, siglip_tokens

    wanted = open_clip.tokenizer.SimpleTokenizer()(TEXTS).tolist()
    assert [[*ids, *[0] * (77 - len(ids))] for ids in clip_tokens().ids(TEXTS)] == wanted
    transformers = pytest.importorskip("transformers")
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(tokenizer), pad_token="<pad>", eos_token="<eos>", unk_token="<unk>", padding_side="right"
    )
    fast.save_pretrained(tmp_path)
    theirs = open_clip.tokenizer.HFTokenizer(str(tmp_path), context_length=made.CONTEXT, clean="canonicalize")
    ours = siglip_tokens(tokenizer)
    found = [[*ids, *[ours.padding] * (made.CONTEXT - len(ids))] for ids in ours.ids(TEXTS)]
    assert found == theirs(TEXTS).tolist()


def full_size(name: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a shipped row's file, as the library that wrote it has them."""
    import open_clip
    import torch
    import transformers

    with torch.device("meta"):
        if name.startswith("siglip2"):
            size = {"image_size": 256, "patch_size": 32} if name.endswith("b32") else {"image_size": 224}
            config = transformers.SiglipConfig(text_config={"vocab_size": 256_000}, vision_config=size)
            model: Any = transformers.SiglipModel(config)
        else:
            model = open_clip.model.CLIP(**open_clip.get_model_config("ViT-B-32"))
    return {key: tuple(value.shape) for key, value in model.state_dict().items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["siglip2-b32", "siglip2-b16", "clip-datacomp"])
def test_shipped_rows_fit_files_of_full_size(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of zeros with the names and shapes of the library that wrote it has the size that the row states."""
    for package in ("open_clip", "transformers"):
        pytest.importorskip(package)
    from nsnet_cli.nets import image_text
    from nsnet_cli.nets.flops import network_gflops
    from nsnet_cli.nets.layouts import tower_file
    from nsnet_cli.nets.text_tower import load_text_tower

    row = load_registry().checkpoints[name]
    use = row.recogniser
    path = tmp_path / "model.safetensors"
    size = made.hollow_file(path, full_size(name))
    print(f"{name}: {size:,} bytes, the row says {use.network.sources[0].size_bytes}")
    if use.network.sources[0].size_bytes is not None:
        assert size == use.network.sources[0].size_bytes
    monkeypatch.setattr(image_text, "network_file", lambda network: (path, network.sources[0]))
    tower = image_text.load_tower(use)
    assert tower.width == (512 if use.network.family == "clip" else 768)
    assert network_gflops(tower) == pytest.approx(row.gflops, rel=0.05)  # others count more of the pooling
    with tower_file(path) as file:
        text = load_text_tower(file, use.network)
        assert text.context == (77 if use.network.family == "clip" else 64)
        assert file.vocabulary() == (49_408 if use.network.family == "clip" else 256_000)
