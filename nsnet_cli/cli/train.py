"""`nsnet train`: makes a checkpoint folder from labelled videos or ready features."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nsnet_cli.cli.console import Console
from nsnet_cli.cli.options import TALKING, Command, Shared, new_app, shared
from nsnet_cli.errors import UsageError

if TYPE_CHECKING:
    from nsnet_cli.labelled.gather import ReadSettings
    from nsnet_cli.labelled.labels import Split
    from nsnet_cli.training.dataset import Dataset
    from nsnet_cli.training.train import TrainOptions
    from nsnet_cli.weights.checkpoint import Checkpoint, Kind

app = new_app()
TRAINING = "Training"


Output = Annotated[
    Path, typer.Option("--output", "-o", help="Checkpoint folder to write, for nsnet tag --checkpoint.", metavar="DIR")
]
Labels = Annotated[
    Path | None,
    typer.Argument(
        help="CSV with path,label[;label...][,split][,segments][,parents][,source], folder per class, or benchmark.",
        metavar="LABELS",
    ),
]
SplitNumber = Annotated[
    Literal["1", "2", "3"] | None,
    typer.Option("--split", help="Of UCF101, which has three splits: the one whose training videos are taken."),
]
Features = Annotated[
    Path | None,
    typer.Option(
        "--features",
        metavar="FILE",
        help="Train on ready features instead of LABELS: .npz or .safetensors with features (N, T, D), labels (N,) and,"
        " if you have them, times, names, split, logits, recogniser_features.",
    ),
]
Vocabulary = Annotated[
    Literal["own", "imagenet"],
    typer.Option(
        "--vocabulary",
        help="own: your labels become the tags; imagenet: train only a sampler, for ImageNet's 1000 tags.",
    ),
]
Epochs = Annotated[
    int,
    typer.Option(
        "--epochs", min=1, help="Most epochs; training stops earlier if nothing improves.", rich_help_panel=TRAINING
    ),
]
ValSplit = Annotated[
    float,
    typer.Option(
        "--val-split",
        min=0.0,
        max=0.9,
        help="Share of the videos held out to decide when to stop, if LABELS marks none as val; 0: none.",
        rich_help_panel=TRAINING,
    ),
]
Finetune = Annotated[
    bool,
    typer.Option(
        "--finetune",
        help="Also train the recogniser itself, on salient frames: kept only if held-out videos gain. Best on a GPU.",
        rich_help_panel=TRAINING,
    ),
]
MultiLabel = Annotated[
    bool | None,
    typer.Option(
        "--multi-label/--single-label",
        help="Whether a video can have several tags. [default: multi-label if any video has several; single-label for"
        " benchmarks, as in papers]",
        rich_help_panel=TRAINING,
        show_default=False,
    ),
]


@app.command(cls=Command)
@shared(
    *("frames", "preview", "device", "decoder", "jobs", *TALKING),
    checkpoint={"help": "Checkpoint whose preview network and recogniser are used."},
    seed={"help": "The same seed gives the same weights.", "rich_help_panel": TRAINING, "envvar": None},
)
def train(
    output: Output,
    labels: Labels = None,
    split: SplitNumber = None,
    features: Features = None,
    vocabulary: Vocabulary = "own",
    epochs: Epochs = 40,
    val_split: ValSplit = 0.2,
    multi_label: MultiLabel = None,
    finetune: Finetune = False,
    *,
    shared: Shared,
) -> int:
    """Train a sampler and your own tags on your videos, and write them as a checkpoint folder.

    Features are extracted once and kept in your cache, so a second run trains in seconds. To continue an interrupted
    run, give the same command again. A benchmark is written as for nsnet evaluate, as in activitynet:DIR; the videos
    that its figures are measured on are never trained on.
    """
    from nsnet_cli.labelled.gather import ReadSettings
    from nsnet_cli.training.train import TrainOptions
    from nsnet_cli.weights.checkpoint import resolve_checkpoint

    if (labels is None) == (features is None):
        raise UsageError("give either LABELS or --features FILE", "as in: nsnet train labels.csv -o my-tags/")
    _check_output(output)
    console, base = shared.console(), without_words(resolve_checkpoint(shared.checkpoint))
    kind: Kind = "own-vocabulary" if vocabulary == "own" else "fixed-vocabulary"
    if vocabulary == "imagenet" and base.preview.network.vocabulary != "imagenet-1k":
        raise UsageError(
            f"{base.preview.network.name}, the preview network of {base.name}, does not know ImageNet's tags",
            "choose another --checkpoint, or train your own tags",
        )
    options = TrainOptions(
        kind, epochs, shared.seed, shared.frames or base.frames, shared.preview or base.preview_frames
    )
    if split is not None and features is not None:
        raise UsageError("--split is for benchmarks, not for --features", "mark the rows of the file in `split`")
    if finetune and (features is not None or vocabulary == "imagenet"):
        raise UsageError("--finetune is for your own tags on videos", "leave it out, or give LABELS")
    settings = ReadSettings(options.preview, shared.device, shared.decoder, shared.jobs)
    if features is not None:
        dataset = _ready(features, kind, base, multi_label)
    else:
        assert labels is not None
        dataset = _extracted(labels, split or "", kind, base, settings, multi_label, console)
    _train(dataset, base, options, output, val_split, settings, finetune, console)
    return 0


def _check_output(folder: Path) -> None:
    """Raises OutputError if the checkpoint would replace files that nsnet did not write."""
    from nsnet_cli.outputs.save import check_folder
    from nsnet_cli.training.train import STATE_FOLDER
    from nsnet_cli.weights.checkpoint import CARD_FILE, CONFIG_FILE, MODEL_FILE
    from nsnet_cli.weights.tuned import TUNED_FILE

    check_folder(folder, (CONFIG_FILE, CARD_FILE, MODEL_FILE, TUNED_FILE), marks=(CONFIG_FILE, STATE_FOLDER))


def without_words(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint without its words, if it has any: training needs its networks only, and no text tower."""
    from dataclasses import replace

    from nsnet_cli.weights.heads import OwnClassifier
    from nsnet_cli.weights.text_head import TextHead

    return replace(checkpoint, head=OwnClassifier(())) if isinstance(checkpoint.head, TextHead) else checkpoint


def _ready(path: Path, kind: Kind, base: Checkpoint, multi_label: bool | None) -> Dataset:
    from nsnet_cli.training.dataset import in_vocabulary, read_features
    from nsnet_cli.weights.vocabulary import load_vocabulary

    dataset = read_features(path, multi_label)
    if kind == "own-vocabulary":
        return dataset
    return in_vocabulary(dataset, load_vocabulary(base.preview.network.vocabulary))


def _extracted(
    source: Path,
    fold: str,
    kind: Kind,
    base: Checkpoint,
    settings: ReadSettings,
    multi_label: bool | None,
    console: Console,
) -> Dataset:
    """The dataset from labelled videos. Checks labels against the vocabulary before reading the first video."""
    from nsnet_cli.cli.labelled import gather, read_label_file
    from nsnet_cli.labelled.benchmark import to_train
    from nsnet_cli.labelled.labels import label_indices
    from nsnet_cli.labelled.parents import hierarchy_rows
    from nsnet_cli.labelled.protocol import trained_on
    from nsnet_cli.training.dataset import from_videos
    from nsnet_cli.types import TagName
    from nsnet_cli.weights.vocabulary import load_vocabulary

    labels = read_label_file(source, console, fold, to_train)
    if labels.benchmark is not None and multi_label is None:
        multi_label = False
    own = kind == "own-vocabulary"
    vocabulary = (
        tuple(TagName(name, name) for name in labels.names) if own else load_vocabulary(base.preview.network.vocabulary)
    )
    indices = dict(zip((v.path for v in labels.videos), label_indices(labels.videos, vocabulary), strict=True))
    used = {label for video in (*labels.videos, *labels.missing) for label in video.labels}
    hierarchy = hierarchy_rows(labels.declared, sorted(used)) if own else []
    found = gather(labels, base, settings, console, recogniser=own, mapped=True)
    rows = [(video, indices[video.path], features) for video, features in found]
    return from_videos(rows, vocabulary, trained_on(source, fold), multi_label, hierarchy)


def _train(
    dataset: Dataset,
    base: Checkpoint,
    options: TrainOptions,
    output: Path,
    val_split: float,
    settings: ReadSettings,
    finetune: bool,
    console: Console,
) -> None:
    from contextlib import nullcontext
    from dataclasses import replace

    from nsnet_cli.training.dataset import deal
    from nsnet_cli.training.salient_frames import again
    from nsnet_cli.training.train import train as run
    from nsnet_cli.training.train import training_device
    from nsnet_cli.weights.checkpoint import READY_FEATURES

    dealt = deal(dataset, val_split, options.seed)
    splits: tuple[Split, ...] = ("train", "val", "test")
    counts = ", ".join(f"{count} {split}" for split in splits if (count := len(dealt.of(split))))
    console.info(f"{len(dealt.examples)} videos ({counts}), {len(dealt.vocabulary)} tags")
    options = replace(options, device=training_device(settings.device, len(dealt.examples)))
    if options.device == "cuda":
        console.info("training on the GPU")
    with again(base, settings) if finetune else nullcontext() as videos:
        config = run(dealt, base, options, output, command=shlex.join(["nsnet", *sys.argv[1:]]), videos=videos)
    _report(config["metrics"], options.frames, console)
    console.data(str(output))
    if config["preview"]["network"].startswith(READY_FEATURES):
        console.info("trained on ready features that no network of nsnet makes: this checkpoint cannot tag videos")
    else:
        console.info(f"try it: nsnet tag --checkpoint {shlex.quote(str(output))} VIDEO")


def _report(metrics: dict[str, float], frames: int, console: Console) -> None:
    for split in ("val", "test"):
        if f"{split}_videos" in metrics:
            shares = ", ".join(
                f"{name} {metrics[f'{split}_top1_{policy}']:.1%}"
                for policy, name in (
                    ("nsnet", f"nsnet K={frames}"),
                    ("uniform", f"uniform K={frames}"),
                    ("dense", "dense"),
                )
            )
            console.info(f"top-1 of the {metrics[f'{split}_videos']:.0f} {split} videos: {shares}")
