"""The losses of NSNet. Class C, the last of the C+1, is non-salient.

From the abstract of arXiv 2207.10388: a frame-level loss on pseudo labels that separate salient from non-salient
frames (FSM), and a video-level loss on temporal attention, supervised by both the salient and the non-salient
representation (VGM).

Ours (a reconstruction): that both are cross-entropies through one classifier, the balance of the two kinds of frames,
the form for several labels, and that the attention of an own vocabulary learns from the pseudo labels too.
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
    attention: Tensor


def frame_loss(frame_logits: Tensor, pseudo: Tensor) -> Tensor:
    """Cross-entropy on pseudo labels. Salient and non-salient frames weigh one half each, whatever their numbers.

    frame_logits (B, T, C+1), pseudo (B, T) in {0..C-1: class, C: non-salient, IGNORED} -> (). It is 0 if no frame is
    labelled.
    """
    last = frame_logits.shape[-1] - 1
    loss = F.cross_entropy(
        frame_logits.flatten(0, 1), pseudo.flatten(), ignore_index=IGNORED, reduction="none"
    )  # (B * T,)
    return _mean_of_kinds(loss, pseudo.flatten(), last)


def attention_loss(attention: Tensor, pseudo: Tensor, classes: int) -> Tensor:
    """Binary cross-entropy of the VGM's lambda on the same pseudo labels. The two kinds weigh one half each.

    X- is a mean over most of the video, so its loss hardly depends on a single salient frame; this one does.
    attention (B, T) in [0, 1], pseudo (B, T) as for `frame_loss`, classes C -> ().
    """
    salient = (pseudo >= 0) & (pseudo < classes)
    loss = F.binary_cross_entropy(attention.clamp(1e-5, 1 - 1e-5), salient.float(), reduction="none")
    return _mean_of_kinds(loss.flatten(), pseudo.flatten(), classes)


def _mean_of_kinds(loss: Tensor, pseudo: Tensor, classes: int) -> Tensor:
    """Mean of two means: over the salient and over the non-salient frames. Both (N,) -> ()."""
    kinds = [loss[kind] for kind in ((pseudo >= 0) & (pseudo < classes), pseudo == classes)]
    means = [kind.mean() for kind in kinds if len(kind)]
    return torch.stack(means).mean() if means else loss.sum() * 0


def salient_loss(salient_logits: Tensor, labels: Tensor) -> Tensor:
    """X+ is classified as the video's label. (B, C+1), labels (B, C) in {0, 1} -> ().

    A video with n labels wants 1/n for each.
    """
    target = F.pad(labels / labels.sum(-1, keepdim=True).clamp_min(1), (0, 1))  # (B, C+1)
    entropy = -(target * target.clamp_min(1e-9).log()).sum(-1)  # so that the least loss is 0 for any n
    return ((-target * salient_logits.log_softmax(-1)).sum(-1) - entropy).mean()


def non_salient_loss(non_salient_logits: Tensor) -> Tensor:
    """X- is classified as non-salient. (B, C+1) -> ()."""
    return -non_salient_logits.log_softmax(-1)[:, -1].mean()


def sampler_loss(
    output: SamplerOutput, batch: Batch, video_weight: float = 1.0, attention_weight: float = 0.0
) -> Losses:
    """Frame level + video_weight * (salient + non-salient) / 2 + attention_weight * attention."""
    frame = frame_loss(output.frame_logits, batch.pseudo)
    salient = salient_loss(output.salient_logits, batch.labels)
    rest = non_salient_loss(output.non_salient_logits)
    total = frame + video_weight * (salient + rest) / 2
    if not attention_weight:
        return Losses(total, frame, salient, rest, torch.zeros(()))
    attention = attention_loss(output.vgm, batch.pseudo, batch.labels.shape[1])
    return Losses(total + attention_weight * attention, frame, salient, rest, attention)
