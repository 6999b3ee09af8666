"""Writes docs/report.png and docs/explain.png: the two pages as a browser shows them. Needs chromium.

python examples/make_examples.py && python tools/make_pictures.py
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
WIDTH_PX = 880
"""As wide as a page of Markdown is shown."""
FLAT, PHOTO = 96, 160
"""Colours of a picture, 256 in all: the most frequent ones as they are, and those that suit all the others best."""


def picture(page: Path, target: Path, size: tuple[int, int]) -> None:
    """A browser window of `size` on `page`, as a small PNG."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("make_pictures: no chromium here\n  apt-get install chromium")
    shot = page.with_suffix(".shot.png")
    options = ["--headless", "--no-sandbox", "--hide-scrollbars", "--virtual-time-budget=5000"]
    window = "--window-size={},{}".format(*size)
    subprocess.run(
        [browser, *options, window, f"--screenshot={shot}", page.as_uri()], check=True, stderr=subprocess.DEVNULL
    )
    image = Image.open(shot).convert("RGB")
    image = image.resize((WIDTH_PX, round(image.height * WIDTH_PX / image.width)), Image.Resampling.LANCZOS)
    small(image).save(target, optimize=True)
    print(f"{target}: {image.width} x {image.height} px, {target.stat().st_size / 1e3:.0f} kB")


def small(image: Image.Image) -> Image.Image:
    """The picture in 256 colours."""
    found: Any = sorted(image.getcolors(image.width * image.height) or [], reverse=True)
    flat = [value for _, colour in found[:FLAT] for value in colour]
    photo = (image.quantize(PHOTO).getpalette() or [])[: 3 * PHOTO]
    palette = Image.new("P", (1, 1))
    palette.putpalette(flat + photo)
    return image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)


def main() -> None:
    with TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "videos").symlink_to(ROOT / "examples" / "videos")
        for command in ("tag videos --report page", "explain videos/espresso-among-bikes.mp4 --html why.html"):
            words = [sys.executable, "-m", "nsnet_cli", *command.split(), "--top-k", "3", "--quiet"]
            subprocess.run(words, cwd=place, check=True, stdout=subprocess.DEVNULL)
        picture(place / "page" / "index.html", ROOT / "docs" / "report.png", (1160, 920))
        picture(place / "why.html", ROOT / "docs" / "explain.png", (1160, 840))


if __name__ == "__main__":
    main()
