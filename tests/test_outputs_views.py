"""Text timeline, plot and contact sheet: what they show, at every width and for odd results."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rich.cells import cell_len
from sample_results import NASTY, failure, sample, uncalibrated, uncertain, unscored

from nsnet_cli.hierarchy import imagenet_table
from nsnet_cli.outputs.plot import _spread, plot_png
from nsnet_cli.outputs.sheet import WIDTH_PX, contact_sheet
from nsnet_cli.outputs.shown import NO_ARTICLE, headline, looked_at, nothing_certain, percent, spans_in, with_article
from nsnet_cli.outputs.table import TableRows
from nsnet_cli.outputs.timeline import CHART_ROWS, MARGIN, timeline
from nsnet_cli.outputs.words import axis_ticks, clock, columns, cost_words, covered, saliency_mass
from nsnet_cli.types import Evidence, Span, Tag

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def heights(text: str) -> list[int]:
    """Filled rows of the area chart, column by column."""
    lines = text.splitlines()
    top = next(i for i, line in enumerate(lines) if line.startswith("saliency"))
    rows = [line[MARGIN:] for line in lines[top : top + CHART_ROWS]]
    width = max(map(len, rows))
    return [sum(row.ljust(width)[c] not in " " for row in rows) for c in range(width)]


# ---- the timeline ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [40, 60, 80, 140, 200])
@pytest.mark.parametrize("unicode", [True, False])
def test_no_line_is_wider_than_the_terminal(width: int, unicode: bool) -> None:
    result = sample(
        "a/very/long/path/" * 8 + "clip.mp4", tags=(("a tag with a rather long name " * 3, 0.5), ("猫", 0.2))
    )
    for color in (False, True):
        text = timeline(result, width, unicode=unicode, color=color)
        assert max(cell_len(ESCAPE.sub("", line)) for line in text.splitlines()) <= width


def test_the_curve_rises_at_the_salient_stretch_and_nowhere_else() -> None:
    result = sample(peak_s=20.0)
    for unicode in (True, False):
        bars = heights(timeline(result, 112, unicode=unicode))
        seconds = [(c + 0.5) * 30 / 100 for c in range(len(bars))]
        high = [t for t, bar in zip(seconds, bars, strict=True) if bar > CHART_ROWS // 2]
        assert high and min(high) > 17 and max(high) < 23


def test_chosen_frames_are_marked_under_their_moments() -> None:
    result = sample(peak_s=20.0)
    line = next(row for row in timeline(result, 112).splitlines() if row.startswith("chosen"))
    marks = [(i - MARGIN + 0.5) * 30 / 100 for i, c in enumerate(line) if c == "▲"]
    assert marks == pytest.approx([f.pts_s for f in result.frames if f.chosen], abs=0.31)


def test_plain_text_has_no_colour_and_no_unicode() -> None:
    text = timeline(sample(), 80, unicode=False, color=False)
    assert text.isascii() and "\x1b" not in text
    assert "tabby" in text and "3.5 times less than dense" in text and "^" in text
    assert "\x1b[" in timeline(sample(), 80, color=True)


def test_names_cannot_steer_the_terminal() -> None:
    text = timeline(sample("clip\x1b[2J\n.mp4", tags=(("tag\x07\u202e", 0.9),)), 80)
    assert "\x1b" not in text and "\x07" not in text and "\u202e" not in text


def test_results_with_one_frame_no_tags_or_no_times() -> None:
    result = replace(sample(count=1, duration_s=0.04), tags=(), cost=None, timings=None, info=None)
    assert "nothing certain\n" in timeline(result, 80)
    assert "no tag reached the threshold" in timeline(replace(result, precision=None), 80)
    assert "truncated: clips/broken.mp4 ends" in timeline(failure(), 80)
    assert "without scoring them" in timeline(unscored(), 80)


def test_spans_are_bars_under_their_moments() -> None:
    seen = (Span(0.0, 6.0, 0.9), Span(15.0, 15.01, 0.9), Span(24.0, 30.0, 0.9))
    result = replace(sample(), tags=(replace(sample().tags[0], name="wheeled vehicle", spans=seen), sample().tags[1]))
    for unicode, mark in ((True, "━"), (False, "=")):
        lines = timeline(result, 112, unicode=unicode).splitlines()
        (bar,) = [line for line in lines if line.startswith("wheeled")]
        assert [i - MARGIN for i, c in enumerate(bar) if c == mark] == [*range(20), 50, *range(80, 100)]
        assert not any(line.startswith("tiger") for line in lines), "a guess has no bar"


def test_tags_say_how_likely_they_are_and_when_they_are_seen() -> None:
    rows = [re.split(r"\s{2,}", row.strip("━╸ ")) for row in timeline(sample(), 112).splitlines() if "(0.90)" in row]
    assert rows[0][:3] == ["95 %", "tabby", "0:08-0:12"] and rows[1][:2] == ["7 %", "tiger cat?"]
    assert rows[0][3:] == rows[1][2:] == ["0:08.5 (0.90)", "0:09.5 (0.89)", "0:10.5 (0.88)"]
    text = timeline(uncertain(), 80)
    assert "\nnothing certain; perhaps a wheeled vehicle\n" in text and " 40 %  mountain bike?  0:08.5" in text
    assert "\x1b[2m40 %  mountain bike?\x1b[0m" in timeline(uncertain(), 80, color=True), "a guess is dimmed"
    assert " 0.83  tabby      0:08.5" in timeline(uncalibrated(), 80)
    assert "tiger cat?" in timeline(sample(tags=(("x" * 90, 0.9), ("tiger cat", 0.1))), 40)
    assert "x?" in timeline(sample(tags=(("x" * 90, 0.9),), certain=0), 40), "a long name keeps its mark"


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 1)), min_size=1, max_size=50), st.integers(1, 120))
@settings(max_examples=60, deadline=None)
def test_columns_keep_the_peak_and_invent_none(points: list[tuple[float, float]], count: int) -> None:
    points.sort()
    times, values = [t for t, _ in points], [v for _, v in points]
    drawn = columns(times, values, 10.0, count)
    assert len(drawn) == count
    assert max(drawn) == pytest.approx(max(values)) and min(drawn) >= min(values) - 1e-9


# ---- words ----------------------------------------------------------------------------------------------------------


def test_words() -> None:
    assert [clock(s) for s in (0, 12.44, 59.99, 3723)] == ["0:00.0", "0:12.4", "1:00.0", "1:02:03.0"]
    assert axis_ticks(12.2, 7) == [0, 2, 4, 6, 8, 10, 12]
    assert cost_words(replace(sample(), cost=None)) is None
    assert covered(sample(count=3, duration_s=3.0)) == [(0.0, 1.0), (1.0, 2.0), (2.0, 3.0)]


def test_saliency_mass_weighs_by_time() -> None:
    result = sample()
    even = saliency_mass(result)
    assert even == pytest.approx(np.mean([f.saliency for f in result.frames]), rel=1e-6)
    assert saliency_mass(unscored()) is None and saliency_mass(failure()) is None


def test_the_words_for_what_is_seen() -> None:
    assert [percent(p) for p in (0.0, 0.004, 0.5, 0.946, 0.999, 1.0)] == ["1 %", "1 %", "50 %", "95 %", "99 %", "99 %"]
    times = [(0, 8.2), (12.3, 12.4), (59.6, 61), (3599, 3725)]
    tag = Tag("n1", "cat", 0.9, spans=tuple(Span(*ends, 0.9) for ends in times))
    words = ["0:00-0:08", "0:12", "1:00-1:01", "59:59-1:02:05"]
    assert spans_in(tag, None) == " ".join(words) and spans_in(tag, 38) == " ".join(words)
    assert spans_in(tag, 37) == "0:00-0:08 0:12 1:00-1:01 +1 more"
    assert (spans_in(tag, 22), spans_in(tag, 21)) == ("0:00-0:08 0:12 +2 more", "0:00-0:08 +3 more")
    assert spans_in(tag, 3) == "0:00-0:08 +3" and spans_in(replace(tag, spans=()), 3) == ""


def test_a_clip_is_shown_from_start_to_end() -> None:
    assert looked_at(Evidence(8.5, 0.9, 0.8)) == "0:08.5"
    seen = (Evidence(3.0, 0.5, 0.7, 2.0, 4.0), Evidence(1.0, 0.5, 0.6, 0.0, 2.0), Evidence(8.5, 0.1, 0.1))
    result = uncalibrated()
    result = replace(result, tags=(replace(result.tags[0], evidence=seen),))
    assert TableRows([result.path], None, False).row(result).endswith("  0:00.0-0:02.0 0:02.0-0:04.0 0:08.5\n")


def test_the_words_for_what_is_certain() -> None:
    assert headline(sample(certain=2)) == ["tabby  95 %", "tiger cat  95 %"]
    assert headline(sample(), spans_width=20) == ["tabby  95 %  0:08-0:12"], "no guess beside what is certain"
    assert headline(uncertain()) == ["nothing certain; perhaps a wheeled vehicle", "mountain bike?  40 %"]
    assert headline(uncertain(perhaps=None))[0] == "nothing certain"
    assert headline(uncalibrated()) == ["tabby  0.83", "tiger cat  0.07"]
    assert headline(replace(sample(certain=0), precision=0.0)) == ["tabby  0.83", "tiger cat  0.07"], "--precision 0"
    said = replace(uncertain(), perhaps=replace(uncertain().tags[0], name="bicycle"))
    assert headline(said) == ["nothing certain; perhaps a bicycle"], "nothing is named twice"
    assert headline(failure()) == [] and nothing_certain(failure()) is None


def test_every_name_has_its_article() -> None:
    tags = [Tag(identifier, name, 0.5) for identifier, name in imagenet_table().names.items() if name]
    said = {tag.name: with_article(tag).removesuffix(tag.name).strip() for tag in tags}
    assert {name for name, article in said.items() if not article} == NO_ARTICLE
    by_letter = {name: "an" if name[0].lower() in "aeiou" else "a" for name in said}
    assert {name: article for name, article in said.items() if article and article != by_letter[name]} == {
        "European fire salamander": "a",
        "European gallinule": "a",
        "hourglass": "an",
        "one-piece swimsuit": "a",
        "unicycle": "a",
        "uniform": "a",
    }
    plural = {name for name in said if re.search(r"(?<![sui])s$", name)} - NO_ARTICLE
    assert plural == {"Bouvier des Flandres", "Great Pyrenees", "hen-of-the-woods", "triceratops"}, "singular"
    assert with_article(Tag("playing chess", "playing chess", 0.5)) == "playing chess", "own names may be anything"


# ---- pictures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "result", [sample(), sample(jpegs=False), unscored(), sample(count=1, duration_s=0.04), uncertain(), uncalibrated()]
)
def test_plot_is_a_png(result: object) -> None:
    with Image.open(io.BytesIO(plot_png(result))) as image:  # type: ignore[arg-type]
        assert image.format == "PNG" and image.width == 1440
        assert len(image.convert("RGB").getcolors(1 << 20) or []) > 20


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_thumbnails_stay_in_order_apart_and_inside(centres: list[float]) -> None:
    widths = [0.9 / len(centres) - 0.01] * len(centres)
    places = _spread(sorted(centres), widths, 0.01, 0.0, 1.0)
    assert places[0] >= -1e-9 and places[-1] + widths[-1] <= 1 + 1e-9
    for left, right, width in zip(places, places[1:], widths, strict=False):
        assert right - left >= width + 0.01 - 1e-9


@pytest.mark.parametrize(
    "result",
    [
        sample(NASTY),
        sample(count=128),
        sample(size=(180, 320)),
        sample(jpegs=False),
        unscored(),
        failure(),
        uncertain(),
        uncalibrated(),
        sample(tags=(("x" * 300, 0.5),)),
    ],
)
def test_contact_sheet_is_a_jpeg_with_a_fixed_width(result: object) -> None:
    with Image.open(io.BytesIO(contact_sheet(result))) as image:  # type: ignore[arg-type]
        assert image.format == "JPEG" and image.width == WIDTH_PX and 100 < image.height < 3000


def test_contact_sheet_shows_chosen_frames_in_colour_and_others_pale() -> None:
    sheet = np.asarray(Image.open(io.BytesIO(contact_sheet(sample()))).convert("HSV")).astype(int)
    colourful = (sheet[..., 1] > 80).mean(axis=1)
    assert colourful[150:300].mean() > 0.5, "the large frames at the top"
    assert colourful[-120:].mean() < 0.2, "the last rows are suppressed frames"
