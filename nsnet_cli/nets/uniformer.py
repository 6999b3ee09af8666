"""UniFormer light: a light network that names the action in 16 frames which are spread over a video.

Early blocks are convolutions. Later blocks are attention, and all but the first of these look at half of the places
closely: those that mattered most to the blocks before. The others share one summary. Parameters are named as in the
published files. Method: "UniFormer: Unifying Convolution and Self-attention" (Li et al.) with the dropping of tokens
of "Evo-ViT" (Xu et al.).
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HEAD_SIZE = 28
MLP_RATIO = 3
KEPT = 0.5
"""Share of the places that a block looks at closely."""
SCORE_MIX = 0.5
"""How much a block's own attention counts in the score of a place."""


def create(classes: int) -> UniFormer:
    """Returns the untrained network UniFormer light XXS. The published one takes 16 frames of 160 px."""
    return UniFormer(classes)


class UniFormer(nn.Module):
    """x (B, 3, F, S, S), normalised -> features (B, D), logits (B, classes). F is even, S a multiple of 32."""

    def __init__(
        self,
        classes: int,
        widths: tuple[int, int, int, int] = (56, 112, 224, 448),
        depths: tuple[int, int, int, int] = (2, 5, 8, 2),
    ) -> None:
        super().__init__()
        first, second, third, fourth = widths
        self.patch_embed1 = Stem(first)
        self.patch_embed2 = PatchEmbed(first, second)
        self.patch_embed3 = PatchEmbed(second, third)
        self.patch_embed4 = PatchEmbed(third, fourth)
        self.blocks1 = nn.Sequential(*(ConvolutionBlock(first) for _ in range(depths[0])))
        self.blocks2 = nn.Sequential(*(ConvolutionBlock(second) for _ in range(depths[1])))
        self.blocks3 = nn.ModuleList(AttentionBlock(third, whole=i == 0) for i in range(depths[2]))
        self.blocks4 = nn.ModuleList(AttentionBlock(fourth, whole=False) for _ in range(depths[3]))
        self.cls_token = nn.Parameter(torch.zeros(1, 1, third))
        self.cls_upsample = nn.Linear(third, fourth)
        self.norm = nn.BatchNorm3d(fourth)
        self.head = nn.Linear(fourth, classes)
        # These two are in the published files, but only training uses them.
        self.norm_cls = nn.LayerNorm(fourth, eps=1e-6)
        self.head_cls = nn.Linear(fourth, classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.features(x)
        return features, self.head(features)

    def features(self, x: Tensor) -> Tensor:
        """x (B, 3, F, S, S), normalised -> (B, D): what enters `head`."""
        grid = self.blocks2(self.patch_embed2(self.blocks1(self.patch_embed1(x))))
        grid = self.patch_embed3(grid)
        class_token = self.cls_token.expand(grid.shape[0], -1, -1)
        score = grid[:, 0].flatten(1)  # a place holder of the right shape: the first block makes the scores
        for block in self.blocks3:
            grid, class_token, score = block(grid, class_token, score)
        score = pooled(score, grid)
        grid, class_token = self.patch_embed4(grid), self.cls_upsample(class_token)
        for block in self.blocks4:
            grid, class_token, score = block(grid, class_token, score)
        return self.norm(grid).mean((2, 3, 4))


class Stem(nn.Module):
    """(B, 3, F, S, S) -> (B, width, F/2, S/4, S/4)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Sequential(
            nn.Conv3d(3, width // 2, 3, stride=(1, 2, 2), padding=1),
            nn.BatchNorm3d(width // 2),
            nn.GELU(),
            nn.Conv3d(width // 2, width, 3, stride=(2, 2, 2), padding=1),
            nn.BatchNorm3d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x)  # type: ignore[no-any-return]


class PatchEmbed(nn.Module):
    """Halves height and width: (B, before, T, H, W) -> (B, after, T, H/2, W/2)."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.proj = nn.Conv3d(before, after, (1, 2, 2), stride=(1, 2, 2))
        self.norm = nn.LayerNorm(after, eps=1e-5)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.proj(x).permute(0, 2, 3, 4, 1)).permute(0, 4, 1, 2, 3)  # type: ignore[no-any-return]


class ConvolutionBlock(nn.Module):
    """(B, width, T, H, W) -> the same shape."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.pos_embed = position(width)
        self.norm1 = nn.BatchNorm3d(width)
        self.conv1 = nn.Conv3d(width, width, 1)
        self.attn = nn.Conv3d(width, width, 5, padding=2, groups=width)
        self.conv2 = nn.Conv3d(width, width, 1)
        self.norm2 = nn.BatchNorm3d(width)
        self.mlp = mlp(nn.Conv3d(width, MLP_RATIO * width, 1), nn.Conv3d(MLP_RATIO * width, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.pos_embed(x)
        x = x + self.conv2(self.attn(self.conv1(self.norm1(x))))
        return x + self.mlp(self.norm2(x))  # type: ignore[no-any-return]


class AttentionBlock(nn.Module):
    """grid (B, C, T, H, W), class token (B, 1, C), score (B, N = THW) -> the same three.

    `whole`: all places are looked at closely, and the score is new: the one that comes in is not used.
    """

    def __init__(self, width: int, *, whole: bool) -> None:
        super().__init__()
        self.whole = whole
        self.pos_embed = position(width)
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = mlp(nn.Linear(width, MLP_RATIO * width), nn.Linear(MLP_RATIO * width, width))

    def forward(self, grid: Tensor, class_token: Tensor, score: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        grid = grid + self.pos_embed(grid)
        tokens = grid.flatten(2).transpose(1, 2)  # (B, N, C)
        if self.whole:
            z, _, score = self.mixed(torch.cat([class_token, tokens], 1))
            class_token, tokens = z[:, :1], z[:, 1:]
        else:
            class_token, tokens, score = self.pruned(class_token, tokens, score)
        return tokens.transpose(1, 2).reshape(grid.shape), class_token, score

    def pruned(self, class_token: Tensor, tokens: Tensor, score: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Looks at the tokens of the highest scores. The dropped ones are in it as their mean, weighted by score."""
        kept = int(KEPT * score.shape[1])
        order = ranked(score)
        places = order.unsqueeze(-1).expand(-1, -1, tokens.shape[-1])
        sorted_tokens, sorted_score = tokens.gather(1, places), score.gather(1, order)
        dropped, weight = sorted_tokens[:, kept:], sorted_score[:, kept:].unsqueeze(-1)
        mean = (weight * dropped).sum(1, keepdim=True) / weight.sum(1, keepdim=True)
        z, change, attention = self.mixed(torch.cat([class_token, sorted_tokens[:, :kept], mean], 1))
        new = torch.cat([z[:, 1:-1], dropped + change[:, -1:]], 1)
        mixed_score = (1 - SCORE_MIX) * sorted_score[:, :kept] + SCORE_MIX * attention[:, :-1]
        new_score = torch.cat([mixed_score, sorted_score[:, kept:]], 1)
        return z[:, :1], tokens.scatter(1, places, new), score.scatter(1, order, new_score)

    def mixed(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The tokens after attention and MLP, their change, and the class token's attention to all but itself."""
        first, attention = self.attn(self.norm1(z))
        z = z + first
        second = self.mlp(self.norm2(z))
        return z + second, first + second, attention


class Attention(nn.Module):
    """z (B, M, C), the class token first -> (B, M, C), and the attention (B, M - 1) of the class token to the rest."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = width // HEAD_SIZE
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        q, k, v = self.qkv(z).unflatten(-1, (3, self.heads, HEAD_SIZE)).permute(2, 0, 3, 1, 4).unbind(0)
        attention = (q * HEAD_SIZE**-0.5 @ k.transpose(-2, -1)).softmax(-1)  # (B, heads, M, M)
        return self.proj((attention @ v).transpose(1, 2).flatten(2)), attention[:, :, 0, 1:].mean(1)


def position(width: int) -> nn.Conv3d:
    """What tells a place where it is: a convolution sees its neighbours, and the padding at the edges."""
    return nn.Conv3d(width, width, 3, padding=1, groups=width)


def mlp(fc1: nn.Module, fc2: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(fc1=fc1, gelu=nn.GELU(), fc2=fc2))


def ranked(score: Tensor) -> Tensor:
    """Returns the indices of the tokens, the highest score first: (B, N) -> (B, N)."""
    return score.argsort(dim=1, descending=True)


def pooled(score: Tensor, grid: Tensor) -> Tensor:
    """Scores for a grid of half the height and width, with the same sum: (B, N) -> (B, N / 4)."""
    smaller = F.avg_pool2d(score.reshape(grid[:, 0].shape), 2).flatten(1)
    return smaller * (score.sum(1, keepdim=True) / smaller.sum(1, keepdim=True))
