"""Small random image-text models in the three layouts of files, a small tokenizer.json, and rows for them."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

REVISION = "e" * 40
SIDE_PX, WIDTH, CONTEXT, PIECES = 64, 64, 64, 400
"""Sizes of the small models. Attention has heads of 64, as in the large ones."""
ROW = """
[networks.{name}-towers]
family = "{family}"
architecture = "{architecture}"
license = "MIT"
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]
interpolation = "bicubic"
crop = 1.0

[[networks.{name}-towers.sources]]
kind = "hub"
repo_id = "made/{name}"
revision = "{revision}"
file = "{file}"
sha256 = "{sha256}"

{tokenizer}

[checkpoints.{name}]
description = "any words"
license = "MIT"
preview = {{ network = "efficientnet-lite0", size_px = 128 }}
recogniser = {{ network = "{name}-towers", size_px = 64 }}
sampler = "imagenet-lite"
frames = 4
"""
TOKENIZER = """
[[networks.{name}-towers.tokenizer]]
kind = "hub"
repo_id = "made/{name}"
revision = "{revision}"
file = "tokenizer.json"
"""
ARCHITECTURES = {"siglip": "vit_base_patch32_siglip_256", "clip": "vit_base_patch32_clip_224"}
FILE = "open_clip_model.safetensors"


def row(name: str, family: str, data: bytes, file: str = FILE) -> str:
    """The rows of a network and a checkpoint, for a weights.toml. `data` are the bytes of its file."""
    return ROW.format(
        name=name,
        family=family,
        architecture=ARCHITECTURES[family],
        revision=REVISION,
        tokenizer=TOKENIZER.format(name=name, revision=REVISION) if family == "siglip" else "",
        file=file,
        sha256=hashlib.sha256(data).hexdigest(),
    )


def clip_model(seed: int = 0) -> Any:
    """A CLIP of open_clip with two layers in each tower."""
    import open_clip
    import torch

    torch.manual_seed(seed)
    vision = {"image_size": SIDE_PX, "layers": 2, "width": WIDTH, "patch_size": 32}
    text = {"context_length": 77, "vocab_size": 49408, "width": WIDTH, "heads": 1, "layers": 2}
    return _stirred(open_clip.model.CLIP(embed_dim=32, vision_cfg=vision, text_cfg=text))


def siglip_model(seed: int = 0, act_layer: str = "gelu_tanh") -> Any:
    """A SigLIP 2 of open_clip with two layers in each tower."""
    import open_clip
    import timm
    import torch

    def vit_made_siglip(pretrained: bool = False, **more: Any) -> Any:
        sizes = {"img_size": SIDE_PX, "embed_dim": WIDTH, "depth": 2, "num_heads": 1, "act_layer": act_layer}
        return timm.create_model(ARCHITECTURES["siglip"], pretrained=False, **{**more, **sizes})

    vit_made_siglip.__module__ = "timm.models.vision_transformer"
    if not timm.is_model("vit_made_siglip"):
        timm.models.register_model(vit_made_siglip)
    torch.manual_seed(seed)
    vision = {"image_size": SIDE_PX, "timm_model_name": "vit_made_siglip", "timm_pool": "map", "timm_proj": "none"}
    text = {
        "context_length": CONTEXT,
        "vocab_size": PIECES,
        "width": WIDTH,
        "heads": 1,
        "layers": 2,
        "no_causal_mask": True,
        "proj_bias": True,
        "pool_type": "last",
        "norm_kwargs": {"eps": 1e-6},
        "act_kwargs": {"approximate": "tanh"},
    }
    return _stirred(
        open_clip.model.CustomTextCLIP(embed_dim=WIDTH, vision_cfg=vision, text_cfg=text, init_logit_bias=-10)
    )


def transformers_model(seed: int = 0) -> Any:
    """A SigLIP of transformers, of the same size."""
    import torch
    import transformers

    torch.manual_seed(seed)
    sizes = {"hidden_size": WIDTH, "intermediate_size": 4 * WIDTH, "num_hidden_layers": 2, "num_attention_heads": 1}
    text = {**sizes, "vocab_size": PIECES, "max_position_embeddings": CONTEXT, "projection_size": WIDTH}
    config = transformers.SiglipConfig(
        text_config=text, vision_config={**sizes, "image_size": SIDE_PX, "patch_size": 32}
    )
    return _stirred(transformers.SiglipModel(config))


def file_of(model: Any) -> bytes:
    """The bytes of a model's safetensors file."""
    from safetensors.torch import save

    return save({name: value.contiguous() for name, value in model.state_dict().items()})


def tokenizer_json() -> bytes:
    """A tokenizer.json of a few hundred pieces, laid out like that of SigLIP 2: <pad> 0, <eos> 1, an end mark."""
    from tokenizers import Tokenizer, decoders, models, normalizers, processors, trainers

    from nsnet_cli.weights.wordlist import everyday

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    special = ["<pad>", "<eos>", "<bos>", "<unk>", *(f"<0x{n:02X}>" for n in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=PIECES, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(everyday(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 1)])
    return tokenizer.to_str().encode()


def _stirred(model: Any) -> Any:
    """Biases and norms away from 0 and 1, which would hide a parameter that is missing or in the wrong place."""
    import torch

    with torch.no_grad():
        for name, value in model.named_parameters():
            if "token_embedding" in name:
                value *= 20  # otherwise all texts are nearly the same
            if value.ndim <= 1 and value.numel() > 1:
                value += 0.1 * torch.randn_like(value)
    return model.eval()


def cached(folder: Path, name: str, files: dict[str, bytes]) -> None:
    """Puts files where huggingface_hub's cache has those of `made/NAME`."""
    at = folder / f"models--made--{name}" / "snapshots" / REVISION
    at.mkdir(parents=True)
    for file, data in files.items():
        (at / file).write_bytes(data)


def hollow_file(path: Path, shapes: dict[str, tuple[int, ...]]) -> int:
    """Writes a safetensors file of zeros that takes no space on most disks. Returns its size in bytes."""
    table: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name in sorted(shapes):
        size = 4 * math.prod(shapes[name])
        table[name] = {"dtype": "F32", "shape": list(shapes[name]), "data_offsets": [at, at + size]}
        at += size
    head = json.dumps(table, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    with path.open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        file.truncate(8 + len(head) + at)
    return path.stat().st_size
