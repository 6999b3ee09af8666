"""What less precision gives and costs: core time per frame, top-1 on photos, changed answers; composites; whole runs.

    python benchmarks/fast.py ../shared/data --composites ../build/composites-dev --clips ../shared/data/fight

`--fast` is bf16 where the CPU has instructions for it, which is then measured too; else 8 bits for the preview network
only. Half of the photos are judged, which the ranges of 8 bits have not seen. Times per frame are of one core, all
precisions in turn: the processor's own, which other programs hardly change. `--clips` tags a folder with and without
`--fast`, whole processes in turn. `--fit` measures the ranges anew, by NNCF (pip install nncf) on the other half of the
photos and on footage, and writes nsnet_cli/data/int8_ranges.json.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import openvino
from PIL import Image
from speed import TAG, in_turn

from nsnet_cli.labelled.metrics import inside, roc_auc
from nsnet_cli.nets.cpu_engine import PREVIEW_BATCH, RECOGNISER_BATCH, CpuEngine, Graph, fast_precision, loaded, shrink
from nsnet_cli.nets.exports import Exports
from nsnet_cli.nets.quantised import RANGES_FILE, key_of, layers
from nsnet_cli.policies import select
from nsnet_cli.reading import read_options
from nsnet_cli.selection import aggregate
from nsnet_cli.storage.urls import located
from nsnet_cli.types import TagOptions
from nsnet_cli.video.local import LocalReader
from nsnet_cli.weights.checkpoint import Checkpoint, resolve_checkpoint
from nsnet_cli.weights.vocabulary import load_vocabulary

SIDE_PX = 256
FRAMES_PER_VIDEO = 3
MOST_FOOTAGE = 320
ROUNDS = 40


def square(image: Image.Image) -> np.ndarray:
    keep = min(image.size) * 0.875
    left, top = (image.width - keep) / 2, (image.height - keep) / 2
    box = (left, top, left + keep, top + keep)
    return np.asarray(image.convert("RGB").resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC, box=box))


def photos(data: Path, odd: int) -> tuple[np.ndarray, np.ndarray]:
    """Every second photo (N, S, S, 3), and its class (N,)."""
    ids = [tag.id for tag in load_vocabulary("imagenet-1k")]
    chosen = sorted((data / "photos").glob("*.JPEG"))[odd::2]
    pixels = np.stack([square(Image.open(file)) for file in chosen])
    return pixels, np.array([ids.index(file.name.split("_")[0]) for file in chosen])


def footage(data: Path) -> np.ndarray:
    """The first key frames of many videos."""
    found: list[np.ndarray] = []
    paths = sorted([*data.rglob("*.mp4"), *data.rglob("*.mov")], key=lambda path: path.name[::-1])  # mixes the sources
    for path in paths:
        try:
            with av.open(str(path)) as container:
                stream = container.streams.video[0]
                stream.codec_context.skip_frame = "NONKEY"
                for _, frame in zip(range(FRAMES_PER_VIDEO), container.decode(stream), strict=False):
                    found.append(square(frame.to_image()))
        except (av.error.FFmpegError, IndexError):
            continue
        if len(found) >= MOST_FOOTAGE:
            break
    return np.stack(found)


# ---- fit -------------------------------------------------------------------------------------------------------------


def fitted(checkpoint: Checkpoint, data: Path) -> dict[str, Any]:
    """The ranges of both networks, by NNCF."""
    import nncf

    frames = np.concatenate([photos(data, 0)[0], footage(data)])
    exports, networks = Exports(), {}
    for use, batch in ((checkpoint.preview, PREVIEW_BATCH), (checkpoint.recogniser, RECOGNISER_BATCH)):
        graph = openvino.Core().read_model(exports.classifier(use, batch).folder / "graph.xml")
        shown = shrink(frames, use.size_px)
        batches = [shown[i : i + batch] for i in range(0, len(shown) - batch + 1, batch)]
        settings = nncf.AdvancedQuantizationParameters(disable_bias_correction=True)
        found = nncf.quantize(
            graph,
            nncf.Dataset(batches),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(batches),
            advanced_parameters=settings,
        )
        inputs = [input_range(layer) for layer in layers(found)]
        inputs[0] = inputs[-2] = inputs[-1] = None  # what the pixels and the features go through
        networks[key_of(use)] = {"network": use.network.name, "size_px": use.size_px, "inputs": inputs}
    return networks


def input_range(layer: openvino.Node) -> list[float] | None:
    """The range that NNCF gave the input of a layer; what lies between only moves numbers."""
    node = layer.input_value(0).get_node()
    while node.get_type_name() in ("Pad", "Reshape", "ReduceMean", "Squeeze", "Transpose"):
        node = node.input_value(0).get_node()
    if node.get_type_name() != "FakeQuantize":
        return None
    return [round(float(node.input_value(i).get_node().data.reshape(-1)[0]), 6) for i in (1, 2)]


# ---- judge -----------------------------------------------------------------------------------------------------------


def core_ms(graphs: Sequence[Graph], frames: np.ndarray) -> list[float]:
    """Median milliseconds of the processor per frame, of each graph in turn."""
    took: list[list[float]] = [[] for _ in graphs]
    for _ in range(ROUNDS):
        for graph, own in zip(graphs, took, strict=True):
            began = time.process_time()
            graph(frames)
            own.append((time.process_time() - began) / len(frames) * 1e3)
    return [float(np.median(own)) for own in took]


def judge_photos(checkpoint: Checkpoint, data: Path, bf16: bool) -> None:
    pixels, classes = photos(data, 1)
    exports = Exports()
    kinds = ("f32", "int8", "bf16") if bf16 else ("f32", "int8")
    for use, batch in ((checkpoint.preview, PREVIEW_BATCH), (checkpoint.recogniser, RECOGNISER_BATCH)):
        kept = [exports.classifier(use, batch, int8=kind == "int8") for kind in kinds]
        graphs = [
            loaded(exports, one, "bf16" if kind == "bf16" else "f32") for one, kind in zip(kept, kinds, strict=True)
        ]
        shown = shrink(pixels, use.size_px)
        best = [graph(shown)[1].argmax(1) for graph in graphs]
        took = core_ms(graphs, shown[:batch])
        for kind, export, answers, ms in zip(kinds, kept, best, took, strict=True):
            megabytes = (export.folder / "graph.bin").stat().st_size / 1e6
            top1, changed = (100 * np.mean(each) for each in (answers == classes, answers != best[0]))
            print(
                f"{use.network.name} {use.size_px} px {kind}: {megabytes:.1f} MB, {ms:.2f} core ms per frame, "
                f"top-1 {top1:.1f} %, {changed:.1f} % of answers changed",
                flush=True,
            )


def judge_composites(checkpoint: Checkpoint, folder: Path, most: int, bf16: bool) -> None:
    """The whole way of a video but for its decoding, which all share. `--fast` never has a recogniser in 8 bits."""
    plain, fast, exports = CpuEngine(checkpoint), CpuEngine(checkpoint, "int8"), Exports()
    recogniser = loaded(exports, exports.classifier(checkpoint.recogniser, RECOGNISER_BATCH, int8=True))
    ways = {
        "f32": (plain, plain.recognise),
        "preview in int8 (--fast without bf16)": (fast, plain.recognise),
        "recogniser in int8": (plain, recogniser),
    }
    if bf16:
        half = CpuEngine(checkpoint, "bf16")
        ways["both in bf16 (--fast here)"] = (half, half.recognise)
    options = TagOptions(frames=checkpoint.frames, preview=checkpoint.preview_frames)
    reading = read_options(checkpoint, options, jpegs=False, threads=1)
    saliency: dict[str, list[np.ndarray]] = {way: [] for way in ways}
    first: dict[str, list[str]] = {way: [] for way in ways}
    truth = []
    with (folder / "labels.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[:most]
    for row in rows:
        with LocalReader(located(str(folder / row["path"])), reading) as video:
            batches = list(video.preview())
        pixels, pts_s = (np.concatenate([getattr(b, name) for b in batches]) for name in ("pixels", "pts_s"))
        order = np.argsort(pts_s, kind="stable")
        pixels, pts_s = pixels[order], pts_s[order]
        segments = [tuple(map(float, each.split("-"))) for each in row["segments"].split(";")]
        truth.append(inside(pts_s, segments))  # type: ignore[arg-type]
        for way, (engine, recognise) in ways.items():
            features, logits = engine.preview(pixels)
            found = engine.saliency(features, logits, pts_s / video.info.duration_s).combined
            chosen = select("nsnet", found, pts_s, options.frames, features=features, seed=0)
            scores = checkpoint.head.scores(*recognise(pixels[chosen]))
            first[way].append(checkpoint.vocabulary[int(aggregate(scores, found[chosen]).argmax())].id)
            saliency[way].append(found)
    for way, tags in first.items():
        area = roc_auc(np.concatenate(saliency[way]), np.concatenate(truth))
        right = np.mean([tag in row["label"].split(";") for tag, row in zip(tags, rows, strict=True)])
        same = np.mean([ours == plain for ours, plain in zip(tags, first["f32"], strict=True)])
        print(f"{len(rows)} composites, {way}: top-1 {100 * right:.1f} %, ROC-AUC {area:.4f}, same {100 * same:.1f} %")


def judge_run(checkpoint: str, clips: Path, pairs: int) -> None:
    """Tags a folder with `--fast` and without, in turn. Prints the medians of the seconds and of their ratio."""
    plain = [*TAG, "--checkpoint", checkpoint, str(clips)]
    found = in_turn([*plain, "--fast"], plain, pairs)
    fast_s, plain_s, ratio = found["ours_s"], found["other_s"], 1 / found["ratio"]
    print(f"{clips}: {plain_s:.2f} s, with --fast {fast_s:.2f} s, {ratio:.2f} times as long")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--composites", type=Path)
    parser.add_argument("--clips", type=Path)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--most", type=int, default=120)
    parser.add_argument("--checkpoint", default="imagenet-lite")
    parser.add_argument("--fit", action="store_true")
    args = parser.parse_args()
    checkpoint = resolve_checkpoint(args.checkpoint)
    if args.fit:
        RANGES_FILE.write_text(json.dumps(fitted(checkpoint, args.data)) + "\n", encoding="utf-8")
        return
    bf16 = fast_precision(checkpoint) == "bf16"
    judge_photos(checkpoint, args.data, bf16)
    if args.composites:
        judge_composites(checkpoint, args.composites, args.most, bf16)
    if args.clips:
        judge_run(args.checkpoint, args.clips, args.pairs)


if __name__ == "__main__":
    main()
