"""Own tags on features of random weights: they must not beat the embedded networks, or something leaks into the folds.

    python benchmarks/random_features.py ../shared/data/workout ../shared/data/fight --out build/random
    python benchmarks/random_features.py FOLDER --networks my-resnet50 my-clip-datacomp --repeats 1

Folds are those of own_tags.py, by source. The networks have the shipped architectures and random weights, made on first
use. The sampler is left out, since its features are always the embedded ones: the head learns from all preview frames
alike, with its usual weight decay. Random networks still see colour and texture, so they may beat chance.

Three rows are no networks. `file` knows only length, size and rate of the video file. `shuffled` gives the videos each
other's tags. `clip by clip` is the fault that the folds prevent: what the embedded networks seem to reach if each clip
counts as a source of its own.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import torch
from actions_speed import prepared, row_text
from gpu import OBJECTS, TIMM, saved
from own_tags import FOLDS, folds_of, load, source_of

from nsnet_cli.cli.train import without_words
from nsnet_cli.labelled.folds import deal_folds
from nsnet_cli.nets.threads import one_thread
from nsnet_cli.training.dataset import Dataset
from nsnet_cli.training.head import USUAL_DECAY, fit_head
from nsnet_cli.weights.checkpoint import resolve_checkpoint
from nsnet_cli.weights.heads import linear_scores

EMBEDDED, SHUFFLED, FILE, CLIP_BY_CLIP = "imagenet-lite", "shuffled", "file", "clip by clip"
FRAMES = {"my-lite2": "tf_efficientnet_lite2", "my-resnet50": "resnet50"}
"""Networks of frames, by the names of their checkpoints: timm's architectures."""
NETWORKS = (*FRAMES, "my-clip-datacomp", "my-kinetics-uniformer", "my-kinetics710-videomae2")


def prepare(out: Path, networks: list[str]) -> None:
    """Rows and files of random weights, in the environment. Previews are the embedded ones."""
    import timm

    environment = prepared(out)
    text = Path(environment["NSNET_WEIGHTS"]).read_text()
    for name, architecture in FRAMES.items():
        torch.manual_seed(0)
        source = saved(out, f"{name}.safetensors", timm.create_model(architecture).state_dict())
        text += TIMM.format(name=name, architecture=architecture, **source)
        checkpoint = OBJECTS.format(preview="efficientnet-lite0").replace("my-objects", name)
        text += checkpoint.replace("my-resnet50", name)
    if "my-clip-datacomp" in networks:
        import open_clip

        torch.manual_seed(0)
        clip = open_clip.model.CLIP(**open_clip.get_model_config("ViT-B-32"))
        text += row_text("clip-datacomp", saved(out, "clip.safetensors", clip.state_dict()))
    Path(environment["NSNET_WEIGHTS"]).write_text(text)
    os.environ |= environment | {"HF_HUB_OFFLINE": "1"}


def file_facts(dataset: Dataset) -> Dataset:
    """The dataset with facts about the files in place of the recogniser's features, each with mean 0 and spread 1."""
    rows = []
    for example in dataset.examples:
        with av.open(example.name, metadata_errors="ignore") as container:
            video = container.streams.video[0]
            length_s = float((container.duration or 0) / av.time_base)
            size_bytes = Path(example.name).stat().st_size
            rows.append([length_s, video.width, video.height, float(video.average_rate or 0), size_bytes])
    facts = np.log(np.maximum(np.array(rows, np.float64), 1e-3))
    facts = (facts - facts.mean(0)) / np.maximum(facts.std(0), 1e-9)
    return with_features(
        dataset, [np.tile(row, (len(e.times), 1)) for row, e in zip(facts, dataset.examples, strict=True)]
    )


def with_features(dataset: Dataset, features: list[np.ndarray]) -> Dataset:
    pairs = zip(dataset.examples, features, strict=True)
    return replace(dataset, examples=tuple(replace(example, recogniser=found) for example, found in pairs))


def shuffled(dataset: Dataset, seed: int) -> Dataset:
    """The videos with each other's tags."""
    order = np.random.default_rng(seed).permutation(len(dataset.examples))
    pairs = zip(dataset.examples, order, strict=True)
    return replace(dataset, examples=tuple(replace(e, labels=dataset.examples[i].labels) for e, i in pairs))


def fold_by_fold(dataset: Dataset, fold: np.ndarray, seed: int) -> float:
    """Top-1 in % of all videos, each judged by a head that saw no video of its fold. fold (N,)."""
    features = [np.asarray(example.recogniser, np.float32) for example in dataset.examples]
    targets = np.zeros((len(features), len(dataset.vocabulary)))
    for row, example in enumerate(dataset.examples):
        targets[row, list(example.labels)] = 1
    right = 0
    for k in range(FOLDS):
        seen, held = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        even = [np.ones(len(features[i])) for i in seen]
        rows = [features[i] for i in seen]
        head = fit_head(rows, even, targets[seen], multi_label=False, seed=seed, decays=(USUAL_DECAY,))
        for i in held:
            scores = linear_scores(features[i], head.weight, head.bias, multi_label=False).mean(0)
            right += int(scores.argmax()) in dataset.examples[i].labels
    return 100 * right / len(features)


def run(source: Path, networks: list[str], preview: int, repeats: int) -> dict[str, object]:
    base = load(source, resolve_checkpoint(EMBEDDED), preview)
    sets = {EMBEDDED: base}
    for name in networks:
        other = load(source, without_words(resolve_checkpoint(name)), preview)
        assert [e.name for e in other.examples] == [e.name for e in base.examples]
        sets[name] = other
    sets[FILE] = file_facts(base)
    labels, own = [example.labels[0] for example in base.examples], [example.name for example in base.examples]
    sources = {source_of(name) for name in own}
    most = 100 * max(map(labels.count, labels)) / len(labels)
    print(f"\n{source}: {len(labels)} videos of {len(sources)} sources, {len(base.vocabulary)} tags, {preview} frames;")
    print(f"{repeats} x {FOLDS} folds. The most frequent tag alone: {most:.1f} %")
    tops: dict[str, list[float]] = {}
    with one_thread():
        for seed in range(repeats):
            fold = folds_of(base, seed)
            for name, dataset in sets.items():
                tops.setdefault(name, []).append(fold_by_fold(dataset, fold, seed))
            tops.setdefault(SHUFFLED, []).append(fold_by_fold(shuffled(base, seed), fold, seed))
            tops.setdefault(CLIP_BY_CLIP, []).append(fold_by_fold(base, deal_folds(labels, own, FOLDS, seed), seed))
    print(f"{'':26}{'top-1 %':>14}{'less embedded':>18}")
    for name, top in tops.items():
        less = np.array(top) - np.array(tops[EMBEDDED])
        print(f"{name:26}{np.mean(top):8.1f} ± {np.std(top):3.1f}{less.mean():+11.1f} ± {less.std():4.1f}", flush=True)
    return {"data": str(source), "videos": len(labels), "sources": len(sources), "top1": tops}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+", help="folders of class folders")
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--preview", type=int, default=8, help="frames per video: few, as some networks are slow")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path("build/random"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    prepare(args.out, args.networks)
    found = [run(source, args.networks, args.preview, args.repeats) for source in args.data]
    (args.out / "random_features.json").write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
