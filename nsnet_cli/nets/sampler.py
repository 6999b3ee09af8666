"""NSNet's sampler: from preview features to the saliency of frames.

It combines the FSM (frame level) and the VGM (video level). The structure follows the abstract of arXiv 2207.10388; the
exact layers are ours (docs/method.md). Two rules hold. The classifier sees only a frame's own features, and of other
frames at most numbers that carry no label. Only the attention mixes frames. An attention over features that the
encoder has already mixed over time would satisfy both of its losses without finding anything.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nsnet_cli.nets.sampler_config import FASTEST, FSM_SHARE, LIMIT, SECOND_SHARE, SamplerConfig, config_of, misfit
from nsnet_cli.nets.sampler_statistics import frame_statistics, pool, seen_elsewhere
from nsnet_cli.nets.states import read_state
from nsnet_cli.weights.checkpoint import MODEL_FILE, Checkpoint
from nsnet_cli.weights.schema import (
    CONTEXT_STATISTICS,
    ELSEWHERE_STATISTICS,
    FRAME_STATISTICS,
    LOGIT_CONTEXT_STATISTICS,
)


class SamplerOutput(NamedTuple):
    """The C+1 logits are the vocabulary's classes, then non-salient. Padding frames have saliency 0."""

    fsm: Tensor  # (B, T) in [0, 1]
    vgm: Tensor  # (B, T) in [0, 1]
    combined: Tensor  # (B, T) in [0, 1]
    frame_logits: Tensor  # (B, T, C+1)
    salient_logits: Tensor  # (B, C+1), of X+
    non_salient_logits: Tensor  # (B, C+1), of X-


class Sampler(nn.Module):
    """Scores the frames of videos, for any T and any spacing of times.

    features (B, T, D), logits (B, T, C) or None, times (B, T) = pts_s / duration, mask (B, T) True = a frame ->
    SamplerOutput. `logits` are needed if config.classes is 0, and ignored otherwise.
    """

    statistics_mean: Tensor
    statistics_std: Tensor

    def __init__(self, config: SamplerConfig) -> None:
        super().__init__()
        self.config = config
        h, fixed = config.hidden, config.classes == 0
        own, context = FRAME_STATISTICS * fixed, CONTEXT_STATISTICS + LOGIT_CONTEXT_STATISTICS * fixed
        context += ELSEWHERE_STATISTICS * fixed * config.elsewhere
        self.norm = nn.LayerNorm(config.features, elementwise_affine=False)
        self.project = nn.Linear(config.features, h) if config.appearance else None
        told = own + context * config.standing
        self.own_statistics = nn.Linear(told, h, bias=False) if told else None
        self.context_statistics = nn.Linear(context, h, bias=False)
        self.register_buffer("statistics_mean", torch.zeros(own + context))
        self.register_buffer("statistics_std", torch.ones(own + context))
        self.classifier = nn.Sequential(  # the FSM's; the VGM uses it too
            nn.LayerNorm(h), nn.Linear(h, h), nn.GELU(), nn.Dropout(config.dropout), nn.Linear(h, config.classes + 1)
        )
        self.encoder = nn.ModuleList(EncoderLayer(h, config.heads, config.dropout) for _ in range(config.layers))
        self.attention = nn.Sequential(nn.LayerNorm(h), nn.Linear(h, 1))  # the VGM's lambda
        self.second = Sampler(config.of_second()) if config.second else None

    def forward(self, features: Tensor, logits: Tensor | None, times: Tensor, mask: Tensor) -> SamplerOutput:
        if logits is None and not self.config.classes:
            raise ValueError("a sampler of a fixed vocabulary needs the preview network's logits")
        alone = self.alone(features, logits, times, mask)
        if self.second is None:
            return alone
        other = self.second(features, logits, times, mask)
        if self.training:  # each sequence teaches one of the two: taught together, one would lean on the other
            first = torch.rand(len(mask), device=mask.device) < 0.5
            rows = zip(alone, other, strict=True)
            return SamplerOutput(*(torch.where(first.view(-1, *[1] * (a.dim() - 1)), a, b) for a, b in rows))
        mean = SamplerOutput(*(between(a, b) for a, b in zip(alone, other, strict=True)))
        attention = between(log_odds(alone.vgm), log_odds(other.vgm))
        return self.judged(mean._replace(vgm=torch.sigmoid(attention) * mask.float()), attention, mask)

    def alone(self, features: Tensor, logits: Tensor | None, times: Tensor, mask: Tensor) -> SamplerOutput:
        """What this sampler says without its second."""
        x = self.norm(features.float())  # (B, T, D)
        valid = mask.unsqueeze(-1).to(x.dtype)  # (B, T, 1)
        own, context = self.standardised(self.statistics(x, logits, times, valid))
        frames = self.frames(x, own, context)  # (B, T, H): each frame's own
        frame_logits = self.classify(frames, logits)  # (B, T, C+1)

        mixed = frames + self.context_statistics(context) + time_embedding(times, frames.shape[-1])  # (B, T, H)
        for layer in self.encoder:
            mixed = layer(mixed, mask)
        attention = self.attention(mixed)  # (B, T, 1): the log-odds of lambda
        weight = torch.sigmoid(attention) * valid  # (B, T, 1): lambda
        salient = self.classify(pool(frames, weight), None if logits is None else pool(logits, weight))
        rest = valid - weight
        non_salient = self.classify(pool(frames, rest), None if logits is None else pool(logits, rest))

        nothing = weight.new_zeros(())
        out = SamplerOutput(nothing, weight[..., 0], nothing, frame_logits, salient, non_salient)
        return self.judged(out, attention[..., 0], mask)

    def judged(self, out: SamplerOutput, attention: Tensor, mask: Tensor) -> SamplerOutput:
        """With fsm and combined, which follow from the other parts. attention: log-odds, mask: both (B, T)."""
        valid = mask.float()
        fsm = (1 - out.frame_logits.softmax(-1)[..., -1]) * valid  # (B, T)
        fsm_log_odds = out.frame_logits[..., :-1].logsumexp(-1) - out.frame_logits[..., -1]  # (B, T)
        combined = self.combine(fsm, out.vgm, fsm_log_odds, attention) * valid
        return out._replace(fsm=fsm, combined=combined)

    def frames(self, x: Tensor, own: Tensor, context: Tensor) -> Tensor:
        """x (B, T, D), own (B, T, S0), context (B, T, S - S0) -> what the classifier sees of each frame (B, T, H)."""
        parts = []
        if self.project is not None:
            if self.training and self.config.feature_dropout:
                x = x * F.dropout(torch.ones_like(x[:, :1]), self.config.feature_dropout)
            parts.append(self.project(x))
        if self.own_statistics is not None:
            parts.append(self.own_statistics(torch.cat([own, context], -1) if self.config.standing else own))
        return sum(parts[1:], parts[0])

    def classify(self, frames: Tensor, logits: Tensor | None) -> Tensor:
        """(..., H), (..., C) -> (..., C+1).

        The frozen classifier is linear, so its logits of a pooled frame are the pooled logits.
        """
        head = self.classifier(frames)
        return head if logits is None or self.config.classes else torch.cat([logits.float(), head], -1)

    def combine(self, fsm: Tensor, vgm: Tensor, fsm_log_odds: Tensor, vgm_log_odds: Tensor) -> Tensor:
        """Combines FSM and VGM, all (B, T) -> (B, T).

        In the mean of log-odds the surer of the two decides, and frames whose probabilities both round to 1 still
        differ. The product needs both to be high; its root keeps the scale of a probability.
        """
        if self.config.combination == "log-odds":
            return torch.sigmoid(FSM_SHARE * fsm_log_odds + (1 - FSM_SHARE) * vgm_log_odds)
        if self.config.combination == "product":
            return torch.sqrt(fsm * vgm + 1e-12)
        return {"mean": (fsm + vgm) / 2, "fsm": fsm, "vgm": vgm}[self.config.combination]

    def statistics(self, x: Tensor, logits: Tensor | None, times: Tensor, valid: Tensor) -> Tensor:
        """x (B, T, D), logits (B, T, C), times (B, T), valid (B, T, 1) -> (B, T, S). With classes, ignores logits."""
        found = frame_statistics(x, None if self.config.classes else logits, times, valid)
        if logits is None or self.config.classes or not self.config.elsewhere:
            return found
        return torch.cat([found, torch.stack(seen_elsewhere(logits.float(), times, valid), -1)], -1)

    def standardised(self, statistics: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, S) -> a frame's own (B, T, S0), its context (B, T, S - S0).

        Both are standardised with the training set's mean and spread.
        """
        statistics = ((statistics - self.statistics_mean) / self.statistics_std).clamp(-LIMIT, LIMIT)
        own = FRAME_STATISTICS if self.config.classes == 0 else 0
        return statistics[..., :own], statistics[..., own:]

    @torch.no_grad()
    def calibrate(self, features: Tensor, logits: Tensor | None, times: Tensor, mask: Tensor) -> None:
        """Sets the mean and spread of the statistics from a batch of training sequences."""
        rows = self.statistics(self.norm(features.float()), logits, times, mask.unsqueeze(-1).float())[mask]
        self.statistics_mean.copy_(rows.mean(0))
        self.statistics_std.copy_(rows.std(0).clamp_min(1e-3))
        if not self.config.classes:  # the non-salient logit starts at the energy of the classes
            last = self.classifier[-1]
            assert isinstance(last, nn.Linear)
            last.bias.copy_(self.statistics_mean[:1])
        if self.second is not None:
            self.second.calibrate(features, logits, times, mask)


class EncoderLayer(nn.Module):
    """Pre-norm transformer layer. x (B, T, H), mask (B, T) -> (B, T, H)."""

    def __init__(self, hidden: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.scale = heads, math.sqrt(heads / hidden)
        self.norm1, self.norm2 = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.qkv, self.out = nn.Linear(hidden, 3 * hidden), nn.Linear(hidden, hidden)
        self.mlp = nn.Sequential(nn.Linear(hidden, 2 * hidden), nn.GELU(), nn.Linear(2 * hidden, hidden))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        qkv = self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1))  # (B, T, 3, heads, H / heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each (B, heads, T, H / heads)
        bias = (1 - mask[:, None, None].to(x.dtype)) * -1e4  # (B, 1, 1, T)
        weights = (q @ k.transpose(-1, -2) * self.scale + bias).softmax(-1)  # (B, heads, T, T)
        attended = (weights @ v).transpose(1, 2).flatten(2)  # (B, T, H)
        x = x + self.dropout(self.out(attended))
        return x + self.dropout(self.mlp(self.norm2(x)))


def between(first: Tensor, second: Tensor) -> Tensor:
    """The mean of what two samplers say."""
    return (1 - SECOND_SHARE) * first + SECOND_SHARE * second


def log_odds(probability: Tensor) -> Tensor:
    p = probability.float().clamp(1e-6, 1 - 1e-6)
    return (p / (1 - p)).log()


def time_embedding(times: Tensor, hidden: int) -> Tensor:
    """Sines and cosines of pts_s / duration. (B, T) in [0, 1] -> (B, T, H)."""
    bands = torch.exp(torch.linspace(0.0, math.log(FASTEST), hidden // 2, device=times.device)) * math.pi  # (H/2,)
    angles = times.unsqueeze(-1).float() * bands  # (B, T, H/2)
    return torch.cat([angles.sin(), angles.cos()], -1)


# ---- of one video ---------------------------------------------------------------------------------------------------


class SamplerGraph(nn.Module):
    """The sampler for one video: features (T, D), logits (T, C), times (T,) -> fsm (T,), vgm (T,), combined (T,)."""

    def __init__(self, sampler: Sampler) -> None:
        super().__init__()
        self.sampler = sampler

    def forward(self, features: Tensor, logits: Tensor, times: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mask = torch.ones_like(times, dtype=torch.bool)  # (T,)
        out = self.sampler(*(value.unsqueeze(0) for value in (features, logits, times, mask)))
        return out.fsm[0], out.vgm[0], out.combined[0]


def load_sampler(checkpoint: Checkpoint) -> Sampler:
    """Returns the sampler of a checkpoint folder, in eval mode. Raises WeightsError if weights and config disagree."""
    assert checkpoint.sampler is not None
    path = checkpoint.sampler / MODEL_FILE
    state = {k.removeprefix("sampler."): v for k, v in read_state(path).items() if k.startswith("sampler.")}
    sampler = Sampler(config_of(checkpoint))
    try:
        sampler.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise misfit(checkpoint, error) from error
    return sampler.eval()
