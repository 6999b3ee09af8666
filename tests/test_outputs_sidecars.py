"""WebVTT, its sprites and XMP: read back by independent parsers, with names that try to break them."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image
from sample_results import NASTY, failure, sample, uncalibrated, uncertain, write_beside

from nsnet_cli.outputs.vtt import sprite, to_vtt
from nsnet_cli.outputs.xmp import NAMESPACES, to_xmp
from nsnet_cli.types import Span, Tag, VideoResult

STAMP = r"(\d\d+):(\d\d):(\d\d)\.(\d{3})"


def parse_vtt(text: str) -> list[tuple[float, float, str]]:
    """Strict parser, as in the standard: signature, note, then blocks of a timing line and one payload."""
    signature, note, *blocks = text.rstrip("\n").split("\n\n")
    assert signature == "WEBVTT" and note == "NOTE written by nsnet"
    cues = []
    for block in blocks:
        timing, payload = block.split("\n")
        found = re.fullmatch(f"{STAMP} --> {STAMP}", timing)
        assert found, timing
        h, m, s, ms, h2, m2, s2, ms2 = map(int, found.groups())
        start, end = h * 3600 + m * 60 + s + ms / 1000, h2 * 3600 + m2 * 60 + s2 + ms2 / 1000
        assert end > start and m < 60 and s < 60
        assert "-->" not in payload
        cues.append((start, end, payload))
    return cues


def certain_tag(name: str, *spans: tuple[float, float, float]) -> Tag:
    return Tag("n1", name, 0.7, (), 0.9, True, (), tuple(Span(*span) for span in spans))


def test_a_cue_per_span_of_a_certain_tag() -> None:
    tags = (certain_tag("cat", (0.0, 8.0, 0.95), (20.5, 24.0, 0.9)), certain_tag("dog", (6.0, 12.0, 0.85)))
    guess = Tag("n2", "tabby", 0.6, (), 0.6)
    cues = parse_vtt(to_vtt(replace(sample(), tags=(*tags, guess))))
    assert cues == [(0.0, 8.0, "cat (95 %)"), (6.0, 12.0, "dog (85 %)"), (20.5, 24.0, "cat (90 %)")]


def test_no_cue_is_empty() -> None:
    spans = [(t, t, 0.9) for t in (0.0, 0.0005, 0.0015, 0.0025, 7.1)]
    cues = parse_vtt(to_vtt(replace(sample(), tags=(certain_tag("cat", *spans),))))
    assert len(cues) == 5, "the parser checks that each ends after it begins"


def test_long_videos_have_hours() -> None:
    tag = certain_tag("cat", (398_000.0, 400_000.0, 0.9))
    assert parse_vtt(to_vtt(replace(sample(duration_s=400_000.0), tags=(tag,))))[-1][1] == pytest.approx(400_000.0)


def test_results_without_tags_are_valid_too() -> None:
    assert parse_vtt(to_vtt(failure())) == []


def test_thumbnails_point_at_the_right_tile(tmp_path: Path) -> None:
    result = sample(count=23)
    paths = write_beside("vtt", result, tmp_path / "my clip#1.mp4")
    assert [p.name for p in paths] == [f"my clip#1.mp4{end}" for end in (".sprite.jpg", ".thumbnails.vtt", ".tags.vtt")]
    sheet = np.asarray(Image.open(paths[0]).convert("RGB")).astype(int)
    cues = parse_vtt(paths[1].read_text("utf-8"))
    assert len(cues) == 23 and cues[0][0] == 0 and cues[-1][1] == pytest.approx(30.0)
    for before, after in pairwise(cues):
        assert before[1] == after[0], "players want no gap"
    for i, (_, _, payload) in enumerate(cues):
        url, _, box = payload.partition("#xywh=")
        assert unquote(url) == paths[0].name
        x, y, w, h = map(int, box.split(","))
        assert (w, h) == (160, 90)
        tile = sheet[y + 40 : y + 80, x + 80 : x + 150].reshape(-1, 3).mean(0)
        original = np.asarray(Image.open(io.BytesIO(result.jpegs[i])).convert("RGB"))[100:160, 160:300]
        assert np.abs(tile - original.reshape(-1, 3).mean(0)).max() < 6


def test_without_pictures_only_the_tags_are_written(tmp_path: Path) -> None:
    assert write_beside("vtt", sample(jpegs=False), tmp_path / "clip.mp4") == [tmp_path / "clip.mp4.tags.vtt"]


def test_portrait_frames_keep_their_shape() -> None:
    jpeg, tiles = sprite(sample(size=(180, 320)))
    assert tiles[1] == (90, 0, 90, 160)
    assert Image.open(io.BytesIO(jpeg)).size == (900, 480)


def test_nasty_tag_names_stay_text(tmp_path: Path) -> None:
    result = sample(NASTY, tags=((NASTY, 0.9), ("two\nlines", 0.5)), certain=2)
    payload = parse_vtt(to_vtt(result))[0][2]
    assert "<" not in payload and "&lt;" in payload
    if os.name == "posix":
        base = tmp_path / NASTY.replace("/", "_")
        assert all(path.exists() for path in write_beside("vtt", result, base))


def keywords(text: str) -> tuple[list[str], list[str]]:
    root = ET.fromstring(text.encode("utf-8"))
    assert root.tag == f"{{{NAMESPACES['x']}}}xmpmeta"
    bags = [
        [li.text or "" for li in root.findall(f".//{name}/rdf:Bag/rdf:li", NAMESPACES)]
        for name in ("dc:subject", "lr:hierarchicalSubject")
    ]
    return bags[0], bags[1]


def test_xmp_holds_keywords_best_first() -> None:
    ways = ["nsnet|animal|mammal|cat|tabby", "nsnet|animal|mammal|cat|tiger cat"]
    assert keywords(to_xmp(sample(certain=2))) == (["tabby", "tiger cat"], ways)


@pytest.mark.parametrize("result", [uncertain(), uncertain(perhaps=None), uncalibrated(), failure()])
def test_guesses_become_neither_keywords_nor_cues(result: VideoResult) -> None:
    assert keywords(to_xmp(result)) == ([], []) and parse_vtt(to_vtt(result)) == []
    assert keywords(to_xmp(sample()))[0] == ["tabby"], "not the guess beside it"


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs exiftool (apt: libimage-exiftool-perl)")
@pytest.mark.parametrize("result", [sample(certain=2), sample(), uncertain()])
def test_exiftool_reads_the_keywords(result: VideoResult, tmp_path: Path) -> None:
    names = [tag.name for tag in result.tags if tag.certain]
    (sidecar,) = write_beside("xmp", result, tmp_path / "clip.mp4")
    command = ["exiftool", "-json", "-struct", "-XMP:all", str(sidecar)]
    (read,) = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert read.get("Subject", []) == names
    assert read.get("HierarchicalSubject", []) == [f"nsnet|animal|mammal|cat|{name}" for name in names]


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="needs ffprobe")
@pytest.mark.parametrize("count", [2, 0])
def test_ffprobe_reads_the_cues(count: int, tmp_path: Path) -> None:
    result = sample(tags=(("a < b & c", 0.9), ("tabby", 0.8), ("cat", 0.5)), certain=count, jpegs=False)
    (path,) = write_beside("vtt", result, tmp_path / "clip.mp4")
    command = ["ffprobe", "-v", "error", "-show_packets", "-of", "json", str(path)]
    ran = subprocess.run(command, capture_output=True, check=True)
    read = [(float(p["pts_time"]), float(p["duration_time"])) for p in json.loads(ran.stdout)["packets"]]
    assert read == [(8.0, 4.0)] * count and not ran.stderr


def test_xmp_prefixes_are_the_usual_ones() -> None:
    text = to_xmp(sample())
    assert text.startswith("<?xpacket begin=") and text.rstrip().endswith('<?xpacket end="w"?>')
    assert "<dc:subject>" in text and "<lr:hierarchicalSubject>" in text and "ns0:" not in text


@pytest.mark.parametrize("name", [NASTY, "nul\x00bell\x07", "\ufffe\uffff", "lone \udc80", "漢字 & é", "a|b"])
def test_xmp_takes_any_name(name: str) -> None:
    subjects, hierarchy = keywords(to_xmp(sample(tags=((name, 0.9), (name, 0.1)), certain=2)))
    assert len(subjects) == 1 and hierarchy[0].count("|") == 4
    if name.isprintable() and name != NASTY:
        assert subjects[0] == name
