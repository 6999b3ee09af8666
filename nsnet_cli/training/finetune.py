"""Fine-tunes the whole recogniser on the salient frames of labelled videos, and keeps it only if it is better.

It begins with the head that was fitted to the untuned features, so the first step is already good. The learning rate
is small, normalisation keeps its statistics, and the epoch with the lowest loss on held-out videos is taken. If that
loss is no lower than before, or fewer held-out videos are right, the recogniser stays as it was.
"""

from __future__ import annotations

import copy
import hashlib
import logging
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from nsnet_cli.atomic import write_whole
from nsnet_cli.errors import UsageError, VideoError
from nsnet_cli.labelled.features import Extractor, FeatureCache, default_cache_dir, headless
from nsnet_cli.labelled.gather import once
from nsnet_cli.labelled.mapped import MappedExtractor
from nsnet_cli.nets.build import build_engine
from nsnet_cli.nets.families import load_network
from nsnet_cli.nets.networks import ViewNetwork
from nsnet_cli.nets.sampler import Sampler
from nsnet_cli.progress import progress
from nsnet_cli.records import dataclass
from nsnet_cli.selection import aggregate
from nsnet_cli.training.dataset import Dataset, Example
from nsnet_cli.training.fit import epoch_rows
from nsnet_cli.training.head import FittedHead, video_losses
from nsnet_cli.training.salient_frames import Frames, Videos, salient_frames
from nsnet_cli.training.scored import head_of
from nsnet_cli.weights.checkpoint import Checkpoint
from nsnet_cli.weights.heads import probabilities
from nsnet_cli.weights.tuned import TUNED_FILE, tuned_use

logger = logging.getLogger(__name__)

EPOCHS, PATIENCE = 8, 2
BATCH_VIDEOS = 8
LEARNING_RATE, HEAD_RATE = 3e-5, 3e-4
WEIGHT_DECAY = 0.01
SMALLEST_CROP = 0.8
"""Side of the smallest crop, as a share of the frame's."""


@dataclass(frozen=True, slots=True)
class FineTuned:
    """`checkpoint` has the tuned recogniser. The held-out videos of `dataset` have its features."""

    checkpoint: Checkpoint
    dataset: Dataset
    head: FittedHead
    metrics: dict[str, float]


def check_tunable(dataset: Dataset, base: Checkpoint) -> None:
    """Raises UsageError if this recogniser cannot be fine-tuned on this dataset."""
    row = base.recogniser.network
    if row.family != "timm" or row.frames != 1:
        message = f"{row.name} cannot be fine-tuned: --finetune is for recognisers of single frames, of the family timm"
        raise UsageError(message, "leave --finetune out: the head alone is trained then")
    if not dataset.of("val"):
        raise UsageError(
            "--finetune needs held-out videos, to stop in time", "mark some as val, or give --val-split 0.2"
        )


def fine_tune(
    dataset: Dataset, base: Checkpoint, sampler: Sampler, videos: Videos, work: Path, frames: int, seed: int
) -> FineTuned | None:
    """Fine-tunes the recogniser. None if that is no better on the held-out videos. Frames are kept in `work`."""
    device = "cuda" if videos.device in ("auto", "cuda") and torch.cuda.is_available() else "cpu"
    work.mkdir(parents=True, exist_ok=True)
    split = {name: dataset.of(name) for name in ("train", "val")}  # type: ignore[arg-type]
    found = {
        name: salient_frames(examples, dataset, sampler, videos, work / f"{name}.npy", frames)
        for name, examples in split.items()
    }
    head = head_of(sampler, split["train"], dataset, seed=seed)
    network = load_network(base.recogniser)
    tuned = tune(network, head, found["train"], found["val"], dataset.multi_label, seed, device)
    if tuned is None:
        return None
    head, metrics = tuned
    checkpoint = _written(network, base, work)
    held_out = _with_features(dataset, checkpoint, videos)
    return FineTuned(checkpoint, held_out, head, metrics)


def tune(
    network: ViewNetwork, head: FittedHead, train: Frames, val: Frames, multi_label: bool, seed: int, device: str
) -> tuple[FittedHead, dict[str, float]] | None:
    """Tunes the network in place and returns its head and metrics. None if the held-out videos are no better off."""
    network.to(device).eval()  # eval: normalisation keeps its statistics, and nothing is dropped
    weight, bias = (torch.tensor(part, device=device, requires_grad=True) for part in (head.weight, head.bias))
    groups = [
        {"params": list(network.net.parameters()), "lr": LEARNING_RATE},
        {"params": [weight, bias], "lr": HEAD_RATE},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=WEIGHT_DECAY)
    first = judge(network, weight, bias, val, multi_label)
    (loss, right), best, stale = first, first, 0
    kept: tuple[dict[str, Any], Tensor, Tensor] | None = None
    with progress("fine-tuning", EPOCHS, "epochs") as bar:
        for epoch in range(EPOCHS):
            _epoch(network, weight, bias, optimizer, train, multi_label, [seed, epoch])
            loss, right = judge(network, weight, bias, val, multi_label)
            logger.debug("fine-tuning, epoch %d: held-out loss %.4f, %.1f %% right", epoch + 1, loss, 100 * right)
            bar.advance()
            if loss < best[0] and right >= first[1]:
                best, stale = (loss, right), 0
                kept = copy.deepcopy((network.state_dict(), weight.detach(), bias.detach()))
            else:
                stale += 1
            if stale > PATIENCE:
                break
    words = "held-out loss %.3f, before %.3f; %.1f %% of the held-out videos right, before %.1f %%"
    shown = (best[0] if kept else loss, first[0], 100 * (best[1] if kept else right), 100 * first[1])
    if kept is None:
        logger.info("fine-tuning did not help, the head alone is kept: " + words, *shown)
        return None
    logger.info("fine-tuned: " + words, *shown)
    network.load_state_dict(kept[0])
    network.cpu()
    tuned = FittedHead(kept[1].cpu().numpy(), kept[2].cpu().numpy(), head.decay)
    return tuned, {"finetune_val_loss": best[0], "head_only_val_loss": first[0]}


def _epoch(
    network: ViewNetwork,
    weight: Tensor,
    bias: Tensor,
    optimizer: torch.optim.Optimizer,
    frames: Frames,
    multi_label: bool,
    seed: list[int],
) -> None:
    rng = np.random.default_rng(seed)
    order = [row for row in epoch_rows(frames.labels, rng) if frames.rows[row].stop > frames.rows[row].start]
    steps = range(0, len(order), BATCH_VIDEOS)
    rates = [group.setdefault("initial_lr", group["lr"]) for group in optimizer.param_groups]
    for step in steps:
        done = (seed[1] + step / len(order)) / EPOCHS
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * done)) * min(1.0, done * EPOCHS + 0.1)
        some = order[step : step + BATCH_VIDEOS]
        pixels = torch.cat([cropped(frames.pixels[frames.rows[row]], rng) for row in some]).to(weight.device)
        count = torch.tensor([frames.rows[row].stop - frames.rows[row].start for row in some])
        targets = torch.from_numpy(frames.targets[some]).float().repeat_interleave(count, 0).to(weight.device)
        share = torch.cat([torch.from_numpy(_shares(frames.saliency[frames.rows[row]])) for row in some])
        with torch.autocast("cuda", torch.bfloat16, enabled=weight.is_cuda):
            features, _ = network(pixels)
        loss = (video_losses(features.float(), targets, weight, bias, multi_label) * share.to(weight.device)).sum()
        optimizer.zero_grad()
        (loss / len(some)).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], 1.0)
        optimizer.step()


@torch.no_grad()
def judge(network: ViewNetwork, weight: Tensor, bias: Tensor, frames: Frames, multi_label: bool) -> tuple[float, float]:
    """Mean loss of videos, scored as `tag` scores them, and the share of them whose first tag is right."""
    total, right, count = 0.0, 0, 0
    for row, place in enumerate(frames.rows):
        if place.stop == place.start:
            continue
        features, _ = network(torch.from_numpy(np.asarray(frames.pixels[place])).to(weight.device))
        logits = (features.float() @ weight.T + bias).cpu().numpy()
        scores = aggregate(probabilities(logits, multi_label=multi_label), frames.saliency[place])
        target = frames.targets[row]
        sure = np.log(np.clip(scores, 1e-7, 1 - 1e-7))
        total -= float((target * sure).sum() / target.sum())
        if multi_label:
            total -= float(((1 - target) * np.log1p(-np.clip(scores, 1e-7, 1 - 1e-7))).sum() / target.sum())
        right += int(scores.argmax()) in frames.labels[row]
        count += 1
    return total / max(count, 1), right / max(count, 1)


def cropped(pixels: np.ndarray, rng: np.random.Generator) -> Tensor:
    """A random crop of a video's frames, the same of all of them, at the old size. (K, S, S, 3) uint8 -> the same.

    Nothing is mirrored: left and right may be what tags tell apart.
    """
    side = pixels.shape[1]
    size = round(side * rng.uniform(SMALLEST_CROP, 1))
    top, left = (int(rng.integers(0, side - size + 1)) for _ in range(2))
    part = torch.from_numpy(np.array(pixels[:, top : top + size, left : left + size])).permute(0, 3, 1, 2).float()
    found = F.interpolate(part, (side, side), mode="bilinear", antialias=True, align_corners=False)
    return found.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


def _shares(saliency: np.ndarray) -> np.ndarray:
    weights = np.maximum(saliency, 1e-3)
    return np.asarray(weights / weights.sum(), np.float32)


# ---- the tuned network ----------------------------------------------------------------------------------------------


def _written(network: ViewNetwork, base: Checkpoint, work: Path) -> Checkpoint:
    """Writes the weights into `work` and returns the checkpoint that recognises with them."""
    from safetensors.torch import save

    data = save({name: value.contiguous() for name, value in network.net.state_dict().items()})
    write_whole(work / TUNED_FILE, data)
    tuned = tuned_use(base.recogniser, work, hashlib.sha256(data).hexdigest())
    return replace(base, recogniser=tuned)


def _with_features(dataset: Dataset, checkpoint: Checkpoint, videos: Videos) -> Dataset:
    """The dataset, with the tuned recogniser's features of the held-out videos: those that are measured."""
    own = headless(checkpoint)
    extractor: Extractor = MappedExtractor(
        checkpoint=own,
        read=videos.read,
        networks=once(lambda: build_engine(own, videos.device)),
        open=videos.open,
        cache=FeatureCache(default_cache_dir()),
    )

    def again(example: Example) -> Example | None:
        if example.split == "train":
            return example
        try:
            found = extractor.video(Path(example.name)).recogniser
        except VideoError:
            return None
        assert found is not None
        return replace(example, recogniser=found.features)

    pool = ThreadPoolExecutor(videos.jobs)
    try:
        examples = tuple(example for example in pool.map(again, dataset.examples) if example is not None)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return replace(dataset, examples=examples)
