"""Composites on disk to features and answers, and the policies side by side on them."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from render import Engine

from nsnet_cli.nets.sampler import Sampler
from nsnet_cli.selection import aggregate, confidence
from nsnet_cli.training.measure import roc_auc, saliency
from nsnet_cli.training.sequences import FeatureSequence
from nsnet_cli.training.synthetic import even_frames, pixels
from nsnet_cli.weights.registry import CheckpointRow
from nsnet_cli.weights.vocabulary import load_vocabulary


@dataclass(frozen=True, slots=True)
class Composites:
    """Videos end to end; N frames in all. labels (V,) wnid, lengths (V,)."""

    features: np.ndarray  # (N, D) of the preview network
    probs: np.ndarray  # (N, C) of the recogniser
    times: np.ndarray  # (N,) pts_s / duration
    salient: np.ndarray  # (N,) bool
    lengths: np.ndarray
    labels: np.ndarray


def read_composites(folder: Path, work: Path, row: CheckpointRow) -> Composites:
    """One frame a second (24 to 128) of each video of labels.csv, through both networks. Kept in work."""
    kept = work / f"{folder.name}.npz"
    if not kept.exists():
        preview, recogniser = Engine(row.preview), Engine(row.recogniser)
        parts: dict[str, list[np.ndarray]] = {"features": [], "probs": [], "times": [], "salient": []}
        rows = list(csv.DictReader((folder / "labels.csv").open()))
        for entry in rows:
            frames = list(even_frames(folder / entry["path"]))
            images = pixels([image for _, image in frames], row.recogniser.size_px)
            pts = np.array([pts_s for pts_s, _ in frames])
            spans = [tuple(map(float, span.split("-"))) for span in entry["segments"].split(";")]
            parts["features"].append(preview(images)[0].astype(np.float16))
            parts["probs"].append(softmax(recogniser(images)[1]).astype(np.float16))
            parts["times"].append(pts / float(entry["duration_s"]))
            parts["salient"].append(np.array([any(a <= t < b for a, b in spans) for t in pts]))
        lengths, labels = [len(t) for t in parts["times"]], [entry["label"] for entry in rows]
        joined = {name: np.concatenate(values) for name, values in parts.items()}
        np.savez(kept, **joined, lengths=np.array(lengths), labels=np.array(labels))
    with np.load(kept) as data:
        return Composites(**{name: data[name] for name in Composites.__slots__})


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def sequences(dev: Composites, head: torch.nn.Linear) -> list[FeatureSequence]:
    index = {tag.id: i for i, tag in enumerate(load_vocabulary("imagenet-1k"))}
    with torch.no_grad():
        logits = head(torch.as_tensor(dev.features.astype(np.float32))).numpy()
    ends = np.cumsum(dev.lengths)
    return [
        FeatureSequence(
            dev.features[e - n : e],
            dev.times[e - n : e],
            (index[str(label)],),
            logits[e - n : e],
            dev.salient[e - n : e],
        )
        for e, n, label in zip(ends, dev.lengths, dev.labels, strict=True)
    ]


def policies_table(sampler: Sampler, head: torch.nn.Linear, dev: Composites, k: int = 4) -> dict[str, float]:
    """Top-1 in percent at K frames of each policy, with the tagger's own aggregate and confidence; ROC-AUC."""
    videos = sequences(dev, head)
    probs = np.split(dev.probs.astype(np.float32), np.cumsum(dev.lengths)[:-1])
    found = saliency(sampler, videos)
    scores = {
        "uniform": [even(len(v), k) for v in videos],
        "confidence": [confidence(np.asarray(v.logits)) for v in videos],
        "fsm": [f.fsm for f in found],
        "vgm": [f.vgm for f in found],
        "nsnet": [f.combined for f in found],
        "oracle": [np.asarray(v.salient, dtype=float) for v in videos],
    }
    out = {}
    for name, rows in scores.items():
        right = []
        for video, p, s in zip(videos, probs, rows, strict=True):
            best = np.argsort(-s, kind="stable")[:k]
            right.append(int(aggregate(p[best], s[best]).argmax()) == video.labels[0])
        out[f"top1 {name}"] = round(100 * float(np.mean(right)), 1)
    dense = [int(p.mean(0).argmax()) == v.labels[0] for v, p in zip(videos, probs, strict=True)]
    out["top1 dense mean"] = round(100 * float(np.mean(dense)), 1)
    for name in ("confidence", "fsm", "vgm", "nsnet"):
        out[f"roc_auc {name}"] = round(roc_auc(np.concatenate(scores[name]), dev.salient), 4)
    hits = [np.asarray(v.salient)[np.argsort(-f.combined)[:k]].mean() for v, f in zip(videos, found, strict=True)]
    most = [min(1.0, np.asarray(v.salient).sum() / k) for v in videos]
    out["right of 4"], out["right of 4 at most"] = round(float(np.mean(hits)), 3), round(float(np.mean(most)), 3)
    return out


def even(frames: int, k: int) -> np.ndarray:
    """1 at the middles of k equal parts."""
    scores = np.zeros(frames)
    scores[((np.arange(k) + 0.5) * frames / k).astype(int)] = 1
    return scores
