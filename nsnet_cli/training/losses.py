"""The two losses of NSNet. Class C, the last of the C+1, is non-salient.

From the abstract of arXiv 2207.10388: a frame-level loss on pseudo labels that tell salient from non-salient frames
(FSM), and a video-level loss
on temporal attention under dual supervision by the salient and the non-salient representation (VGM).
Ours (a reconstruction): that both are cross-entropies through one classifier, the balance of the two kinds of frames,
the form for several labels.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from nsnet_cli.nets.sampler import SamplerOutput
from nsnet_cli.training.sequences import IGNORED, Batch


class Losses(NamedTuple):
    total: Tensor
    frame: Tensor
    salient: Tensor
    non_salient: Tensor


def frame_loss(frame_logits: Tensor, pseudo: Tensor) -> Tensor:
    """Cross-entropy on pseudo labels, salient and non-salient frames weighing one half each, however many there are.

    frame_logits (B, T, C+1), pseudo (B, T) in {0..C-1: class, C: non-salient, IGNORED} -> (). Without any labelled
    frame: 0.
    """
    last = frame_logits.shape[-1] - 1
    loss = F.cross_entropy(
        frame_logits.flatten(0, 1), pseudo.flatten(), ignore_index=IGNORED, reduction="none"
    )  # (B * T,)
    flat = pseudo.flatten()
    kinds = [loss[kind] for kind in ((flat >= 0) & (flat < last), flat == last)]
    means = [kind.mean() for kind in kinds if len(kind)]
    return torch.stack(means).mean() if means else frame_logits.sum() * 0


def salient_loss(salient_logits: Tensor, labels: Tensor) -> Tensor:
    """X+ is classified as the video's label; a video of n labels wants 1/n for each. (B, C+1), labels (B, C) in {0,
    1} -> ().
    """
    target = F.pad(labels / labels.sum(-1, keepdim=True).clamp_min(1), (0, 1))  # (B, C+1)
    entropy = -(target * target.clamp_min(1e-9).log()).sum(-1)  # so that the least loss is 0 for any n
    return ((-target * salient_logits.log_softmax(-1)).sum(-1) - entropy).mean()


def non_salient_loss(non_salient_logits: Tensor) -> Tensor:
    """X- is classified as non-salient. (B, C+1) -> ()."""
    return -non_salient_logits.log_softmax(-1)[:, -1].mean()


def sampler_loss(output: SamplerOutput, batch: Batch, video_weight: float = 1.0) -> Losses:
    """Frame level + video_weight * (salient + non-salient) / 2."""
    frame = frame_loss(output.frame_logits, batch.pseudo)
    salient = salient_loss(output.salient_logits, batch.labels)
    rest = non_salient_loss(output.non_salient_logits)
    return Losses(frame + video_weight * (salient + rest) / 2, frame, salient, rest)
