"""The two pages as text: escaping, nothing from outside, links, and the report's bookkeeping. No browser here."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from sample_results import NASTY, failure, sample, uncalibrated, uncertain, unscored, write_report

from nsnet_cli.errors import OutputError
from nsnet_cli.outputs.index import ReportWriter
from nsnet_cli.outputs.owner import marked
from nsnet_cli.outputs.page import to_html, write_page
from nsnet_cli.outputs.pagedata import read_records
from nsnet_cli.outputs.words import relative_url
from nsnet_cli.text import harmless


class Page(HTMLParser):
    """Tags with their attributes, and the text of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.raw: list[tuple[str, str]] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {k: v or "" for k, v in attrs}))
        self._inside = tag

    def handle_data(self, data: str) -> None:
        if self._inside in ("script", "style"):
            self.raw.append((self._inside, data))

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attrs for name, attrs in self.tags if name == tag]


def test_page_needs_nothing_from_outside() -> None:
    page = Page(to_html(sample(), video_url="clip.mp4"))
    for _, attrs in page.tags:
        for name in ("src", "href", "action", "poster", "data", "srcset"):
            assert name not in attrs or attrs[name] == "clip.mp4" or attrs[name].startswith("data:")
        assert "style" not in attrs and not any(name.startswith("on") for name in attrs), "the policy forbids both"
    css = "".join(text for tag, text in page.raw if tag == "style")
    assert "url(" not in css and "@import" not in css


@pytest.mark.parametrize("text", [to_html(sample(), video_url="clip.mp4")])
def test_policy_allows_only_the_page_s_own_script_and_style(text: str) -> None:
    page = Page(text)
    csp = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert csp.startswith("default-src 'none'") and "unsafe" not in csp and "http" not in csp
    style = re.search(r"<style>(.*?)</style>", text, re.S)
    script = re.search(r"<script>(.*?)</script>", text, re.S)
    assert style and script
    for content in (style[1], script[1]):
        assert f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'" in csp


def test_page_shows_kept_and_suppressed_frames_once_each() -> None:
    result = sample()
    page = Page(to_html(result, video_url="clip.mp4"))
    images = [a["src"] for a in page.all("img") if a.get("src", "").startswith("data:image/jpeg")]
    assert sorted(base64.b64decode(src.partition(",")[2]) for src in images) == sorted(result.jpegs)
    slider = next(a for _, a in page.tags if a.get("role") == "slider")
    assert slider["tabindex"] == "0" and slider["aria-label"] and slider["aria-valuemax"] == "30.000"


def test_nasty_names_stay_text(tmp_path: Path) -> None:
    result = sample(NASTY, tags=((NASTY, 0.9),))
    page = Page(to_html(result, video_url=relative_url(NASTY, tmp_path)))
    assert len(page.all("script")) == 2 and len(page.all("style")) == 1 and not page.all("b ")
    data = json.loads(next(text for tag, text in page.raw if tag == "script"))
    assert len(data["frames"]) == 30
    write_report(tmp_path, [result, failure(NASTY + "2")])
    index = Page((tmp_path / "index.html").read_text("utf-8"))
    assert len(index.all("script")) == 2
    data = json.loads(next(text for tag, text in index.raw if tag == "script"))
    names = [record["name"] for record in read_records(tmp_path / "index.html")]
    assert len(names) == 2 and "\u202e" not in "".join(names)
    assert data["tags"][0] == [harmless(NASTY), [1, 2, 3]] and data["tags"][1][0] == "cat"


def words(text: str) -> str:
    """The text of a page, without its tags, styles and scripts."""
    body = re.sub(r"<(script|style|details).*?</\1>", " ", text, flags=re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


def test_page_tells_certain_tags_from_guesses() -> None:
    text = to_html(sample(), video_url=None)
    assert "Tags tabby 95 % cat · mammal · animal 0:08-0:12 0:08.5 0.90" in words(text)
    assert '<li class="guess">' in text and "tiger cat? 7 %" in words(text)
    assert 'data-time="8.0" aria-label="tabby from 0:08-0:12, 95 %: go there"' in text
    (bar,) = re.findall(r'<svg class="lane seen".*?</svg>', text, re.S)
    assert re.findall(r"<rect[^>]*>", bar) == ['<rect x="26.67%" width="13.33%" height="100%"/>']
    assert "tabby 95 % Saliency" in words(text), "the bar is above the curve"


def test_page_says_where_nothing_is_certain() -> None:
    text = to_html(uncertain(), video_url=None)
    assert "Tags Nothing certain; perhaps a wheeled vehicle. mountain bike? 40 %" in words(text)
    assert text.count('<li class="guess">') == 2 and "lane seen" not in text
    assert "Nothing certain." in words(to_html(replace(uncertain(), tags=(), perhaps=None), video_url=None))
    scores = to_html(uncalibrated(), video_url=None)
    assert "Tags tabby 0.83 0:08.5 0.90" in words(scores) and 'class="guess"' not in scores
    assert "No tag reached the threshold." in words(to_html(replace(uncalibrated(), tags=()), video_url=None))


def test_pages_of_odd_results() -> None:
    for result in (sample(jpegs=False), unscored(), failure(), replace(sample(), frames=(), jpegs=()), sample(count=1)):
        text = to_html(result, video_url=None)
        assert "<video" not in text and "nsnet explain" in text
    assert "truncated" in to_html(failure(), video_url=None)


def test_links_are_relative_and_encoded(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    for name in ("my clip#1?.mp4", "100%.mp4", "a:b.mp4", "ü.mp4"):
        url = relative_url(str(tmp_path / "videos" / name), tmp_path / "out")
        assert url.startswith("../videos/") and not set(url) & set(" #?")
    assert relative_url(str(tmp_path / "a:b.mp4"), tmp_path) == "./a%3Ab.mp4"
    if os.name == "posix":
        assert relative_url(os.fsdecode(bytes(tmp_path) + b"/\xff.mp4"), tmp_path) == "%FF.mp4"
    write_page(sample(str(tmp_path / "videos" / "clip.mp4")), tmp_path / "out" / "page.html")
    assert 'src="../videos/clip.mp4"' in (tmp_path / "out" / "page.html").read_text("utf-8")


# ---- the report -----------------------------------------------------------------------------------------------------


def test_report_has_a_row_per_video_and_posters(tmp_path: Path) -> None:
    write_report(tmp_path / "r", (r for r in [sample("v/a.mp4"), sample("v/b.mp4", jpegs=False), failure("v/c.mp4")]))
    a, b, c = read_records(tmp_path / "r" / "index.html")
    poster = (tmp_path / "r" / a["poster"]).read_bytes()
    assert poster == marked(sample().jpegs[9], Path(a["poster"]).stem), "the most salient frame"
    assert b["poster"] is None and b["curve"] and c["error"][0] == "truncated" and c["curve"] is None
    assert a["at_s"] == pytest.approx(9.5) and a["mass"] == pytest.approx(0.146, abs=0.01) and len(a["dots"]) == 4


def test_report_tells_certain_tags_from_guesses(tmp_path: Path) -> None:
    old = replace(uncalibrated("v/c.mp4"), frames=(), jpegs=())
    write_report(tmp_path, [sample("v/a.mp4", jpegs=False), uncertain("v/b.mp4", jpegs=False), old, failure("v/d.mp4")])
    shown = [
        [r[f] for f in ("kind", "tags", "nothing", "perhaps", "best")] for r in read_records(tmp_path / "index.html")
    ]
    assert shown == [
        ["certain", [[0, "95 %", "0:08-0:12", [8.0, 12.0]]], None, None, 0.95],
        ["guess", [[4, "40 %", "", []]], "nothing certain; perhaps a wheeled vehicle", 5, 0.6],
        ["score", [[0, "0.83", "", []], [7, "0.07", "", []]], None, None, 0.83],
        ["score", [], None, None, None],
    ]


def test_a_finished_video_keeps_its_poster_on_the_next_run(tmp_path: Path) -> None:
    write_report(tmp_path, [sample("v/a.mp4")])
    first = read_records(tmp_path / "index.html")[0]
    done_before = replace(sample("v/a.mp4"), frames=(), jpegs=())
    write_report(tmp_path, [done_before, sample("v/new.mp4")])
    again, new = read_records(tmp_path / "index.html")
    assert {k: again[k] for k in ("poster", "curve", "mass", "dots")} == {
        k: first[k] for k in ("poster", "curve", "mass", "dots")
    }
    assert new["name"] == "new.mp4"


def test_a_poster_is_found_without_its_page(tmp_path: Path) -> None:
    write_report(tmp_path, [sample("v/a.mp4"), sample("v/b.mp4")])
    a, b = read_records(tmp_path / "index.html")
    (tmp_path / "index.html").unlink()
    (tmp_path / b["poster"]).write_bytes(sample().jpegs[0])  # without nsnet's mark
    write_report(tmp_path, [sample("v/a.mp4", jpegs=False), sample("v/b.mp4", jpegs=False)])
    assert [r["poster"] for r in read_records(tmp_path / "index.html")] == [a["poster"], None]


def test_a_page_of_an_earlier_version_keeps_its_posters(tmp_path: Path) -> None:
    write_report(tmp_path, [sample("v/a.mp4")])
    (a,) = read_records(tmp_path / "index.html")
    (tmp_path / a["poster"]).rename(tmp_path / "posters" / "moved.jpg")
    old = json.dumps([a | {"path": "v/a.mp4", "poster": "posters/moved.jpg"}])
    (tmp_path / "index.html").write_text(
        f'<meta name="generator" content="nsnet"><script id="data" type="application/json">{old}</script>'
    )
    write_report(tmp_path, [replace(sample("v/a.mp4"), frames=(), jpegs=())])
    (again,) = read_records(tmp_path / "index.html")
    assert again["poster"] == "posters/moved.jpg" and again["curve"] == a["curve"]


def test_only_words_that_find_something_are_on_the_page(tmp_path: Path) -> None:
    dog = replace(sample().tags[0], id="n02084071", name="dog", parents=("mammal", "animal"))
    write_report(tmp_path, [replace(sample("v/a.mp4", jpegs=False), tags=(dog,))])
    page = Page((tmp_path / "index.html").read_text("utf-8"))
    data = json.loads(next(text for tag, text in page.raw if tag == "script"))
    assert data["tags"] == [["dog", [1, 2]], ["mammal", []], ["animal", []]]
    names, other, synonyms, narrower = data["words"]
    assert names == {"dog": [0], "mammal": [1], "animal": [2]} and other == {}
    assert synonyms["creature"] == [2] and narrower["puppy"] == [0] and "aardvark" not in names
    assert data["own"] == [] and "canine" in data["instead"], "it has no name of its own"
    assert not any("zebra" in word for table in data["words"] for word in table)


def test_rows_are_sorted_as_people_count(tmp_path: Path) -> None:
    names = ["b/clip2.mp4", "b/clip10.mp4", "a/\u00c4rger.mp4", "a/apfel.mp4", "b/Clip3.mp4", "c.mp4"]
    write_report(tmp_path, (failure(f"/v/{name}") for name in names))
    found = [r["name"] for r in read_records(tmp_path / "index.html")]
    assert found == ["c.mp4", "apfel.mp4", "\u00c4rger.mp4", "clip2.mp4", "Clip3.mp4", "clip10.mp4"]


def test_finished_videos_stay_after_an_interruption(tmp_path: Path) -> None:
    def results() -> object:
        yield sample("a.mp4")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_report(tmp_path, results())  # type: ignore[arg-type]
    assert [r["name"] for r in read_records(tmp_path / "index.html")] == ["a.mp4"]
    assert not list(tmp_path.glob("**/*.tmp"))


def test_a_report_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write the report"):
        ReportWriter(tmp_path / "file")


def test_a_foreign_page_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<html>not ours</html>")
    assert read_records(tmp_path / "index.html") == []
    (tmp_path / "index.html").write_bytes(b'<script id="data" type="application/json">{"a": </script>\xff')
    assert read_records(tmp_path / "index.html") == []
