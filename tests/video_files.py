"""Small real videos for the tests. Each frame shows its number as a pattern that survives coding and scaling.

The centred square of a frame has 4 x 4 cells: the top left corner is white, the other corners are black, and the 12
cells between are the bits of the frame number. So a decoded picture shows which frame it is and whether it is upright.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

CELLS = [(row, col) for row in range(4) for col in range(4) if (row, col) not in ((0, 0), (0, 3), (3, 0), (3, 3))]


def numbered(number: int, width: int = 192, height: int = 128) -> np.ndarray:
    """(H, W, 3) uint8 picture that shows `number`, in the square that a crop of 0.875 keeps."""
    picture = np.full((height, width, 3), 96, np.uint8)
    side = int(0.875 * min(width, height))
    top, left = (height - side) // 2, (width - side) // 2
    cells = np.zeros((4, 4), np.uint8)
    cells[0, 0] = 235
    for bit, (row, col) in enumerate(CELLS):
        cells[row, col] = 235 if number >> bit & 1 else 0
    for row in range(4):
        for col in range(4):
            y, x = top + row * side // 4, left + col * side // 4
            picture[y : top + (row + 1) * side // 4, x : left + (col + 1) * side // 4] = cells[row, col] or 16
    return picture


def number_of(square: np.ndarray) -> int:
    """The number that a (S, S, 3) square shows; -1 if it is not upright or not such a picture."""
    size = square.shape[0]
    centres = [(2 * i + 1) * size // 8 for i in range(4)]
    half = size // 16
    light = np.array(
        [[square[y - half : y + half, x - half : x + half].mean() > 120 for x in centres] for y in centres], bool
    )
    if not light[0, 0] or light[0, 3] or light[3, 0] or light[3, 3]:
        return -1
    return sum(1 << bit for bit, (row, col) in enumerate(CELLS) if light[row, col])


def make_video(
    path: Path,
    codec: str = "libx264",
    frames: int = 60,
    fps: int = 25,
    size: tuple[int, int] = (192, 128),
    gop: int = 12,
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    format: str | None = None,
    times: Sequence[int] | None = None,
    rotation: int = 0,
    sample_aspect: Fraction | None = None,
    audio_start_s: float | None = None,
    audio_s: float | None = None,
    noise: str | None = None,
    bframes: int | None = None,
    shift_s: float = 0.0,
    title: str | None = None,
    first: int = 0,
) -> Path:
    """Writes `frames` numbered frames, starting at `first`.

    times: in 1/1000 s, for a variable rate. audio_start_s: adds a silent track. noise: the codec of a track of noise.
    """
    with av.open(str(path), "w", format=format, container_options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=fps, options=options or {})
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        stream.gop_size = gop
        if title:
            container.metadata["title"] = stream.metadata["title"] = title
        if bframes is not None:
            stream.max_b_frames = bframes
        if sample_aspect:
            stream.sample_aspect_ratio = sample_aspect
        if times is not None or shift_s:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        if rotation:
            stream.set_display_rotation(rotation)
        if codec == "libsvtav1":
            with without_real_time():
                stream.codec_context.open()
        sound = None
        if audio_start_s is not None:
            sound = container.add_stream("aac" if codec != "libvpx-vp9" else "libopus", rate=48000, layout="mono")
        elif noise is not None:
            sound = container.add_stream(noise, rate=48000, layout="mono")
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(_stored(first + number, size, rotation, sample_aspect), format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[number], Fraction(1, 1000)
            elif shift_s:
                frame.pts, frame.time_base = round(1000 * (shift_s + number / fps)), Fraction(1, 1000)
            else:
                frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(frame.reformat(format=pix_fmt)))
        container.mux(stream.encode())
        if sound is not None:
            _sound(container, sound, audio_start_s or 0.0, audio_s or frames / fps, 0.0 if noise is None else 0.3)
    return path


@contextlib.contextmanager
def without_real_time() -> Iterator[None]:
    """Keeps SVT-AV1, when root opens it, from giving its 38 threads real-time priority.

    These spin, and then nothing else gets a core: whole test runs stood still for minutes.
    """
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def copy_packets(
    source: Path,
    target: Path,
    change: Callable[[av.Packet], bool],
    container_options: dict[str, str] | None = None,
) -> Path:
    """Copies the video's packets without recoding. `change` may alter a packet and says whether to keep it."""
    options = container_options or {}
    with av.open(str(source)) as old, av.open(str(target), "w", container_options=options) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(old.streams.video[0]):
            if packet.size and change(packet):
                packet.stream = stream
                new.mux(packet)
    return target


def _stored(number: int, size: tuple[int, int], rotation: int, sample_aspect: Fraction | None) -> np.ndarray:
    """The numbered picture, stored so that it is shown upright and undistorted."""
    width, height = size
    if rotation % 180:
        width, height = height, width
    shown = numbered(number, round(width * (sample_aspect or 1)), height)
    columns = (np.arange(width) + 0.5) * shown.shape[1] / width
    return np.ascontiguousarray(np.rot90(shown[:, columns.astype(int)], -(rotation // 90)))


def _sound(
    container: av.container.OutputContainer, sound: av.AudioStream, start_s: float, length_s: float, loudness: float
) -> None:
    """Muxes noise that never repeats, or silence."""
    rng = np.random.default_rng(0)
    for block in range(int(length_s * 48000 / 960)):
        samples = loudness * rng.uniform(-1, 1, (1, 960)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate, frame.time_base = 48000, Fraction(1, 48000)
        frame.pts = int(start_s * 48000) + block * 960
        container.mux(sound.encode(frame))
    container.mux(sound.encode())
