"""The image towers of SigLIP and CLIP: timm's transformers, with the parameters of an image-text file."""

from __future__ import annotations

from typing import Any

import timm
from torch import Tensor
from torch.nn import functional as F

from nsnet_cli.errors import WeightsError
from nsnet_cli.nets.layouts import TowerFile, tower_file
from nsnet_cli.nets.networks import ViewNetwork, fill
from nsnet_cli.weights.files import local_file
from nsnet_cli.weights.obtain import network_file
from nsnet_cli.weights.rows import NetworkUse

HEAD_WIDTH = 64
"""Width of one head of attention in all these towers."""
CLIP_WIDTH = 512
"""Numbers per image of CLIP's base models: only for counting what one costs before its file is here."""


class ImageTower(ViewNetwork):
    """Its features are the image's embedding, of length 1. It has no classes, and so no logits."""

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        x = (pixels.permute(0, 3, 1, 2).float() - self.mean) / self.std  # (N, 3, S, S)
        features = F.normalize(self.net(x), dim=-1)
        return features, features[:, :0]


def load_tower(use: NetworkUse) -> ImageTower:
    """Returns the image tower of a row, as large as its file says, in eval mode. Raises WeightsError."""
    path, _ = network_file(use.network)
    with tower_file(path) as file:
        state = file.image()
        net, width = _sized(use, file)
    fill(net, state, path, use.network)
    return _ready(ImageTower(net, use.input, width))


def untrained_tower(use: NetworkUse) -> ImageTower:
    """The image tower without weights: as large as its file says, if that is here, else as the architecture says."""
    path = next(filter(None, map(local_file, use.network.sources)), None)
    if path is None:
        net = _net(use, CLIP_WIDTH if use.network.family == "clip" else 0, {})
        return _ready(ImageTower(net, use.input, net.num_classes or int(net.num_features)))
    with tower_file(path) as file:
        net, width = _sized(use, file)
    return _ready(ImageTower(net, use.input, width))


def _sized(use: NetworkUse, file: TowerFile) -> tuple[Any, int]:
    """An image tower as large as its file says, and D. Raises WeightsError."""
    width, depth, outputs = file.image_sizes()
    if width % HEAD_WIDTH:
        message = f"{file.path}: its image tower is {width} wide, not a multiple of {HEAD_WIDTH}"
        raise WeightsError(message, "use another file", "bad_tensors")
    sizes: dict[str, Any] = {"embed_dim": width, "depth": depth, "num_heads": width // HEAD_WIDTH}
    if file.layout == "transformers":  # it always computes with this one; timm's architecture says what open_clip does
        sizes["act_layer"] = "gelu_tanh"
    return _net(use, outputs, sizes), outputs or width


def _ready(tower: ImageTower) -> ImageTower:
    return tower.eval().requires_grad_(False)  # torch's counter of costs fails on views of what is to be trained


def _net(use: NetworkUse, outputs: int, sizes: dict[str, Any]) -> Any:
    row = use.network
    try:
        return timm.create_model(row.architecture, num_classes=outputs, img_size=use.size_px, **sizes)
    except Exception as error:  # an unknown name, or an architecture that is no such transformer
        why = str(error).strip() or type(error).__name__
        hint = "name a timm architecture such as vit_base_patch32_siglip_256 or vit_base_patch32_clip_224"
        raise WeightsError(f"the row of {row.name}: {why}", hint, "bad_registry") from error
