"""How long any words take against what one would write instead: open_clip in torch on one frame per second.

    python benchmarks/words_speed.py --long long.mp4 --clips folder
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
from actions_speed import row_text
from gpu import saved

WORDS = "a birthday cake, kite surfing, an empty street, a dog, a child on a swing"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--long", type=Path, help="a long video, such as 15 min of 720p")
    parser.add_argument("--clips", type=Path, help="a folder of clips, such as 50 mixed ones")
    parser.add_argument("--made", type=float, metavar="SECONDS", help="make a video of so many seconds instead")
    parser.add_argument("--count", type=int, default=3, help="how many clips to make of it")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        if args.made:
            args.long, args.clips = made(work, args.made, args.count)
        if args.long is None or args.clips is None:
            parser.error("give --long and --clips, or --made")
        model = save_model(work)
        compare("long video", [args.long], model, work)
        compare("clips", sorted(path for path in args.clips.iterdir() if path.is_file()), model, work)


def compare(what: str, videos: Sequence[Path], model: Any, work: Path) -> None:
    """Times both, nsnet's start included. Its networks and words are ready: that happens once per machine."""
    nsnet(videos[:1], work)
    ours, theirs = seconds(lambda: nsnet(videos, work)), seconds(lambda: dense(videos, model))
    each = f"{ours / len(videos):.2f} s per video"
    print(
        f"{what}: {len(videos)} videos; nsnet {ours:.1f} s ({each}), open_clip on one frame per second {theirs:.1f} s:"
    )
    print(f"  {theirs / ours:.1f} times faster")


def seconds(work: Any) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def nsnet(videos: Sequence[Path], work: Path) -> None:
    env = {
        **os.environ,
        "NSNET_WEIGHTS": str(work / "weights.toml"),
        "NSNET_CACHE": str(work / "cache"),
        "HF_HUB_OFFLINE": "1",
    }
    command = [sys.executable, "-m", "nsnet_cli", "tag", *map(str, videos)]
    command += ["--checkpoint", "my-clip-datacomp", "--tags", WORDS, "--json", "--quiet", "--device", "cpu"]
    subprocess.run(command, env=env, stdout=subprocess.DEVNULL, check=True)


def dense(videos: Sequence[Path], model: Any) -> None:
    """One frame per second, decoded with PyAV, through open_clip's towers in torch."""
    import open_clip
    import torch
    from PIL import Image

    preprocess = open_clip.image_transform(224, is_train=False)
    with torch.inference_mode():
        words = open_clip.tokenizer.SimpleTokenizer()([word.strip() for word in WORDS.split(",")])
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


def save_model(work: Path) -> Any:
    """CLIP B/32 with random weights, where nsnet looks for them, and the shipped row for it."""
    import open_clip

    model = open_clip.model.CLIP(**open_clip.get_model_config("ViT-B-32")).eval()
    text = row_text("clip-datacomp", saved(work, "clip.safetensors", model.state_dict()))
    (work / "weights.toml").write_text("schema_version = 1\n" + text)
    return model


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
