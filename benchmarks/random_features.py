"""Own tags on features of random weights: they must not beat the embedded networks, or something leaks into the folds.

    python benchmarks/random_features.py ../shared/data/workout ../shared/data/fight --out build/random
    python benchmarks/random_features.py FOLDER --networks my-resnet50 my-clip-datacomp --repeats 1

Everything is as in own_tags.py but for what the head learns from. The networks have the shipped architectures and
random weights, made on first use; the sampler and the folds are the same for all rows. Two rows are no networks:
`file` knows only length, size and rate of the video file, and `shuffled` gives the videos each other's tags. Random
networks still see colour and texture, so they may beat chance. `less embedded` is per repeat, with its spread.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import torch
from actions_speed import prepared, row_text
from gpu import OBJECTS, TIMM, saved
from own_tags import FOLDS, folds_of, held_out, load, source_of

from nsnet_cli.cli.train import without_words
from nsnet_cli.evaluation.policies import ScoredVideo, accuracy
from nsnet_cli.nets.threads import one_thread
from nsnet_cli.training.dataset import Dataset
from nsnet_cli.training.train import TrainOptions, fit_all, own_head, score
from nsnet_cli.weights.checkpoint import resolve_checkpoint

EMBEDDED, SHUFFLED, FILE = "imagenet-lite", "shuffled", "file"
FRAMES = {"my-lite2": "tf_efficientnet_lite2", "my-resnet50": "resnet50"}
"""Networks of frames, by the names of their checkpoints: timm's architectures."""
NETWORKS = (*FRAMES, "my-clip-datacomp", "my-kinetics-uniformer", "my-kinetics710-videomae2")
COLUMNS = (("nsnet", 4), ("uniform", 4), ("dense", 1))


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


def one_repeat(base: Dataset, others: Mapping[str, Dataset], seed: int, epochs: int) -> dict[str, list[ScoredVideo]]:
    """All videos as scored by each recogniser's features. The sampler of a fold is trained once, for all of them."""
    fold, options = folds_of(base, seed), TrainOptions(seed=seed, epochs=epochs)
    found: dict[str, list[ScoredVideo]] = {}
    for k in range(FOLDS):
        dealt = held_out(base, fold, k, seed)
        with one_thread():
            sampler = fit_all(dealt, options).sampler
            for name, other in {EMBEDDED: base, **others}.items():
                seen = held_out(other, fold, k, seed)
                head = own_head(sampler, (*seen.of("train"), *seen.of("val")), seen, options)
                found.setdefault(name, []).extend(score(seen.of("test"), sampler, head, seen.multi_label))
        print(f"  repeat {seed} fold {k}", file=sys.stderr, flush=True)
    return found


def run(source: Path, networks: list[str], preview: int, repeats: int, epochs: int) -> dict[str, object]:
    base = load(source, resolve_checkpoint(EMBEDDED), preview)
    others = {FILE: file_facts(base)}
    for name in networks:
        other = load(source, without_words(resolve_checkpoint(name)), preview)
        assert [e.name for e in other.examples] == [e.name for e in base.examples]
        others[name] = with_features(base, [np.asarray(e.recogniser, np.float32) for e in other.examples])
        sizes = np.concatenate([np.asarray(e.recogniser, np.float64) for e in others[name].examples])
        print(f"  {name}: features of spread {sizes.std():.3g}, of frames {sizes.std(0).mean():.3g}", file=sys.stderr)
    made: dict[str, list[list[ScoredVideo]]] = {}
    for seed in range(repeats):
        for name, videos in one_repeat(base, {**others, SHUFFLED: shuffled(base, seed)}, seed, epochs).items():
            made.setdefault(name, []).append(videos)
    tops = {  # (repeats,) of each policy
        name: {p: np.array([100 * accuracy(videos, p, k).top1 for videos in runs]) for p, k in COLUMNS}
        for name, runs in made.items()
    }
    labels = [example.labels[0] for example in base.examples]
    sources = {source_of(example.name) for example in base.examples}
    most = 100 * max(map(labels.count, labels)) / len(labels)
    print(
        f"\n{source}: {len(labels)} videos of {len(sources)} sources, {len(base.vocabulary)} tags; {repeats} x {FOLDS}"
    )
    print(f"folds. The most frequent tag alone: {most:.1f} %")
    print(
        f"{'top-1 %':26}" + "".join(f"{policy if policy == 'dense' else f'{policy} K=4':>16}" for policy, _ in COLUMNS)
    )
    rows = []
    for name in (EMBEDDED, *networks, FILE, SHUFFLED):
        less = {p: tops[name][p] - tops[EMBEDDED][p] for p, _ in COLUMNS}
        cells = "".join(f"{tops[name][p].mean():9.1f} ± {tops[name][p].std():4.1f}" for p, _ in COLUMNS)
        print(f"{name:26}{cells}   less embedded {less['dense'].mean():+6.1f} ± {less['dense'].std():4.1f} (dense)")
        rows.append({"network": name, **{p: tops[name][p].tolist() for p, _ in COLUMNS}})
    return {"data": str(source), "videos": len(labels), "sources": len(sources), "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+", help="folders of class folders")
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--preview", type=int, default=8, help="frames per video: few, as some networks are slow")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--out", type=Path, default=Path("build/random"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    prepare(args.out, args.networks)
    logging.getLogger("nsnet_cli.training").setLevel(logging.WARNING)  # each fold would say that it is not calibrated
    found = [run(source, args.networks, args.preview, args.repeats, args.epochs) for source in args.data]
    (args.out / "random_features.json").write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
