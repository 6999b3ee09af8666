"""How long any words take against what one would write instead: open_clip in torch on one frame per second.

    python benchmarks/words_speed.py --long long.mp4 --clips folder
    python benchmarks/words_speed.py --long long.mp4 --clips folder --checkpoint siglip2-b16
    python benchmarks/words_speed.py --made 20 --count 2      # small made videos, to try it

Weights are random and of full size: their numbers do not change how long they take. Needs nsnet[words]. Prints seconds
and their ratio for one long video and for a folder of clips. Embeddings of the words are made before either starts.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from actions_speed import placed, row_text
from gpu import saved

WORDS = "a birthday cake, kite surfing, an empty street, a dog, a child on a swing"
MODELS = {"clip-datacomp": "ViT-B-32", "siglip2-b32": "ViT-B-32-SigLIP2-256", "siglip2-b16": "ViT-B-16-SigLIP2"}
"""By the names of the shipped checkpoints: open_clip's."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--long", type=Path, help="a long video, such as 15 min of 720p")
    parser.add_argument("--clips", type=Path, help="a folder of clips, such as 50 mixed ones")
    parser.add_argument("--made", type=float, metavar="SECONDS", help="make a video of so many seconds instead")
    parser.add_argument("--count", type=int, default=3, help="how many clips to make of it")
    parser.add_argument("--checkpoint", choices=MODELS, default="clip-datacomp")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        if args.made:
            args.long, args.clips = made(work, args.made, args.count)
        if args.long is None or args.clips is None:
            parser.error("give --long and --clips, or --made")
        model = save_model(args.checkpoint, work)
        clips = sorted(path for path in args.clips.iterdir() if path.is_file())
        for what, videos in {"long video": [args.long], "clips": clips}.items():
            compare(f"{args.checkpoint}, {what}", args.checkpoint, videos, model, work)


def compare(what: str, checkpoint: str, videos: Sequence[Path], model: Any, work: Path) -> None:
    """Times both, nsnet's start included. Its networks and words are ready: that happens once per machine."""
    nsnet(checkpoint, videos[:1], work)
    ours, theirs = seconds(lambda: nsnet(checkpoint, videos, work)), seconds(lambda: dense(videos, model))
    each, other = (f"{total:.1f} s ({total / len(videos):.2f} s per video)" for total in (ours, theirs))
    print(f"{what}: {len(videos)} videos; nsnet {each}, open_clip on one frame per second {other}:")
    print(f"  {theirs / ours:.1f} times faster", flush=True)


def seconds(work: Any) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def nsnet(checkpoint: str, videos: Sequence[Path], work: Path) -> None:
    env = {
        **os.environ,
        "NSNET_WEIGHTS": str(work / "weights.toml"),
        "NSNET_CACHE": str(work / "cache"),
        "HF_HUB_OFFLINE": "1",
    }
    command = [sys.executable, "-m", "nsnet_cli", "tag", *map(str, videos)]
    command += ["--checkpoint", f"my-{checkpoint}", "--tags", WORDS, "--json", "--quiet", "--device", "cpu"]
    subprocess.run(command, env=env, stdout=subprocess.DEVNULL, check=True)


def dense(videos: Sequence[Path], model: Any) -> None:
    """One frame per second, decoded with PyAV, through open_clip's towers in torch."""
    import open_clip
    import torch
    from PIL import Image

    preprocess = open_clip.image_transform(model.visual.image_size, is_train=False)
    with torch.inference_mode():
        # SigLIP's own words need a file of the Hub; these take as long
        words = open_clip.tokenizer.SimpleTokenizer(context_length=model.context_length)(WORDS.split(", "))
        text = model.encode_text(words, normalize=True)
        for video in videos:
            batch = [preprocess(Image.fromarray(frame)) for frame in every_second(video)]
            for at in range(0, len(batch), 32):
                images = model.encode_image(torch.stack(batch[at : at + 32]), normalize=True)
                (images @ text.T).softmax(-1)


def every_second(video: Path) -> Iterator[np.ndarray]:
    with av.open(str(video), metadata_errors="ignore") as container:
        wanted = 0.0
        container.streams.video[0].thread_type = "AUTO"
        for frame in container.decode(video=0):
            if frame.time is not None and frame.time >= wanted:
                wanted = frame.time + 1.0
                yield frame.to_ndarray(format="rgb24")


def save_model(checkpoint: str, work: Path) -> Any:
    """The checkpoint's model with random weights, where nsnet looks for them, and the shipped row for it."""
    import open_clip

    config = open_clip.get_model_config(MODELS[checkpoint])
    kind = open_clip.model.CustomTextCLIP if config.pop("custom_text", False) else open_clip.model.CLIP
    model = kind(**config).eval()
    source = saved(work, "model.safetensors", model.state_dict())
    tokenizer = placed(save_tokenizer(work / "tokenizer.json"), work / "cache") if "siglip" in checkpoint else None
    (work / "weights.toml").write_text("schema_version = 1\n" + row_text(checkpoint, source, tokenizer))
    return model


def save_tokenizer(path: Path) -> Path:
    """A tokenizer of single bytes, laid out like SigLIP's. Which tokens it finds does not change how long they take."""
    from tokenizers import Tokenizer, models

    marks = ["<pad>", "<eos>", "<bos>", "<unk>", *(f"<0x{n:02X}>" for n in range(256))]
    known = {mark: n for n, mark in enumerate(marks)}
    Tokenizer(models.BPE(vocab=known, merges=[], unk_token="<unk>", byte_fallback=True)).save(str(path))
    return path


def made(work: Path, length_s: float, count: int) -> tuple[Path, Path]:
    """A video of moving noise, and a folder of shorter ones."""
    folder = work / "clips"
    folder.mkdir()
    for n in range(count):
        noise(folder / f"{n}.mp4", length_s / 4, n)
    return noise(work / "long.mp4", length_s, count), folder


def noise(path: Path, length_s: float, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        for _ in range(round(30 * length_s)):
            pixels = np.repeat(np.repeat(rng.integers(0, 256, (18, 32, 3), np.uint8), 40, 0), 40, 1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path


if __name__ == "__main__":
    main()
