"""WebVTT, its sprites and XMP: read back by independent parsers, with names that try to break them."""

from __future__ import annotations

import io
import os
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image
from sample_results import NASTY, failure, sample, write_beside

from nsnet_cli.outputs.vtt import seen, sprite, to_vtt
from nsnet_cli.outputs.xmp import NAMESPACES, to_xmp
from nsnet_cli.types import Evidence, Tag, VideoResult

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


def test_tag_cues_cover_the_frames_that_carried_the_tag() -> None:
    result = sample(peak_s=10.0)
    cues = parse_vtt(to_vtt(result))
    assert cues == [(8.0, 11.0, "tabby (0.83)"), (8.0, 11.0, "tiger cat (0.07)")]


def test_cues_of_one_tag_never_overlap() -> None:
    result = sample()
    tag = Tag("n1", "cat", 0.5, tuple(Evidence(t, 1.0, 0.5) for t in (20.5, 3.5, 4.5, 20.5)))
    assert seen(result, tag) == [(3.0, 5.0), (20.0, 21.0)]
    assert seen(replace(result, frames=()), tag) == [(2.5, 5.5), (19.5, 21.5)]


def test_long_videos_have_hours() -> None:
    tag = Tag("n1", "cat", 0.5, (Evidence(399_000.0, 1.0, 0.5),))
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
    result = sample(NASTY, tags=((NASTY, 0.9), ("two\nlines", 0.5)))
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
    assert keywords(to_xmp(sample())) == (["tabby", "tiger cat"], ["nsnet|tabby", "nsnet|tiger cat"])


def test_faint_guesses_do_not_become_keywords() -> None:
    result = sample(tags=(("tabby", 0.8), ("hippopotamus", 0.004)))
    assert "hippopotamus" not in to_xmp(result) + to_vtt(result)


def test_xmp_prefixes_are_the_usual_ones() -> None:
    text = to_xmp(sample())
    assert text.startswith("<?xpacket begin=") and text.rstrip().endswith('<?xpacket end="w"?>')
    assert "<dc:subject>" in text and "<lr:hierarchicalSubject>" in text and "ns0:" not in text


@pytest.mark.parametrize("name", [NASTY, "nul\x00bell\x07", "\ufffe\uffff", "lone \udc80", "漢字 & é", "a|b"])
def test_xmp_takes_any_name(name: str) -> None:
    subjects, hierarchy = keywords(to_xmp(sample(tags=((name, 0.9), (name, 0.1)))))
    assert len(subjects) == 1 and hierarchy[0].count("|") == 1
    if name.isprintable() and name != NASTY:
        assert subjects[0] == name


def test_xmp_of_a_failed_video_is_empty_but_valid() -> None:
    result: VideoResult = failure()
    assert keywords(to_xmp(result)) == ([], [])
