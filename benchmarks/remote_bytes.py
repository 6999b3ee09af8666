"""Counts the bytes and requests that one video in a store needs, by container. Prints a Markdown table.

    python benchmarks/remote_bytes.py --minutes 15 --footage ../shared/data/clips

The video is 720p at about 0.9 Mbit/s with sound and a key frame every 10 s, made of real footage by ffmpeg. It is read
from a web server that takes several ranges in one request, from one that takes one, and from S3 (moto's), all on
127.0.0.1. Each time the frames are compared with those of the local file. Needs nsnet[remote], moto[server] and ffmpeg.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from s3_server import s3_server
from store_server import StoreServer

from nsnet_cli.media import ReadOptions
from nsnet_cli.storage import stores
from nsnet_cli.storage.identity import identity
from nsnet_cli.storage.urls import Place, Url, located
from nsnet_cli.video.pool import DecodePool

OPTIONS = ReadOptions(224)
VIDEO = ["-c:v", "libx264", "-preset", "superfast", "-g", "250", "-b:v", "800k", "-maxrate", "2M", "-bufsize", "4M"]
SOUND = ["-c:a", "aac", "-b:a", "64k"]
COPIES = {
    "MP4, moov in front": ("front.mp4", ["-movflags", "+faststart"]),
    "MP4, moov at the end": ("end.mp4", []),
    "fragmented MP4": ("fragments.mp4", ["-movflags", "frag_keyframe+empty_moov"]),
    "Matroska": ("cues.mkv", []),
    "MPEG-TS (no index)": ("none.ts", []),
}


def ffmpeg(*arguments: str | Path) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, arguments)], check=True)


def make(folder: Path, footage: Path, minutes: float) -> dict[str, Path]:
    """The long video in each container, and a clip of 5 s."""
    clips = sorted(footage.glob("*.mp4"))
    listed = folder / "list.txt"
    parts = []
    for n, clip in enumerate(clips):
        parts.append(folder / f"part-{n}.mp4")
        shape = "scale=1280:720:force_original_aspect_ratio=decrease,pad=1280:720:-1:-1,fps=25,setsar=1"
        ffmpeg("-i", clip, "-t", "30", "-an", "-vf", shape, *VIDEO, parts[-1])
    listed.write_text("".join(f"file '{part}'\n" for part in parts))
    whole, sound = folder / "whole.mp4", "sine=frequency=330:sample_rate=44100"
    read = ["-stream_loop", "-1", "-f", "concat", "-safe", "0", "-i", listed, "-f", "lavfi", "-i", sound]
    ffmpeg(*read, "-map", "0:v", "-map", "1:a", "-c:v", "copy", *SOUND, "-t", str(60 * minutes), whole)
    made = {}
    for label, (name, options) in COPIES.items():
        made[label] = folder / "videos" / name
        made[label].parent.mkdir(exist_ok=True)
        ffmpeg("-i", whole, "-c", "copy", *options, made[label])
    made["MP4 of 5 s"] = folder / "videos" / "clip.mp4"
    ffmpeg("-ss", "30", "-t", "5", "-i", whole, *VIDEO, *SOUND, made["MP4 of 5 s"])
    return made


def frames(place: Place, pool: DecodePool) -> tuple[np.ndarray, int]:
    """The pixels of a preview, and how many frames it plans."""
    with pool.open(place, OPTIONS) as video:
        batches = list(video.preview())
        return np.concatenate([batch.pixels for batch in batches]), len(video.plan)


Counted = Callable[[], tuple[int, int]]
"""Returns requests and bytes since the last call."""


@contextmanager
def web(folder: Path, many: bool) -> Iterator[tuple[str, Counted]]:
    with StoreServer(folder) as server:
        server.many = many

        def counted() -> tuple[int, int]:
            log, server.log = server.log, []
            return len(log), sum(sent for _, _, sent in log)

        yield server.url, counted


@contextmanager
def bucket(folder: Path) -> Iterator[tuple[str, Counted]]:
    import s3fs

    with s3_server() as server:
        os.environ.update(server.environment)
        files = s3fs.S3FileSystem()
        files.mkdir("bucket")
        for path in folder.iterdir():
            files.put_file(str(path), f"bucket/{path.name}")

        def counted() -> tuple[int, int]:
            log, server.log = server.log, []
            return len(log), sum(sent for method, _, sent in log if method == "GET")

        yield "s3://bucket", counted


def measure(folder: Path, made: dict[str, Path]) -> Iterator[str]:
    """The lines of the table. The request that finds a video is counted too."""
    yield "| video | size | frames | web, several ranges | web, one range | S3 |"
    yield "| --- | --- | --- | --- | --- | --- |"
    with ExitStack() as stack:
        pool = stack.enter_context(DecodePool())
        places = [stack.enter_context(web(folder, many)) for many in (True, False)]
        places.append(stack.enter_context(bucket(folder)))
        for label, path in made.items():
            local, planned = frames(path, pool)
            size, cells = path.stat().st_size, []
            for root, counted in places:
                counted()
                url = located(f"{root}/{path.name}")
                assert isinstance(url, Url)
                away, _ = frames(url.known(identity(url)), pool)
                requests, sent = counted()
                wrong = "" if np.array_equal(local, away) else " **other frames**"
                cells.append(f"{100 * sent / size:.1f} %, {requests} requests{wrong}")
            yield f"| {label} | {size / 1e6:.1f} MB | {planned} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--footage", type=Path, default=Path(__file__).parents[2] / "shared" / "data" / "clips")
    parser.add_argument("--keep", type=Path, help="a folder for the videos, used again if they are there")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or Path(temporary)
        done = folder / "videos"
        if done.is_dir():
            made = {label: done / name for label, (name, _) in COPIES.items()} | {"MP4 of 5 s": done / "clip.mp4"}
        else:
            made = make(folder, args.footage, args.minutes)
        stores._takes_many.clear()
        for line in measure(folder / "videos", made):
            print(line, flush=True)


if __name__ == "__main__":
    main()
