"""The pages in a real headless Chromium: console, hover, click, keyboard; phone and desktop, light and dark."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from browsers import DESKTOP, NEED_CHROMIUM, PHONE, Browser
from sample_results import NASTY, failure, sample, uncalibrated, uncertain, unscored

from nsnet_cli.outputs.page import write_page
from nsnet_cli.outputs.vtt import to_vtt

pytestmark = NEED_CHROMIUM


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, cat_video: Path) -> Path:
    """The page of a real video of 20 s (H.264), frames at 0.5, 1.5, ... s, the cat from 8 to 12 s."""
    path = tmp_path_factory.mktemp("page") / "page.html"
    write_page(sample(str(cat_video), count=20, duration_s=20.0), path)
    return path


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
@pytest.mark.parametrize("dark", [False, True])
def test_page_loads_without_console_messages(chrome: Any, page: Path, size: tuple[int, int], dark: bool) -> None:
    browser = Browser(chrome, page, size, dark)
    browser.wait("document.getElementById('video').readyState >= 2")
    assert browser.js("return document.getElementById('video').videoWidth") == 320, "H.264 plays here"
    assert browser.js("return [...document.images].filter(i => i.src && !i.naturalWidth).length") == 0
    background = browser.js("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, background[4:-1].split(","))) < 200) == dark
    browser.assert_fits()
    browser.assert_quiet()


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_hover_shows_the_frame_and_click_seeks(chrome: Any, page: Path, size: tuple[int, int]) -> None:
    browser = Browser(chrome, page, size)
    browser.wait("document.getElementById('video').readyState >= 2")
    assert not browser.find("#peek").is_displayed()
    timeline = browser.move_over_timeline(0.4875)  # 9.75 s: nearest is the frame at 9.5 s, the tenth
    assert browser.find("#peek").is_displayed()
    assert "0:09.5" in browser.find("#peek-text").text and "recognised" in browser.find("#peek-text").text
    assert browser.js("return document.getElementById('peek-image').src === document.querySelector('#f9 img').src")
    box = browser.js("return document.getElementById('peek').getBoundingClientRect().toJSON()")
    assert box["left"] >= 0 and box["right"] <= size[0]
    timeline.click()  # at its centre: 10 s is as near to 9.5 as to 10.5
    browser.wait("Math.abs(document.getElementById('video').currentTime - 10) < 0.6")
    assert float(timeline.get_attribute("aria-valuenow")) in (9.5, 10.5)
    browser.move_over_timeline(0.02)
    assert "suppressed" in browser.find("#peek-text").text
    assert browser.js("return document.getElementById('peek').getBoundingClientRect().left") >= 0
    browser.assert_quiet()


def test_playhead_follows_the_video(chrome: Any, page: Path) -> None:
    browser = Browser(chrome, page)
    browser.wait("document.getElementById('video').readyState >= 2")
    browser.js("const v = document.getElementById('video'); v.muted = true; v.currentTime = 5; return v.play()")
    browser.wait("document.getElementById('video').currentTime > 5.3")
    left = browser.js("return parseFloat(document.getElementById('playhead').style.left)")
    assert 25 < left < 60
    browser.js("document.getElementById('video').pause()")
    browser.assert_quiet()


def test_the_keyboard_is_enough(chrome: Any, page: Path) -> None:
    from selenium.webdriver import ActionChains, Keys

    browser = Browser(chrome, page)
    browser.wait("document.getElementById('video').readyState >= 2")

    def press(*keys: str) -> tuple[str, str]:
        ActionChains(chrome).send_keys(*keys).perform()
        timeline = browser.find("#timeline")
        return timeline.get_attribute("aria-valuenow"), timeline.get_attribute("aria-valuetext")

    for _ in range(12):  # tab through the player's own controls
        press(Keys.TAB)
        if browser.js("return document.activeElement.id") == "timeline":
            break
    assert browser.js("return document.activeElement.id") == "timeline"
    assert browser.js("return getComputedStyle(document.activeElement).outlineStyle") == "solid", "the focus is visible"
    assert browser.find("#peek").is_displayed()
    assert press(Keys.HOME)[0] == "0.500"
    assert press(Keys.ARROW_RIGHT)[0] == "1.500"
    assert press(Keys.ARROW_LEFT, Keys.ARROW_LEFT)[0] == "0.500"
    now, words = press(Keys.PAGE_DOWN, Keys.PAGE_UP)
    assert now == "8.500" and "recognised" in words and "looks like tabby" in words
    assert press(Keys.PAGE_UP)[0] == "9.500"
    assert press(Keys.END)[0] == "19.500"
    browser.wait("document.getElementById('video').currentTime > 19")
    press(Keys.HOME, Keys.SPACE)
    browser.wait("!document.getElementById('video').paused")
    press(Keys.SPACE)
    browser.wait("document.getElementById('video').paused")
    press(Keys.TAB)
    assert browser.js("return document.activeElement.textContent") == "0:08-0:12", "then when the tags are seen"
    assert not browser.find("#peek").is_displayed()
    press(Keys.ENTER)
    browser.wait("Math.abs(document.getElementById('video').currentTime - 8.0) < 0.1")
    press(Keys.TAB)
    assert browser.js("return document.activeElement.textContent") == "0:08.5 0.90", "then their evidence"
    press(Keys.ENTER)
    browser.wait("Math.abs(document.getElementById('video').currentTime - 8.5) < 0.1")
    browser.assert_quiet()


def test_frames_and_evidence_seek_to_their_time(chrome: Any, page: Path) -> None:
    browser = Browser(chrome, page)
    browser.wait("document.getElementById('video').readyState >= 2")
    assert len(chrome.find_elements("css selector", ".kept .frame")) == 4
    assert len(chrome.find_elements("css selector", ".rest .frame")) == 16
    browser.find("#f3").click()
    browser.wait("Math.abs(document.getElementById('video').currentTime - 3.5) < 0.1")
    browser.find("details summary").click()
    assert len(chrome.find_elements("css selector", "tbody tr")) == 20
    browser.assert_fits()
    browser.assert_quiet()


def test_names_and_roles_for_screen_readers(chrome: Any, page: Path) -> None:
    Browser(chrome, page)
    tree = chrome.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    nodes = [(n["role"]["value"], n.get("name", {}).get("value", "")) for n in tree if not n["ignored"] and "role" in n]
    assert ("slider", "Saliency over time") in nodes
    assert ("heading", "Kept: 4 frames") in nodes and ("heading", "Suppressed: 16 frames") in nodes
    assert any(role == "button" and name.startswith("0:08.5, saliency") for role, name in nodes)
    assert all(name for role, name in nodes if role in ("button", "slider", "link", "heading"))


def test_page_of_a_video_that_moved_away(chrome: Any, tmp_path: Path) -> None:
    write_page(sample(str(tmp_path / "gone.mp4")), tmp_path / "page.html")
    browser = Browser(chrome, tmp_path / "page.html")
    browser.wait("!document.getElementById('no-video').hidden")
    browser.move_over_timeline(0.33)
    assert browser.find("#peek").is_displayed()


@pytest.mark.parametrize("name", ["unscored", "failure", "bare", "nasty", "uncertain", "uncalibrated"])
def test_odd_results_load_too(chrome: Any, cat_video: Path, tmp_path: Path, name: str) -> None:
    result = {
        "unscored": unscored(str(cat_video)),
        "failure": failure(str(cat_video)),
        "bare": replace(sample(str(cat_video), jpegs=False), tags=(), info=None, cost=None, timings=None),
        "nasty": sample(str(cat_video), tags=((NASTY, 0.9),)),
        "uncertain": uncertain(str(cat_video)),
        "uncalibrated": uncalibrated(str(cat_video)),
    }[name]
    write_page(result, tmp_path / "page.html")
    browser = Browser(chrome, tmp_path / "page.html", PHONE)
    if name != "failure":
        browser.move_over_timeline(0.5)
        assert browser.find("#peek").is_displayed()
    browser.assert_fits()
    browser.assert_quiet()


def test_chromium_reads_the_cues(chrome: Any, tmp_path: Path) -> None:
    """The browser's own WebVTT parser, on names that try to break out."""
    result = sample(tags=((NASTY, 0.9), ("tabby", 0.5)), certain=2)
    cues = f"data:text/vtt;base64,{base64.b64encode(to_vtt(result).encode()).decode()}"
    (tmp_path / "track.html").write_text(
        f'<!doctype html><link rel="icon" href="data:,"><video><track default src="{cues}"></video>'
    )
    browser = Browser(chrome, tmp_path / "track.html")
    browser.js("document.querySelector('track').track.mode = 'hidden'")
    browser.wait("document.querySelector('track').readyState === 2")
    read = browser.js(
        """const cues = [...document.querySelector('track').track.cues];
        return cues.map(c => [c.startTime, c.endTime, c.getCueAsHTML().textContent]);"""
    )
    assert [(start, end) for start, end, _ in read] == [(8.0, 12.0), (8.0, 12.0)]
    assert read[0][2].startswith("a<b>&\"'|]]> --> </script>") and read[1][2] == "tabby (95 %)"
    browser.assert_quiet()
