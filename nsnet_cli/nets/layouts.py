"""The layouts of image-text files: open_clip's and transformers'. Reads one tower and gives its parameters our names.

Image towers get timm's names, text towers open_clip's. Only the tensors that a tower needs are read: the table of
tokens alone is half of a SigLIP 2 file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from nsnet_cli.errors import WeightsError
from nsnet_cli.nets.states import MOST_BYTES
from nsnet_cli.weights.fields import regular_size

Layout = Literal["open_clip", "open_clip-siglip", "transformers"]
MARKS: dict[Layout, tuple[str, str]] = {
    "open_clip": ("visual.class_embedding", "token_embedding.weight"),
    "open_clip-siglip": ("visual.trunk.pos_embed", "text.token_embedding.weight"),
    "transformers": (
        "vision_model.embeddings.position_embedding.weight",
        "text_model.embeddings.token_embedding.weight",
    ),
}
"""Two parameters that only a file of this layout has: one of the image tower, and the table of tokens."""

CLIP_IMAGE = (
    (r"conv1", "patch_embed.proj"),
    (r"positional_embedding", "pos_embed"),
    (r"class_embedding", "cls_token"),
    (r"transformer\.resblocks\.", "blocks."),
    (r"ln_pre", "norm_pre"),
    (r"ln_post", "norm"),
    (r"ln_", "norm"),
    (r"in_proj_", "qkv."),
    (r"out_proj", "proj"),
    (r"mlp\.c_fc", "mlp.fc1"),
    (r"mlp\.c_proj", "mlp.fc2"),
    (r"^proj$", "head.weight"),
)
TRANSFORMERS_IMAGE = (
    (r"embeddings\.patch_embedding", "patch_embed.proj"),
    (r"embeddings\.position_embedding\.weight", "pos_embed"),
    (r"encoder\.layers\.", "blocks."),
    (r"layer_norm", "norm"),
    (r"self_attn\.out_proj", "attn.proj"),
    (r"self_attn\.qkv", "attn.qkv"),
    (r"post_layernorm", "norm"),
    (r"head\.probe", "attn_pool.latent"),
    (r"head\.attention\.out_proj", "attn_pool.proj"),
    (r"head\.attention\.", "attn_pool."),
    (r"head\.layernorm", "attn_pool.norm"),
    (r"head\.mlp", "attn_pool.mlp"),
)
TRANSFORMERS_TEXT = (
    (r"embeddings\.position_embedding\.weight", "positional_embedding"),
    (r"encoder\.layers\.", "transformer.resblocks."),
    (r"layer_norm(\d)", r"ln_\1"),
    (r"self_attn\.out_proj", "attn.out_proj"),
    (r"self_attn\.qkv\.", "attn.in_proj_"),
    (r"mlp\.fc1", "mlp.c_fc"),
    (r"mlp\.fc2", "mlp.c_proj"),
    (r"final_layer_norm", "ln_final"),
    (r"^head\.", "text_projection."),
)


class TowerFile:
    """An open safetensors file with an image tower and a text tower. Nothing is read before it is asked for."""

    def __init__(self, path: Path, file: Any) -> None:
        self.path, self._file, self._names = path, file, set(file.keys())
        found = next((layout for layout, marks in MARKS.items() if self._names.issuperset(marks)), None)
        if found is None:
            why = "it is not laid out as open_clip or transformers write an image and a text tower"
            raise WeightsError(f"{path}: {why}", "correct the sources of its row", "bad_tensors")
        self.layout: Layout = found

    def image(self) -> dict[str, Tensor]:
        """The image tower, in timm's names."""
        if self.layout == "open_clip-siglip":
            return self._read("visual.trunk.")
        if self.layout == "transformers":
            state = _renamed(_joined(self._read("vision_model.")), TRANSFORMERS_IMAGE)
            state["pos_embed"] = state["pos_embed"].unsqueeze(0)
            return state
        state = _renamed(self._read("visual."), CLIP_IMAGE)
        state["pos_embed"] = state["pos_embed"].unsqueeze(0)
        state["cls_token"] = state["cls_token"].view(1, 1, -1)
        if "head.weight" in state:
            state["head.weight"] = state["head.weight"].T.contiguous()
            state["head.bias"] = torch.zeros(len(state["head.weight"]))
        return state

    def image_sizes(self) -> tuple[int, int, int]:
        """Width and layers of the image tower, and how many numbers its projection gives; 0: it has none."""
        positions, layers = {
            "open_clip": ("visual.positional_embedding", "visual.transformer.resblocks."),
            "open_clip-siglip": ("visual.trunk.pos_embed", "visual.trunk.blocks."),
            "transformers": (MARKS["transformers"][0], "vision_model.encoder.layers."),
        }[self.layout]
        depth = len({name[len(layers) :].split(".")[0] for name in self._names if name.startswith(layers)})
        outputs = self._file.get_slice("visual.proj").get_shape()[1] if "visual.proj" in self._names else 0
        return int(self._file.get_slice(positions).get_shape()[-1]), depth, int(outputs)

    def text(self) -> dict[str, Tensor]:
        """The text tower without its table of tokens, in open_clip's names."""
        if self.layout == "transformers":
            return _renamed(_joined(self._read("text_model.")), TRANSFORMERS_TEXT)
        if self.layout == "open_clip-siglip":
            return self._read("text.")
        own = ("positional_embedding", "transformer.", "ln_final.", "text_projection")
        return {name: value for name, value in self._read("", own).items() if name != "attn_mask"}

    def numbers(self) -> tuple[float, float | None]:
        """Scale and bias of the cosine; no bias for CLIP. The file holds the logarithm of the scale."""
        bias = self._one("logit_bias") if "logit_bias" in self._names else None
        return float(torch.tensor(self._one("logit_scale")).exp()), bias

    def context(self) -> int:
        """How many tokens the text tower reads."""
        names = ("positional_embedding", "text.positional_embedding", "text_model.embeddings.position_embedding.weight")
        return int(self._file.get_slice(names[list(MARKS).index(self.layout)]).get_shape()[0])

    def vocabulary(self) -> int:
        """How many tokens the table has."""
        return int(self._file.get_slice(MARKS[self.layout][1]).get_shape()[0])

    def tokens(self, ids: list[int]) -> Tensor:
        """The rows of the table of tokens with these ids, in ascending order, (n, W)."""
        table = self._file.get_slice(MARKS[self.layout][1])
        return torch.cat([table[each : each + 1] for each in ids]).float()

    def _read(self, prefix: str, starts: tuple[str, ...] = ("",)) -> dict[str, Tensor]:
        names = [name for name in self._names if name.startswith(tuple(prefix + start for start in starts))]
        left_out = {MARKS[self.layout][1]}
        left_out |= {name for name in names if name.endswith("position_ids")}  # older transformers wrote these
        return {
            name[len(prefix) :]: self._file.get_tensor(name).float() for name in sorted(names) if name not in left_out
        }

    def _one(self, name: str) -> float:
        if name not in self._names:
            raise WeightsError(f"{self.path} has no {name}", "correct the sources of its row", "bad_tensors")
        return float(self._file.get_tensor(name).reshape(-1)[0])


@contextmanager
def tower_file(path: Path) -> Iterator[TowerFile]:
    """Opens a file with two towers. Raises WeightsError if it cannot be read."""
    from safetensors import SafetensorError, safe_open

    try:
        regular_size(path, MOST_BYTES)
        with safe_open(path, framework="pt") as file:
            yield TowerFile(path, file)
    except KeyError as error:
        raise WeightsError(f"{path} has no {error.args[0]}", "correct the sources of its row", "bad_tensors") from error
    except (OSError, ValueError, SafetensorError) as error:
        raise WeightsError(f"cannot read {path}: {error}", "download it again", "bad_tensors") from error


def _renamed(state: dict[str, Tensor], swaps: tuple[tuple[str, str], ...]) -> dict[str, Tensor]:
    found = {}
    for name, value in state.items():
        for pattern, word in swaps:
            name = re.sub(pattern, word, name)
        found[name] = value
    return found


def _joined(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Joins query, key and value of each layer, and parts those of the pooling, as timm and open_clip have them."""
    found = dict(state)
    for name in state:
        if ".q_proj." in name:
            parts = [found.pop(name.replace(".q_proj.", f".{letter}_proj.")) for letter in "qkv"]
            found[name.replace(".q_proj.", ".qkv.")] = torch.cat(parts)
        elif ".attention.in_proj_" in name:
            before, _, kind = name.rpartition("in_proj_")
            joined = found.pop(name)
            width = len(joined) // 3
            found |= {f"{before}q.{kind}": joined[:width], f"{before}kv.{kind}": joined[width:]}
    return found
