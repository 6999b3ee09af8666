"""The text towers of SigLIP and CLIP: from token ids to embeddings of length 1. Needs torch."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nsnet_cli.errors import WeightsError
from nsnet_cli.nets.layouts import TowerFile
from nsnet_cli.nets.networks import fill
from nsnet_cli.weights.rows import NetworkRow

HEAD_WIDTH = 64
BATCH = 64


class Block(nn.Module):
    def __init__(self, width: int, hidden: int, eps: float, activation: nn.Module) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width, eps)
        self.attn = nn.MultiheadAttention(width, width // HEAD_WIDTH, batch_first=True)
        self.ln_2 = nn.LayerNorm(width, eps)
        layers = [("c_fc", nn.Linear(width, hidden)), ("gelu", activation), ("c_proj", nn.Linear(hidden, width))]
        self.mlp = nn.Sequential(OrderedDict(layers))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, need_weights=False, attn_mask=mask)[0]
        return x + self.mlp(self.ln_2(x))  # type: ignore[no-any-return]


class TextTower(nn.Module):
    """Embedded tokens (N, L, W) and the position (N,) to read from -> embeddings (N, D) of length 1.

    SigLIP sees all tokens from each and reads the last one, padding included. CLIP sees only those before each.
    """

    def __init__(self, state: dict[str, Tensor], *, siglip: bool) -> None:
        super().__init__()
        context, width = state["positional_embedding"].shape
        blocks = len({name.split(".")[2] for name in state if name.startswith("transformer.resblocks.")})
        hidden = len(state["transformer.resblocks.0.mlp.c_fc.bias"])
        eps, activation = (1e-6, nn.GELU("tanh")) if siglip else (1e-5, nn.GELU())
        self.siglip, self.context = siglip, context
        self.positional_embedding = nn.Parameter(torch.empty(context, width))
        self.transformer = nn.Module()
        self.transformer.resblocks = nn.ModuleList(Block(width, hidden, eps, activation) for _ in range(blocks))
        self.ln_final = nn.LayerNorm(width, eps)
        bias = state.get("text_projection.bias")  # a layer in SigLIP, a matrix in CLIP
        self.text_projection: nn.Module | nn.Parameter = (
            nn.Parameter(torch.empty(state["text_projection"].shape)) if bias is None else nn.Linear(width, len(bias))
        )

    def forward(self, tokens: Tensor, last: Tensor) -> Tensor:
        length = tokens.shape[1]
        x = tokens + self.positional_embedding[:length]
        mask = None if self.siglip else torch.full((length, length), -torch.inf, device=x.device).triu(1)
        for block in self.transformer.resblocks:  # type: ignore[union-attr]
            x = block(x, mask)
        x = self.ln_final(x[torch.arange(len(x), device=x.device), last])
        project = self.text_projection
        return F.normalize(project(x) if isinstance(project, nn.Module) else x @ project, dim=-1)


def load_text_tower(file: TowerFile, row: NetworkRow) -> TextTower:
    """Returns the text tower of an open file, in eval mode. Raises WeightsError if it is none."""
    state = file.text()
    try:
        if state["positional_embedding"].shape[1] % HEAD_WIDTH:
            raise ValueError(f"its text tower's width is not a multiple of {HEAD_WIDTH}")
        tower = TextTower(state, siglip=row.family == "siglip")
    except (KeyError, ValueError, IndexError) as error:
        message = f"{file.path} has no text tower that fits the family {row.family}: {error}"
        raise WeightsError(message, "correct its row", "bad_tensors") from error
    fill(tower, state, file.path, row)
    return tower.eval()


@torch.inference_mode()
def embed_ids(tower: TextTower, file: TowerFile, batch: Sequence[Sequence[int]], padding: int) -> Tensor:
    """Embeds texts as token ids, each at most the tower's context long: (N, D) on the CPU."""
    # SigLIP was trained with padding to the full length. What CLIP reads sees nothing of the padding after it.
    length = tower.context if tower.siglip else max(map(len, batch))
    padded = torch.tensor([[*ids, *[padding] * (length - len(ids))] for ids in batch])
    known, place = padded.unique(return_inverse=True)
    last = torch.tensor([length - 1 if tower.siglip else len(ids) - 1 for ids in batch])
    device = tower.positional_embedding.device
    rows = file.tokens(known.tolist()).to(device)
    return tower(rows[place.to(device)], last.to(device)).float().cpu()  # type: ignore[no-any-return]
