"""How well a sampler finds the frames that matter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from nsnet_cli.labelled.metrics import roc_auc
from nsnet_cli.nets.sampler import Sampler
from nsnet_cli.records import dataclass
from nsnet_cli.training.sequences import FeatureSequence, collate


@dataclass(frozen=True, slots=True)
class SequenceSaliency:
    """fsm, vgm, combined (T,) in [0, 1] of one sequence; video (C+1,) probabilities of its salient representation."""

    fsm: np.ndarray
    vgm: np.ndarray
    combined: np.ndarray
    video: np.ndarray


@torch.no_grad()
def saliency(sampler: Sampler, sequences: Sequence[FeatureSequence], batch: int = 64) -> list[SequenceSaliency]:
    """Runs the sampler in eval mode over sequences, in order, and restores its mode."""
    was_training = sampler.training
    sampler.eval()
    out: list[SequenceSaliency] = []
    for start in range(0, len(sequences), batch):
        part = sequences[start : start + batch]
        padded = collate(part, 1 + max(max(s.labels) for s in part), [np.zeros(len(s), dtype=np.int64) for s in part])
        padded = padded.to(sampler.statistics_mean.device)
        result = sampler(padded.features, padded.logits, padded.times, padded.mask)
        video = result.salient_logits.softmax(-1).cpu().numpy()
        parts = [x.cpu().numpy() for x in (result.fsm, result.vgm, result.combined)]
        for row, sequence in enumerate(part):
            t = len(sequence)
            fsm, vgm, combined = (x[row, :t].copy() for x in parts)
            out.append(SequenceSaliency(fsm, vgm, combined, video[row].copy()))
    sampler.train(was_training)
    return out


def known_answers(sampler: Sampler, sequences: Sequence[FeatureSequence]) -> dict[str, float]:
    """ROC-AUC of the saliency over all frames, and the share of the 4 best frames that are right.

    Only sequences with a known `salient` count.
    """
    known = [s for s in sequences if s.salient is not None and s.salient.any() and not s.salient.all()]
    if not known:
        return {}
    found = saliency(sampler, known)
    truth = np.concatenate([np.asarray(s.salient) for s in known])
    metrics = {
        f"roc_auc_{n}": roc_auc(np.concatenate([getattr(f, n) for f in found]), truth)
        for n in ("fsm", "vgm", "combined")
    }
    hits = [
        np.asarray(s.salient)[np.argsort(-f.combined, kind="stable")[:4]].mean()
        for s, f in zip(known, found, strict=True)
    ]
    return {**metrics, "right_of_4": float(np.mean(hits))}
