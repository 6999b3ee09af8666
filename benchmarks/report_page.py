"""How quickly does the report page open, and how quickly does it filter?

    python benchmarks/report_page.py --videos 5000

It makes results (ImageNet's tags, up to 3 certain ones per video with up to 4 spans each, posters), writes the page,
and opens it from disk in headless Chromium. It prints milliseconds: until something is painted, until the first card
is painted, and from each input event until its result is painted. Needs chromium, chromedriver and selenium.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from nsnet_cli.hierarchy import Hierarchy
from nsnet_cli.outputs.index import INDEX, POSTERS, ReportWriter
from nsnet_cli.outputs.names import source_key
from nsnet_cli.outputs.owner import marked
from nsnet_cli.types import FrameScore, SamplingInfo, Span, Tag, VideoResult
from nsnet_cli.weights.vocabulary import load_vocabulary

TYPED = ("d", "do", "dog", "puppies", "dgo", "golden retriever", "clip12", "animal", "dog, vehicle", "zzzz", "")
FIRST_CARD = """
    new MutationObserver((_, observer) => {
      if (!document.querySelector(".card")) return;
      observer.disconnect();
      requestAnimationFrame(() => setTimeout(() => { window.firstCard = performance.now(); }));
    }).observe(document, { childList: true, subtree: true });"""
PAINTED = """
    const first = performance.getEntriesByType("paint").find((entry) => entry.name === "first-contentful-paint");
    return [first?.startTime, window.firstCard];"""
FILTER = """
    const [text, done] = arguments, find = document.getElementById("find");
    const start = performance.now();
    find.value = text;
    find.dispatchEvent(new Event("input"));
    const script = performance.now() - start;
    requestAnimationFrame(() => setTimeout(() => done([script, performance.now() - start])));"""
TO_THE_END = """
    const done = arguments[0], more = document.getElementById("more");
    const step = () => { more.click(); if (more.hidden) done(); else setTimeout(step); };
    step();"""


def results(folder: Path, count: int) -> Iterator[VideoResult]:
    """Made results of videos of 1 to 10 minutes. Every tenth has a guess only."""
    chance, hierarchy = random.Random(0), Hierarchy(load_vocabulary("imagenet-1k"))
    for i in range(count):
        length_s, sure = chance.uniform(60, 600), i % 10 > 0
        tags = []
        for name in chance.sample(hierarchy.nodes, chance.randint(1, 3) if sure else 1):
            ends = sorted(chance.uniform(0, length_s) for _ in range(2 * chance.randint(1, 4)))
            spans = tuple(Span(a, b, 0.9) for a, b in zip(ends[::2], ends[1::2], strict=True)) if sure else ()
            parents = tuple(over.name for over in hierarchy.ancestors(name.id))
            tags.append(Tag(name.id, name.name, 0.8, (), 0.9 if sure else 0.4, sure, parents, spans))
        frames = tuple(FrameScore((n + 0.5) * length_s / 24, chance.random(), n % 6 == 0) for n in range(24))
        path = str(folder / "videos" / f"{i % 50:02d}" / f"clip{i}.mp4")
        sampling = SamplingInfo("nsnet", "keys", 24, 4, interval_s=length_s / 24)
        yield VideoResult(path, "ok", length_s, tuple(tags), sampling=sampling, frames=frames, precision=0.8)


def write(folder: Path, count: int) -> Path:
    """Writes the page. Its posters are there before, as if an earlier run had written them."""
    (folder / POSTERS).mkdir(parents=True)
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (18, 32, 3), np.uint8)).resize((320, 180)).save(
        out, "JPEG"
    )
    with closing(ReportWriter(folder, refresh_s=float("inf"))) as page:
        for result in results(folder, count):
            key = source_key(os.path.realpath(result.path))
            (folder / POSTERS / f"{key}.jpg").write_bytes(marked(out.getvalue(), key))
            page.add(result)
        start_s = time.perf_counter()
        page.write()
        print(f"page written in {time.perf_counter() - start_s:.2f} s")
    return folder / INDEX


def browser(folder: Path) -> Any:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome")
    for flag in ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}", "--window-size=1280,900"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.set_script_timeout(120)
    driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": FIRST_CARD})
    return driver


def opened(driver: Any, page: Path) -> tuple[float, float]:
    """Milliseconds until the first paint, and until the first card is painted."""
    driver.get("about:blank")
    driver.get(page.as_uri())
    while True:
        first, card = driver.execute_script(PAINTED)
        if first is not None and card is not None:
            return first, card
        time.sleep(0.05)


def said(name: str, took_ms: list[float]) -> None:
    print(f"{name}: median {statistics.median(took_ms):.0f} ms, most {max(took_ms):.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=5000)
    parser.add_argument("--times", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nsnet-page-") as place:
        page = write(Path(place) / "page", args.videos)
        print(f"{args.videos} videos, {page.stat().st_size / 1e6:.1f} MB, load {os.getloadavg()[0]:.1f}")
        driver = browser(Path(place) / "browser")
        try:
            loads = [opened(driver, page) for _ in range(args.times)]
            said("first contentful paint", [first for first, _ in loads])
            said("first card painted", [card for _, card in loads])
            for when in ("", ", scrolled to the end before"):
                took_ms: list[float] = []
                for text in TYPED:
                    if when:
                        driver.execute_async_script(FILTER, "")
                        driver.execute_async_script(TO_THE_END)
                    each = [driver.execute_async_script(FILTER, text) for _ in range(1 if when else args.times)]
                    took_ms += [painted for _, painted in each]
                    print(
                        f"  {text!r}: script {max(e[0] for e in each):.0f} ms, painted {max(e[1] for e in each):.0f} ms"
                    )
                said(f"filter, from input to paint{when}", took_ms)
        finally:
            driver.quit()


if __name__ == "__main__":
    main()
