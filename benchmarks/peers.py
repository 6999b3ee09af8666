"""What people run today, as whole programs for timing: `python benchmarks/peers.py KIND FILE [FILE ...]`.

dense          decord at one frame per second, timm in torch on each (peer a)
even           decord, 64 evenly spaced frames, timm in torch (peer b)
dense-engine   as dense, with our decoder and CPU engine (peer c)
even-engine    as even, with our decoder and CPU engine (peer c)
videomae       transformers' VideoMAE-base, random weights, fed as by its pipeline: for speed only (peer d)
limit          only decoding what `nsnet tag` previews, then only the networks (limit e)

Each prints one line per file: the seconds it took and its first tag.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

EVEN_FRAMES = 64
SIDE_PX = 256


def torch_tags(path: Path, dense: bool) -> str:
    """The plain script: decode to a square, normalise, run the recogniser on all frames, average."""
    import decord
    import numpy as np
    import torch

    from nsnet_cli.nets.networks import load_classifier

    if not hasattr(torch_tags, "network"):
        torch_tags.network = load_classifier(default_checkpoint().recogniser)  # type: ignore[attr-defined]
    reader = decord.VideoReader(str(path), width=SIDE_PX, height=SIDE_PX)
    count, fps = len(reader), reader.get_avg_fps()
    wanted = np.arange(0, count, max(1, round(fps))) if dense else np.linspace(0, count - 1, EVEN_FRAMES).astype(int)
    total = torch.zeros(1000)
    with torch.inference_mode():
        for start in range(0, len(wanted), 32):
            pixels = torch.from_numpy(reader.get_batch(wanted[start : start + 32]).asnumpy())
            total += torch_tags.network(pixels)[1].softmax(1).sum(0)  # type: ignore[attr-defined]
    return name_of(int(total.argmax()))


def engine_tags(path: Path, dense: bool) -> str:
    """The same two samplings with our decoder and engine. Every frame is recognised."""
    import numpy as np

    from nsnet_cli.media import FrameBatch, ReadOptions
    from nsnet_cli.nets.build import build_engine
    from nsnet_cli.video import read_video
    from nsnet_cli.video.probe import probe_video

    if not hasattr(engine_tags, "engine"):
        engine_tags.engine = build_engine(default_checkpoint(), "cpu")  # type: ignore[attr-defined]
    frames = max(1, round(probe_video(path, ReadOptions(SIDE_PX)).info.duration_s)) if dense else EVEN_FRAMES
    total, engine = np.zeros(1000), engine_tags.engine  # type: ignore[attr-defined]
    for item in read_video(path, ReadOptions(SIDE_PX, max_frames=frames, even=True, threads=2)):
        if isinstance(item, FrameBatch):
            total += default_checkpoint().head.scores(*engine.recognise(item.pixels)).sum(0)
    return name_of(int(total.argmax()))


def videomae_tags(path: Path) -> str:
    """transformers' own pipeline: 16 frames of the whole video, VideoMAE-base, random weights."""
    import av
    import numpy as np
    import torch
    from transformers import VideoMAEConfig, VideoMAEForVideoClassification, VideoMAEImageProcessor

    if not hasattr(videomae_tags, "network"):
        videomae_tags.network = VideoMAEForVideoClassification(VideoMAEConfig()).eval()  # type: ignore[attr-defined]
        videomae_tags.processor = VideoMAEImageProcessor()  # type: ignore[attr-defined]
    with av.open(str(path)) as container:  # as transformers.pipelines.video_classification reads: pass over all frames
        count = container.streams.video[0].frames
        wanted = set(np.linspace(0, count - 1, 16).astype(int).tolist())
        frames = [f.to_ndarray(format="rgb24") for i, f in enumerate(container.decode(video=0)) if i in wanted]
    with torch.inference_mode():
        inputs = videomae_tags.processor(frames, return_tensors="pt")  # type: ignore[attr-defined]
        return str(int(videomae_tags.network(**inputs).logits.argmax()))  # type: ignore[attr-defined]


def limit(path: Path) -> str:
    """Decodes the planned preview, then runs the networks on it. Nothing overlaps, nothing else is done."""
    import numpy as np

    from nsnet_cli.media import FrameBatch
    from nsnet_cli.nets.build import build_engine
    from nsnet_cli.tagger import read_options
    from nsnet_cli.types import TagOptions
    from nsnet_cli.video import read_video

    checkpoint = default_checkpoint()
    if not hasattr(limit, "engine"):
        limit.engine = build_engine(checkpoint, "cpu")  # type: ignore[attr-defined]
    engine = limit.engine  # type: ignore[attr-defined]
    options = read_options(checkpoint, TagOptions(), jpegs=False, threads=1)
    batches = [item for item in read_video(path, options) if isinstance(item, FrameBatch)]
    outputs = [engine.preview(batch.pixels) for batch in batches]
    features, logits = (np.concatenate(parts) for parts in zip(*outputs, strict=True))
    pts_s = np.concatenate([batch.pts_s for batch in batches])
    saliency = engine.saliency(features, logits, pts_s / max(pts_s.max(), 1e-6)).combined
    chosen = np.argsort(-saliency)[:4]
    views = np.concatenate([batch.pixels for batch in batches])[chosen]
    scores = checkpoint.head.scores(*engine.recognise(views))
    return name_of(int(scores.mean(0).argmax()))


def default_checkpoint():  # type: ignore[no-untyped-def]
    from nsnet_cli.weights.checkpoint import resolve_checkpoint

    return resolve_checkpoint("imagenet-lite")


def name_of(index: int) -> str:
    return str(default_checkpoint().vocabulary[index].name)


def main() -> None:
    kind, paths = sys.argv[1], [Path(p) for p in sys.argv[2:]]
    run = {
        "dense": lambda p: torch_tags(p, dense=True),
        "even": lambda p: torch_tags(p, dense=False),
        "dense-engine": lambda p: engine_tags(p, dense=True),
        "even-engine": lambda p: engine_tags(p, dense=False),
        "videomae": videomae_tags,
        "limit": limit,
    }[kind]
    run(paths[0])  # warm up: networks loaded, caches filled
    for path in paths if kind == "limit" else paths[1:]:
        start = time.perf_counter()
        tag = run(path)
        print(f"{time.perf_counter() - start:.3f}\t{tag}\t{path}")


if __name__ == "__main__":
    main()
