"""The report page in a real headless Chromium: 5,000 videos, words, spans, players; and the page of hits."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from browsers import DESKTOP, NEED_CHROMIUM, PHONE, Browser
from sample_results import NASTY, failure, sample, uncalibrated, uncertain, write_report

from nsnet_cli.hierarchy import Hierarchy
from nsnet_cli.index.hits import Hit
from nsnet_cli.index.pictures import page as hits_page
from nsnet_cli.types import Span, Tag
from nsnet_cli.weights.vocabulary import load_vocabulary
from nsnet_cli.words import Names, lexicon, normal

pytestmark = NEED_CHROMIUM
VIDEOS = 5000
MOST_CARDS = 240
"""However far one scrolls: four sections of 60."""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, cat_video: Path) -> Path:
    """5,000 videos, every tenth failed, every seventh a zebra; probabilities and saliency all different."""
    folder = tmp_path_factory.mktemp("report")
    base = sample(count=4, certain=2)

    def results() -> Iterator[Any]:
        for i in range(VIDEOS):
            path = f"videos/{i % 20:02d}/clip{i}.mp4"
            if i % 10 == 3:
                yield failure(path)
                continue
            names = ("zebra" if i % 7 == 0 else "horse", "<b>odd & even</b>" if i % 2 else "grass")
            sure = (i + 1) / (VIDEOS + 1)
            tags = tuple(replace(t, name=n, probability=sure) for t, n in zip(base.tags, names, strict=True))
            frames = tuple(replace(f, saliency=((i * 7919) % VIDEOS) / VIDEOS) for f in base.frames)
            yield replace(
                base, path=path, tags=tags, frames=frames, jpegs=base.jpegs if i % 20 == 0 and i < 400 else ()
            )

    write_report(folder, results())
    return folder / "index.html"


def names(driver: Any) -> list[str]:
    return driver.execute_script("return [...document.querySelectorAll('.card .name')].map(n => n.textContent)")


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
@pytest.mark.parametrize("dark", [False, True])
def test_report_of_5000_opens_with_few_cards(chrome: Any, report: Path, size: tuple[int, int], dark: bool) -> None:
    browser = Browser(chrome, report, size, dark)
    browser.wait("document.images.length && document.images[0].complete")
    assert browser.js("return document.images[0].naturalWidth") == 320
    assert 0 < len(names(chrome)) <= MOST_CARDS, "cards come as they are needed"
    assert browser.find("#count").text == "All 5,000 shown"
    browser.assert_fits()
    browser.assert_quiet()


def test_report_filters_by_typing_and_by_tag(chrome: Any, report: Path) -> None:
    browser = Browser(chrome, report)
    browser.find("#find").send_keys("zebra")
    expected = [i for i in range(VIDEOS) if i % 7 == 0 and i % 10 != 3]
    assert browser.find("#count").text == f"{len(expected)} of 5,000"
    browser.find("#find").send_keys(" clip14.")
    assert names(chrome) == ["clip14.mp4"]
    browser.find(".card-tags button").click()  # the tag on the card: zebra
    browser.find("#find").clear()
    browser.js("document.getElementById('find').dispatchEvent(new Event('input'))")
    assert browser.find("#count").text == f"{len(expected)} of 5,000"
    assert browser.find(".chip[aria-pressed='true']").text.startswith("zebra")
    browser.find(".chip[aria-pressed='true']").click()
    assert browser.find("#count").text == "All 5,000 shown"
    browser.find(".chip[data-failed]").click()
    assert browser.find("#count").text == "500 of 5,000"
    assert "ends after 12 of 640 kB" in browser.find(".card .why").text
    assert "failed=1" in chrome.current_url
    chrome.refresh()
    assert browser.find("#count").text == "500 of 5,000", "what was chosen is in the address"
    browser.assert_quiet()


def test_report_sorts(chrome: Any, report: Path) -> None:
    browser = Browser(chrome, report)

    def sorted_by(key: str) -> list[str]:
        browser.js(
            "const s = document.getElementById('sort'); s.value = arguments[0]; s.dispatchEvent(new Event('change'))",
            key,
        )
        return names(chrome)

    assert sorted_by("name")[:3] == ["clip0.mp4", "clip20.mp4", "clip40.mp4"], "numbers sort as numbers, folders first"
    assert sorted_by("score")[:3] == ["clip4999.mp4", "clip4998.mp4", "clip4997.mp4"]
    assert sorted_by("unsure")[:4] == ["clip0.mp4", "clip1.mp4", "clip2.mp4", "clip4.mp4"], "failed ones come last"
    most = max((i for i in range(VIDEOS) if i % 10 != 3), key=lambda i: (i * 7919) % VIDEOS)
    assert sorted_by("mass")[0] == f"clip{most}.mp4"
    browser.assert_quiet()


def test_report_of_certain_tags_guesses_and_scores(chrome: Any, tmp_path: Path) -> None:
    write_report(tmp_path, [sample("a.mp4"), uncertain("b.mp4"), uncertain("c.mp4", None), uncalibrated("d.mp4")])
    browser = Browser(chrome, tmp_path / "index.html", PHONE)
    shown = browser.js("return [...document.querySelectorAll('.card')].map(c => c.innerText.split(/\\n+/).slice(2))")
    assert shown == [
        ["tabby 95 % 0:08-0:12"],
        ["nothing certain; perhaps a wheeled vehicle", "mountain bike? 40 %"],
        ["nothing certain", "mountain bike? 40 %"],
        ["tabby 0.83", "tiger cat 0.07"],
    ]
    chips = "return [...document.querySelectorAll('.chip')].map(c => c.innerText)"
    assert browser.js(chips) == ["tabby 2"], "of certain tags only; how many cards it leaves"
    browser.find(".chip").click()
    assert names(chrome) == ["a.mp4", "d.mp4"]
    browser.find(".chip").click()
    for words, found in (
        ("mammal", ["a.mp4", "d.mp4", "b.mp4", "c.mp4"]),
        ("vehicle", ["b.mp4"]),
        ("nothing certain", ["b.mp4", "c.mp4"]),
    ):
        browser.find("#find").clear()
        browser.find("#find").send_keys(words)
        assert names(chrome) == found
    browser.assert_fits()
    browser.assert_quiet()


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_cards_come_and_go_on_scrolling(chrome: Any, report: Path, size: tuple[int, int]) -> None:
    browser, seen = Browser(chrome, report, size), set[str]()
    deadline = time.monotonic() + 60
    while len(seen) < 2 * MOST_CARDS:
        assert time.monotonic() < deadline, "no more cards come"
        there = names(chrome)
        assert len(there) <= MOST_CARDS, "those that are far away have gone"
        seen.update(there)
        browser.js("scrollTo(0, document.body.scrollHeight)")
        time.sleep(0.02)
    browser.js("scrollTo(0, 0)")
    browser.wait("document.querySelector('.card .name')?.textContent === 'clip0.mp4'")
    browser.js("scrollTo(0, document.body.scrollHeight)")
    browser.find("#find").send_keys("clip14.")
    assert names(chrome) == ["clip14.mp4"]
    browser.assert_fits()
    browser.assert_quiet()


def test_report_links_to_the_most_salient_moment(chrome: Any, tmp_path: Path, cat_video: Path) -> None:
    write_report(tmp_path, [sample(str(cat_video), count=20, duration_s=20.0)])
    browser = Browser(chrome, tmp_path / "index.html")
    href = browser.find(".poster").get_attribute("href")
    assert href == f"{cat_video.as_uri()}#t=9.5"
    assert browser.find(".poster").accessible_name == "play cat.mp4 from its most salient moment"
    browser.assert_quiet()


def test_a_high_window_is_filled_without_scrolling(chrome: Any, report: Path) -> None:
    browser = Browser(chrome, report, (1280, 3000))
    for text in ("clip", "clip1", ""):
        asked(browser, text)
        browser.wait("document.getElementById('more').getBoundingClientRect().top > 3000")


# ---- words -----------------------------------------------------------------------------------------------------------

IMAGENET = Hierarchy(load_vocabulary("imagenet-1k"))
NODES = {node.name: node for node in IMAGENET.nodes}


def seen(name: str, *ends: float, probability: float = 0.9) -> Tag:
    """ImageNet's tag, certain if it has spans."""
    spans = tuple(Span(*pair, probability) for pair in zip(ends[::2], ends[1::2], strict=True))
    parents = tuple(over.name for over in IMAGENET.ancestors(NODES[name].id))
    return Tag(NODES[name].id, name, 0.8, (), probability, bool(ends), parents, spans)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few videos of 100 s that are not there."""
    folder, base = tmp_path_factory.mktemp("library"), sample(count=4, duration_s=100.0, jpegs=False)
    tags = {
        "a terrier.mp4": (seen("Border terrier", 5, 20, 50, 70), seen("espresso", 99, 100)),
        "b guess.mp4": (seen("golden retriever", probability=0.4),),
        "c dog.mp4": (seen("dog", 0, 100),),
        "holiday/cat.mp4": (seen("tabby", 10, 20),),
        "holiday/car.mp4": (seen("minivan", 10, 20), seen("dog", 30, 40)),
    }
    write_report(folder, (replace(base, path=f"/v/{path}", tags=each) for path, each in tags.items()))
    return folder / "index.html"


def asked(browser: Browser, text: str) -> list[str]:
    browser.js(
        "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))", browser.find("#find"), text
    )
    return names(browser.driver)


TERRIER, GUESS, DOG, CAT, CAR = "a terrier.mp4", "b guess.mp4", "c dog.mp4", "cat.mp4", "car.mp4"
ALL = [TERRIER, GUESS, DOG, CAR, CAT]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Border terrier", [TERRIER]),
        ("terriers", [TERRIER]),
        ("dog", [TERRIER, DOG, CAR, GUESS]),
        ("DOGS", [TERRIER, DOG, CAR, GUESS]),
        ("puppies", [TERRIER, DOG, CAR, GUESS]),
        ("automobile", [CAR]),
        ("vehicle", [CAR]),
        ("animals", [TERRIER, DOG, CAR, CAT, GUESS]),
        ("terr", [TERRIER]),
        ("golden retr", [GUESS]),
        ("cat, minivan", [CAR, CAT]),
        ("holiday", [CAR, CAT]),
        ("dog holiday", [CAR]),
        ("espresso dog", [TERRIER]),
        ("terrier.mp4", [TERRIER]),
        ("zzzz", []),
        (" , ", ALL),
        ("", ALL),
    ],
)  # fmt: skip
def test_words_find_videos(chrome: Any, library: Path, text: str, found: list[str]) -> None:
    """Certain tags come first, then guesses, then names of files."""
    browser = Browser(chrome, library)
    assert asked(browser, text) == found
    browser.assert_quiet()


def test_a_narrower_word_is_told_and_a_mistake_is_offered(chrome: Any, library: Path) -> None:
    browser = Browser(chrome, library, PHONE)
    asked(browser, "puppy")
    assert browser.find("#offers").text == "“puppy” is not a tag of its own: these are videos with dog."
    assert asked(browser, "dgo") == []
    assert browser.find("#offers").text == "No video with “dgo”. Did you mean dog?"
    browser.find(".offer").click()
    assert names(chrome) == [TERRIER, DOG, CAR, GUESS] and browser.find("#find").get_attribute("value") == "dog"
    assert browser.js("return document.activeElement.id") == "find" and browser.find("#offers").text == ""
    asked(browser, "<b>zzzzzz</b>")
    assert browser.find("#offers").text == "No video with “<b>zzzzzz</b>”."
    browser.assert_fits()
    browser.assert_quiet()


def test_the_page_knows_words_as_find_does(chrome: Any, tmp_path: Path) -> None:
    """Every 11th of WordNet's words and some that are no tag, on a page with all of ImageNet's tags."""
    base = replace(sample(jpegs=False), frames=(), tags=tuple(seen(name, 1, 2) for name in NODES))
    write_report(tmp_path, [base])
    browser = Browser(chrome, tmp_path / "index.html")
    texts = [*sorted({*lexicon().synonyms, *lexicon().narrower, *lexicon().plurals, *map(normal, NODES)})[::11]]
    texts += [
        "dogs",
        "wolves",
        "retrievers",
        "glasses",
        "CRANE (bird)",
        "carpenters' planes",
        "van",
        "police",
        "feline",
    ]
    texts += ["dgo", "elefant", "aircraft carier"]
    script = """
        const data = JSON.parse(document.getElementById("data").textContent), words = lookup(data);
        return [data.tags.map((tag) => tag[0]), arguments[0].map((text) => {
          const { tags, instead } = words.meant(text);
          return [[...tags].sort((a, b) => a - b), tags.size ? instead : words.alike(text)];
        })];"""
    tags, told = browser.js(script, texts)
    known = Names((number, NODES[name].id, name) for number, name in enumerate(tags))
    expected = [
        [list(each.tags), bool(each.instead) if each.tags else list(each.offered)] for each in map(known.match, texts)
    ]
    wrong = [(text, *page, found) for text, page, found in zip(texts, told, expected, strict=True) if page != found]
    assert wrong == []


# ---- spans and players -----------------------------------------------------------------------------------------------


def test_spans_lie_where_they_are_seen(chrome: Any, library: Path) -> None:
    browser = Browser(chrome, library)
    script = """
        return [...document.querySelectorAll(".card")].map((card) => [...card.querySelectorAll(".lane")].map((lane) => {
          const whole = lane.getBoundingClientRect();
          return [...lane.children].map((span) => {
            const box = span.getBoundingClientRect();
            return [box.left - whole.left, box.width].map((px) => Math.round(100 * px / whole.width));
          });
        }));"""
    terrier, guess, dog, *_ = browser.js(script)
    assert terrier == [[[5, 15], [50, 20]], [[99, 2]]], "a short one can be seen too"
    assert guess == [] and dog == [[[0, 100]]]
    first = browser.find(".span")
    assert first.get_attribute("href").endswith("/v/a%20terrier.mp4#t=5,20")
    assert first.accessible_name == "play a terrier.mp4, Border terrier, 0:05-0:20"
    asked(browser, "espresso")
    assert browser.find(".poster").get_attribute("href").endswith("#t=99,100"), "what was looked for"
    assert browser.find(".card-tags .wanted").text.startswith("espresso"), "and it comes first"


@pytest.fixture
def cat(tmp_path: Path, cat_video: Path) -> Path:
    """The page of a real video of 20 s, the cat from 8 to 12 s."""
    tags = (seen("tabby", 8, 12), seen("espresso", 2, 4))
    write_report(
        tmp_path, [replace(sample(str(cat_video), count=20, duration_s=20.0), tags=tags), sample("/zzz/gone.mp4")]
    )
    return tmp_path / "index.html"


def wait_for_video(browser: Browser, from_s: float, to_s: float) -> None:
    browser.wait("document.querySelector('video')?.readyState >= 2")
    between = f"v.currentTime >= {from_s - 0.05} && v.currentTime <= {to_s + 0.5}"
    browser.wait(f"((v) => {between})(document.querySelector('video'))")


def assert_inside(browser: Browser) -> None:
    assert browser.find("video").rect == browser.find(".player").rect, "its controls can be seen"


def test_a_click_on_a_span_plays_it(chrome: Any, cat: Path) -> None:
    from selenium.webdriver import Keys

    browser = Browser(chrome, cat)
    tabby, espresso, *_ = chrome.find_elements("css selector", ".span")
    tabby.click()
    wait_for_video(browser, 8, 12)
    browser.wait("!document.querySelector('video').paused || document.querySelector('video').currentTime >= 11.9")
    assert not browser.find(".poster").is_displayed()
    assert_inside(browser)
    espresso.send_keys(Keys.ENTER)
    wait_for_video(browser, 2, 4)
    assert len(chrome.find_elements("css selector", "video")) == 1
    assert chrome.current_url.endswith("index.html"), "the page stays"
    browser.assert_quiet()


def test_a_poster_plays_and_a_video_that_has_gone_is_told(chrome: Any, cat: Path) -> None:
    browser = Browser(chrome, cat, PHONE)
    there, gone = chrome.find_elements("css selector", ".poster")
    there.click()
    wait_for_video(browser, 9.5, 20)
    assert browser.js("return document.activeElement.tagName") == "VIDEO", "the keyboard goes on there"
    gone.click()
    browser.wait("document.querySelector('.player p')")
    assert browser.find(".player p").text == "It has moved, or this browser cannot play it. Open the file"
    assert browser.find(".player a").get_attribute("href").endswith("gone.mp4#t=9.5")
    assert browser.js("return document.querySelector('video').paused"), "one at a time"
    browser.assert_fits()


def test_names_stay_text(chrome: Any, tmp_path: Path) -> None:
    odd = "\u05e9\u05dc\u05d5\u05dd \U0001f600 <img src=x onerror=alert(1)>"
    tags = (replace(seen("dog", 1, 2), id="own:1", name=odd, parents=(NASTY, "__proto__")),)
    write_report(tmp_path, [replace(sample("/v/" + odd + ".mp4", jpegs=False), tags=tags), sample(NASTY)])
    browser = Browser(chrome, tmp_path / "index.html", PHONE)
    assert odd + ".mp4" in names(chrome) and chrome.find_elements("css selector", ".chip")[1].text == f"{odd} 1"
    assert browser.js("return document.images.length + document.scripts.length") == 3, "a poster, the data, the script"
    assert asked(browser, "\u05e9\u05dc\u05d5\u05dd") == [odd + ".mp4"] == asked(browser, "__proto__")
    assert asked(browser, "constructor") == []
    browser.assert_fits()
    browser.assert_quiet()


def test_the_page_of_hits_plays_them_too(chrome: Any, tmp_path: Path, cat_video: Path) -> None:
    hit = Hit("cat.mp4", str(cat_video), 20.0, 8.0, 12.0, 10.0, "cat", "n02121620", 0.9, 0.9, True)
    html = hits_page("cat", [hit, replace(hit, start_s=2.0, end_s=4.0)], [None, None], [], tmp_path)
    (tmp_path / "index.html").write_text(html, encoding="utf-8")
    browser = Browser(chrome, tmp_path / "index.html", PHONE)
    first, second = chrome.find_elements("css selector", ".picture")
    first.click()
    wait_for_video(browser, 8, 12)
    assert_inside(browser)
    second.click()
    browser.wait("document.querySelectorAll('video')[1]?.currentTime >= 1.95")
    assert browser.js("return document.querySelector('video').paused")
    assert chrome.current_url.endswith("index.html")
    browser.assert_fits()
    browser.assert_quiet()
