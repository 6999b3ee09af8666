"""VideoMAE V2's network: a plain transformer on 16 consecutive frames. Heavier than UniFormer, and more accurate.

Parameters are named as in the published files. Method: "VideoMAE V2: Scaling Video Masked Autoencoders with Dual
Masking" (Wang et al.).
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

TUBE = (2, 16, 16)
"""Frames, height and width of what one token sees."""
MLP_RATIO = 4
NORM_EPS = 1e-6


def create(classes: int) -> VideoMAE:
    """Returns the untrained network VideoMAE V2 ViT-S/16, for 16 frames of 224 px."""
    return VideoMAE(classes)


class VideoMAE(nn.Module):
    """x (B, 3, F, S, S), normalised -> features (B, D), logits (B, classes), with F and S as given here."""

    positions: Tensor

    def __init__(
        self, classes: int, width: int = 384, depth: int = 12, heads: int = 6, frames: int = 16, size_px: int = 224
    ) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(width)
        count = (frames // TUBE[0]) * (size_px // TUBE[1]) * (size_px // TUBE[2])
        self.register_buffer("positions", sinusoids(count, width), persistent=False)  # not in the published files
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(depth)))
        self.fc_norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.features(x)
        return features, self.head(features)

    def features(self, x: Tensor) -> Tensor:
        """x (B, 3, F, S, S), normalised -> (B, D): what enters `head`."""
        return self.fc_norm(self.blocks(self.patch_embed(x) + self.positions).mean(1))  # type: ignore[no-any-return]


class PatchEmbed(nn.Module):
    """(B, 3, F, S, S) -> tokens (B, N, width), in the order time, height, width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv3d(3, width, TUBE, stride=TUBE)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x).flatten(2).transpose(1, 2)  # type: ignore[no-any-return]


class Block(nn.Module):
    """(B, N, width) -> the same shape."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=NORM_EPS)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=NORM_EPS)
        hidden = MLP_RATIO * width
        layers = OrderedDict(fc1=nn.Linear(width, hidden), gelu=nn.GELU(), fc2=nn.Linear(hidden, width))
        self.mlp = nn.Sequential(layers)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))  # type: ignore[no-any-return]


class Attention(nn.Module):
    """(B, N, width) -> the same shape. Queries and values have a bias, keys have none."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_bias = nn.Parameter(torch.zeros(width))
        self.v_bias = nn.Parameter(torch.zeros(width))
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        bias = torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])
        qkv = F.linear(x, self.qkv.weight, bias).unflatten(-1, (3, self.heads, -1))  # (B, N, 3, heads, size)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        # It scales by 1 / sqrt(size of a head), and never holds the whole matrix of N x N.
        mixed = F.scaled_dot_product_attention(q, k, v)
        return self.proj(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


def sinusoids(count: int, width: int) -> Tensor:
    """The table of positions (1, count, width): sines in even columns, cosines in odd ones, slower to the right."""
    index = torch.arange(count, dtype=torch.float64).unsqueeze(1)
    speed = 10_000 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angle = index * speed  # (count, width / 2)
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1).unsqueeze(0).float()
