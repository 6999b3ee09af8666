"""Numbers about the frames of a video that mean the same for any footage and any classes: what a sampler is told."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from nsnet_cli.nets.sampler_config import ALIKE, ALIKE_WIDTH, FAR


def pool(values: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean over time. values (B, T, N), weight (B, T, 1) -> (B, N)."""
    return (values.float() * weight).sum(1) / weight.sum(1).clamp_min(1e-4)


def frame_statistics(x: Tensor, logits: Tensor | None, times: Tensor, valid: Tensor) -> Tensor:
    """Returns numbers that mean the same for unseen classes.

    x (B, T, D), logits (B, T, C), times (B, T), valid (B, T, 1) -> (B, T, S).
    """
    unit = F.normalize(x, dim=-1)
    likeness = (unit * F.normalize(pool(unit, valid), dim=-1).unsqueeze(1)).sum(-1)  # (B, T)
    near = (unit[:, 1:] * unit[:, :-1]).sum(-1) * valid[:, 1:, 0]  # (B, T-1)
    before, after = F.pad(near, (1, 0), value=0.0), F.pad(near, (0, 1), value=0.0)
    context = [likeness, before, after, *recurrence(unit, times, valid)]
    if logits is None:
        return torch.stack(context, -1)
    z = logits.float()
    energy = z.logsumexp(-1)  # (B, T)
    log_p = z - energy.unsqueeze(-1)
    entropy = -(log_p.exp() * log_p).sum(-1)
    top = z.topk(2, -1).values  # (B, T, 2)
    high = top[..., 0]
    own = [energy, high, high - top[..., 1], entropy, (high - energy).exp()]
    count = valid.sum((1, 2)).unsqueeze(-1)  # (B, 1)
    above = [value - (value * valid[..., 0]).sum(1, keepdim=True) / count for value in (energy, high)]
    return torch.stack([*own, *context, *above], -1)


def recurrence(unit: Tensor, times: Tensor, valid: Tensor) -> list[Tensor]:
    """Measures how much of a video is like each of its frames: scenery comes back, the subject mostly does not.

    unit (B, T, D) of length 1, times (B, T), valid (B, T, 1) -> five of (B, T). Three are the log share of the video
    that is alike, for each cosine in ALIKE. Two are the highest and the mean likeness to frames that are FAR away; the
    highest is -1 if there are none.
    """
    frames = valid.transpose(1, 2)  # (B, 1, T)
    alike = unit @ unit.transpose(1, 2)  # (B, T, T)
    count = frames.sum(-1)  # (B, 1)
    shares = [(torch.sigmoid((alike - least) / ALIKE_WIDTH) * frames).sum(-1) / count for least in ALIKE]
    far = far_away(times, frames)
    nearest = (alike * far - (1 - far)).amax(-1)
    mean = (alike * far).sum(-1) / far.sum(-1).clamp_min(1.0)
    return [*(share.clamp_min(1e-3).log() for share in shares), nearest, mean]


def far_away(times: Tensor, frames: Tensor) -> Tensor:
    """Which frames are FAR from each frame. times (B, T), frames (B, 1, T) of 0 and 1 -> (B, T, T) of 0 and 1."""
    return ((times.unsqueeze(2) - times.unsqueeze(1)).abs() > FAR).to(frames.dtype) * frames


def seen_elsewhere(logits: Tensor, times: Tensor, valid: Tensor) -> list[Tensor]:
    """Measures whether the classes of a frame are seen in the rest of its video: a desk is a desk in every frame.

    logits (B, T, C), times (B, T), valid (B, T, 1) -> four of (B, T). How far the logit of a frame's best class is
    above the video's mean of this class, and above its highest value FAR away; then the highest and the mean
    likeness of the logits to those of frames FAR away. Without frames FAR away these are the first again, 0 and 0.
    """
    frames = valid.transpose(1, 2)  # (B, 1, T)
    far = far_away(times, frames)  # (B, T, T)
    high, best = logits.max(-1)  # (B, T)
    there = logits.gather(2, best.unsqueeze(1).expand(-1, logits.shape[1], -1)).transpose(1, 2)  # (B, T, T)
    mean = (there * frames).sum(-1) / frames.sum(-1)
    most = torch.where(far.sum(-1) > 0, (there * far - (1 - far) * 1e4).amax(-1), mean)
    unit = F.normalize(logits - logits.mean(-1, keepdim=True), dim=-1)
    alike = unit @ unit.transpose(1, 2) * far  # (B, T, T)
    return [high - mean, high - most, alike.amax(-1), alike.sum(-1) / far.sum(-1).clamp_min(1.0)]
