"""Rows of weights.toml for small networks of clips with random weights, and their files. Needs torch."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from nsnet_cli.nets.clips import ARCHITECTURES
from nsnet_cli.weights.rows import NetworkRow, NetworkUse

TAGS = ("riding a bike", "marching", "dodgeball", "playing cymbals", "checking tires")
REVISION = "d" * 40
ROW = """
[networks.{name}]
family = "{family}"
architecture = "{architecture}"
license = "MIT"
mean = [0.45, 0.45, 0.45]
std = [0.225, 0.225, 0.225]
interpolation = "bilinear"
crop = 1.0
frames = {frames}
stride_s = {stride}
vocabulary = {tags}
[[networks.{name}.sources]]
{source}
sha256 = "{sha256}"
[checkpoints.{name}-actions]
description = "small"
license = "MIT"
preview = {{ network = "efficientnet-lite0", size_px = 128 }}
recogniser = {{ network = "{name}", size_px = {size_px} }}
sampler = "imagenet-lite"
frames = 3
"""
HUB = """kind = "hub"
repo_id = "small/{name}"
revision = "{revision}"
file = "net.safetensors\""""


@dataclass(frozen=True)
class Small:
    """One small network: how its row names it, and what it takes."""

    name: str
    family: str
    architecture: str
    frames: int
    size_px: int
    stride: str

    @property
    def use(self) -> NetworkUse:
        stride = "spread" if self.stride == '"spread"' else float(self.stride)
        row = NetworkRow(
            self.name, self.architecture, "MIT", (0.45,) * 3, (0.225,) * 3, "bilinear", 1.0, None, (),
            family=self.family, frames=self.frames, stride_s=stride,
        )  # fmt: skip
        return NetworkUse(row, self.size_px)

    def file(self, classes: int = len(TAGS)) -> bytes:
        """Its weights, the same each time, and large enough that clips get different answers."""
        generator = torch.Generator().manual_seed(0)
        net = ARCHITECTURES[self.family][self.architecture](self.use, classes)
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
                if parameter.ndim == 1:
                    parameter.add_(0.5)
        return save({key: value.contiguous() for key, value in net.state_dict().items()})

    def text(self, data: bytes, source: str = "") -> str:
        source = source or HUB.format(name=self.name, revision=REVISION)
        return ROW.format(
            name=self.name, family=self.family, architecture=self.architecture, frames=self.frames, stride=self.stride,
            size_px=self.size_px, tags=list(TAGS), sha256=hashlib.sha256(data).hexdigest(), source=source,
        )  # fmt: skip

    def in_cache(self, cache: Path, data: bytes) -> None:
        """Puts its file where huggingface_hub keeps it."""
        folder = cache / f"models--small--{self.name}" / "snapshots" / REVISION
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "net.safetensors").write_bytes(data)


SMALL = {
    small.name: small
    for small in (
        Small("small-uniformer", "uniformer", "uniformer_small", 4, 64, '"spread"'),
        Small("small-videomae", "videomae2", "videomae2_small", 4, 64, "0.2"),
        Small("small-mvit", "torchvision", "mvit_small", 4, 32, "0.2"),
        Small("small-swin", "torchvision", "swin3d_small", 4, 64, "0.2"),
    )
}


def torchvisions_own(net: Any) -> Any:
    """The same network, computed by torchvision's own code. Those of other families stay as they are."""
    from torchvision.models.video.mvit import MultiscaleAttention

    for module in net.modules():
        if isinstance(module, MultiscaleAttention):
            module.__class__ = MultiscaleAttention
    return net
