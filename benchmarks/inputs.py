"""Input videos for the benchmarks: real clips joined to a given length.

    python benchmarks/inputs.py --clips ../shared/data --out build/bench --minutes 15

A base of three minutes is encoded once (1280 x 720, 25 frames per second, H.264, a key frame every 125 frames,
B-frames). Longer files repeat its packets, so a file of any length takes seconds to make.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.video.frame import PictureType, VideoFrame

WIDTH_PX, HEIGHT_PX, FPS, GOP = 1280, 720, 25, 125
BASE_S = 180
SUFFIXES = {".mp4", ".avi"}


def frames_of(clips: list[Path]) -> Iterator[VideoFrame]:
    """All frames of all clips in turn, scaled to 720p, without end."""
    while True:
        for clip in clips:
            with av.open(str(clip)) as container:
                for frame in container.decode(video=0):
                    yield frame.reformat(WIDTH_PX, HEIGHT_PX, "yuv420p")


def make_base(clips: list[Path], path: Path, seconds: int = BASE_S) -> Path:
    """Encodes `seconds` of the clips' frames at FPS, ignoring their own rate."""
    if path.exists():
        return path
    temporary = path.with_suffix(".part.mp4")
    options = {"preset": "veryfast", "crf": "23", "g": str(GOP), "keyint_min": str(GOP), "sc_threshold": "0", "bf": "3"}
    with av.open(str(temporary), "w") as out:
        stream = out.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        for index, frame in enumerate(frames_of(clips)):
            if index == seconds * FPS:
                break
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            frame.pict_type = PictureType.NONE  # else the encoder makes a key frame where the clip had one
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return temporary.replace(path)


def repeat(base: Path, path: Path, minutes: float) -> Path:
    """Repeats the packets of `base` until `minutes` are full. Nothing is encoded."""
    if path.exists():
        return path
    temporary = path.with_suffix(".part.mp4")
    with av.open(str(temporary), "w") as out, av.open(str(base)) as first:
        target = out.add_stream_from_template(first.streams.video[0])
        length = int(BASE_S / first.streams.video[0].time_base)
        offset = 0
        while offset * float(first.streams.video[0].time_base) < minutes * 60:
            with av.open(str(base)) as source:
                for packet in source.demux(video=0):
                    if packet.dts is None or (packet.pts + offset) * packet.time_base >= minutes * 60:
                        continue
                    packet.pts, packet.dts, packet.stream = packet.pts + offset, packet.dts + offset, target
                    out.mux(packet)
            offset += length
    return temporary.replace(path)


def real_clips(folder: Path) -> list[Path]:
    """Every sixth real clip of ../shared/data, so that the base shows many scenes."""
    kinds = ("backgrounds", "workout", "clips", "fight")
    return sorted(p for kind in kinds for p in (folder / kind).rglob("*") if p.suffix in SUFFIXES)[::6]


def long_video(minutes: float, clips: Path, out: Path) -> Path:
    """A 720p file of `minutes`, made on first use."""
    out.mkdir(parents=True, exist_ok=True)
    return repeat(make_base(real_clips(clips), out / "base.mp4"), out / f"{minutes:g}min.mp4", minutes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    parser.add_argument("--minutes", type=float, nargs="+", default=[15])
    args = parser.parse_args()
    for minutes in args.minutes:
        print(long_video(minutes, args.clips, args.out))


if __name__ == "__main__":
    main()
