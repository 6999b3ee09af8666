"""What goes to stdout: the JSON contract field by field, and CSV and tables that no name can break."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shown_names import spreadsheet_text, unprintable

from nsnet_cli.cli.explain import frames_csv
from nsnet_cli.media import VideoInfo
from nsnet_cli.outputs.formats import FORMATS, Stdout
from nsnet_cli.outputs.jsonlines import explain_dict, from_dict, to_dict, to_line
from nsnet_cli.outputs.thumbnails import thumbnail_suffixes, thumbnails
from nsnet_cli.text import spreadsheet_cell
from nsnet_cli.types import (
    SCHEMA_VERSION,
    Cost,
    ErrorInfo,
    Evidence,
    FrameScore,
    ModelInfo,
    SalientFrame,
    SamplingInfo,
    Span,
    Tag,
    Timings,
    VideoResult,
)

RESULT = VideoResult(
    path="a/clip.mp4",
    status="ok",
    duration_s=41.2,
    tags=(
        Tag(
            *("n02123045", "tabby", 0.83, (Evidence(12.4, 0.97, 0.91),), 0.95, True, ("cat", "mammal", "animal")),
            spans=(Span(11.9, 13.4, 0.95), Span(33.0, 41.2, 0.81)),
        ),
        Tag("n02123159", "tiger cat", 0.05, (), 0.3, False, ("cat", "mammal", "animal")),
    ),
    salient_frames=(SalientFrame(12.4, 0.97), SalientFrame(14.0, 0.9)),
    sampling=SamplingInfo("nsnet", "keys+fill", 48, 2, interval_s=0.85),
    model=ModelInfo("imagenet-lite", "391d12d4b4d1e3dd"),
    cost=Cost(48, 0, 7.9, 52.1),
    timings=Timings(0.21, 0.06, 0.01, 0.04, 0.33),
    frames=(
        FrameScore(12.4, 0.97, True, 0.9, 0.99, 0.8, "tabby"),
        FrameScore(13.0, 0.1, False, 0.1, 0.1, 0.2, "sofa"),
        FrameScore(14.0, 0.9, True),
    ),
    info=VideoInfo("a/clip.mp4", "mov", "h264", 640, 360, 0, 41.2, 25.0, 11),
    jpegs=(b"1", b"2", b"3"),
    precision=0.8,
)
GUESS = Tag("n03792782", "mountain bike", 0.41, (Evidence(12.4, 0.97, 0.41),), 0.4, False, ("bicycle",))
PERHAPS = Tag("n04576211", "wheeled vehicle", 0.6, (Evidence(12.4, 0.97, 0.6),), 0.61, False, ("vehicle",))
UNCERTAIN = replace(RESULT, tags=(GUESS, RESULT.tags[1]), perhaps=PERHAPS)
UNCALIBRATED = replace(
    RESULT, precision=None, tags=(Tag("n02123045", "tabby", 0.83, (Evidence(12.4, 0.97, 0.91),)), Tag("x", "y", 0.05))
)
FAILED = VideoResult("b\n\x1b[31m.mp4", "error", error=ErrorInfo("truncated", "no index\n(moov)"))


def test_the_object_of_the_contract() -> None:
    expected = """
      {"schema_version": 2, "path": "a/clip.mp4", "status": "ok", "duration_s": 41.2,
       "tags": [{"id": "n02123045", "name": "tabby", "score": 0.83, "probability": 0.95, "certain": true,
                 "parents": ["cat", "mammal", "animal"],
                 "spans": [{"start_s": 11.9, "end_s": 13.4, "probability": 0.95},
                           {"start_s": 33.0, "end_s": 41.2, "probability": 0.81}],
                 "evidence": [{"pts_s": 12.4, "saliency": 0.97, "score": 0.91}]},
                {"id": "n02123159", "name": "tiger cat", "score": 0.05, "probability": 0.3, "certain": false,
                 "parents": ["cat", "mammal", "animal"], "spans": [], "evidence": []}],
       "perhaps": null, "precision": 0.8,
       "salient_frames": [{"pts_s": 12.4, "saliency": 0.97}, {"pts_s": 14.0, "saliency": 0.9}],
       "sampling": {"policy": "nsnet", "plan": "keys+fill", "preview_frames": 48, "salient_frames": 2, "stopped": null,
                    "interval_s": 0.85},
       "model": {"checkpoint": "imagenet-lite", "hash": "391d12d4b4d1e3dd"},
       "cost": {"frames_decoded": 48, "frames_lost": 0, "gflops": 7.9, "dense_gflops": 52.1},
       "timings": {"decode_s": 0.21, "preview_s": 0.06, "sampler_s": 0.01, "recognise_s": 0.04, "total_s": 0.33},
       "error": null,
       "video": {"container": "mov", "codec": "h264", "width_px": 640, "height_px": 360, "rotation_deg": 0,
                 "fps": 25.0, "key_frames": 11}}"""
    row = json.loads(to_line(RESULT))
    assert row == json.loads(expected)
    assert list(row) == list(json.loads(expected))
    assert list(to_dict(RESULT, "f")) == [*row, "fingerprint"]


def test_explain_adds_one_entry_per_preview_frame() -> None:
    row = explain_dict(RESULT)
    assert list(row)[:-1] == list(to_dict(RESULT))
    assert list(row["frames"][0]) == ["pts_s", "fsm", "vgm", "saliency", "confidence", "chosen", "tag"]
    assert [frame["chosen"] for frame in row["frames"]] == [True, False, True]


def test_a_failed_video_has_the_same_fields_and_empty_lists() -> None:
    row = to_dict(FAILED)
    assert list(row) == list(to_dict(RESULT))
    assert (row["tags"], row["salient_frames"], row["sampling"]) == ([], [], None)
    assert row["error"] == {"kind": "truncated", "message": "no index\n(moov)"}


def test_results_survive_a_round_trip() -> None:
    for result in (RESULT, UNCERTAIN, UNCALIBRATED, FAILED):
        row = json.loads(to_line(result, "f"))
        assert from_dict(row) == replace(result, frames=(), jpegs=()) and row["fingerprint"] == "f"
    assert from_dict(explain_dict(RESULT)).frames == RESULT.frames
    assert from_dict({**to_dict(RESULT), "new_field": 1}) == replace(RESULT, frames=(), jpegs=())


@pytest.mark.parametrize(
    "change", [{"schema_version": SCHEMA_VERSION + 1}, {"status": "fine"}, {"tags": 3}, {"cost": 5}]
)
def test_text_that_is_not_a_result_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        from_dict({**to_dict(RESULT), **change})


def test_results_of_version_0_1_are_read() -> None:
    row = to_dict(UNCALIBRATED) | {"schema_version": 1}
    del row["perhaps"], row["precision"], row["sampling"]["interval_s"]
    for tag in row["tags"]:
        del tag["probability"], tag["certain"], tag["parents"], tag["spans"]
    assert UNCALIBRATED.sampling is not None
    expected = replace(UNCALIBRATED, sampling=replace(UNCALIBRATED.sampling, interval_s=None), frames=(), jpegs=())
    assert from_dict(row) == expected


def test_numbers() -> None:
    evidence = Evidence(100 / 3, np.float32(0.5), 1e-12)  # type: ignore[arg-type]
    noisy = replace(
        RESULT,
        duration_s=1 / 3,
        tags=(Tag("t", "t", float(np.float32(0.123456789)), (evidence,), 2 / 3, True, (), (Span(0, 100 / 3, 2 / 3),)),),
        sampling=SamplingInfo("nsnet", "even", 3, 1, interval_s=100 / 3),
        cost=Cost(np.int64(5), 0, 10 / 3, float("inf")),  # type: ignore[arg-type]
    )
    row = json.loads(to_line(noisy))
    assert row["duration_s"] == 0.333333 and row["tags"][0]["score"] == 0.123457
    assert row["tags"][0]["evidence"] == [{"pts_s": 33.333333, "saliency": 0.5, "score": 1e-12}]
    assert row["tags"][0]["probability"] == 0.666667 and row["sampling"]["interval_s"] == 33.333333
    assert row["tags"][0]["spans"] == [{"start_s": 0.0, "end_s": 33.333333, "probability": 0.666667}]
    assert row["cost"] == {"frames_decoded": 5, "frames_lost": 0, "gflops": 3.33333, "dense_gflops": None}


def text(format: str, *results: VideoResult, width: int | None = None, color: bool = False) -> str:
    rows = FORMATS[format].rows(Stdout([result.path for result in results], width, color))
    return rows.head() + "".join(rows.row(result) for result in results) + rows.tail()


def test_json_array_is_whole_for_any_number() -> None:
    assert [json.loads(text("json", *results)) for results in ((), (RESULT,), (RESULT, FAILED))] == [
        [],
        [to_dict(RESULT)],
        [to_dict(RESULT), to_dict(FAILED)],
    ]


NASTY_TAGS = ["=1+1", "+1+1", "-x", "@SUM(A1)", "'a", "\uff1dx", "a\nb", "a\tb", "\t=1", "\r=1", "\ud800", "a\\b"]


@pytest.mark.parametrize("name", NASTY_TAGS)
def test_no_tag_breaks_a_csv_line_or_is_a_formula(name: str) -> None:
    tag = Tag(name, name, 0.5, (), 0.9, True, (name,), (Span(0.0, 1.0, 0.9),))
    result = replace(RESULT, path=name, tags=(tag, tag), perhaps=tag)
    (row,) = csv.DictReader(io.StringIO(text("csv", result)))
    (span, _) = csv.DictReader(io.StringIO(text("csv-spans", result)))
    (frame,) = csv.DictReader(io.StringIO(frames_csv(replace(result, frames=(FrameScore(1.0, 0.5, True, tag=name),)))))
    first, second = row["tags"].split("; ")
    for cell in (
        *(row["path"], row["top_tag"], first, second, *row["parents"].split("; "), row["perhaps"], frame["tag"]),
        *(span["path"], span["tag"], span["tag_id"]),
    ):
        assert cell[0] not in "=+-@\t\r\n\uff1d" and cell.isprintable()
        assert unprintable(spreadsheet_text(cell)) == name


def test_numbers_in_csv_stay_numbers() -> None:
    for number in ("-0.5", "+1", "1e-05", "-1.5e+3"):
        assert spreadsheet_cell(number) == number
    assert spreadsheet_cell("-1+2") == "'-1+2" and spreadsheet_cell("") == ""


@pytest.mark.parametrize(("seconds", "length"), [(35_999, "9:59:59"), (36_000, "10:00:00"), (360_000, "100:00:00")])
def test_long_durations_are_not_cut_in_the_table(seconds: float, length: str) -> None:
    for width in (None, 80):
        assert f" {length}  tabby" in text("table", replace(RESULT, duration_s=seconds), width=width)


def test_csv_is_one_line_per_video() -> None:
    out = text("csv", RESULT, FAILED)
    assert len(out.splitlines()) == 3 and "\x1b" not in out
    good, bad = csv.DictReader(io.StringIO(out))
    assert (good["path"], good["top_tag"], good["tags"], good["scores"]) == (
        "a/clip.mp4",
        "tabby",
        "tabby; tiger cat",
        "0.83; 0.05",
    )
    assert (bad["path"], bad["error_kind"], bad["error_message"]) == (
        "b\\n\\x1b[31m.mp4",
        "truncated",
        "no index\\n(moov)",
    )


def test_csv_says_how_likely_and_when() -> None:
    good, unsure, plain = csv.DictReader(io.StringIO(text("csv", RESULT, UNCERTAIN, UNCALIBRATED)))
    new = ("precision", "probabilities", "certain", "parents", "spans", "perhaps", "perhaps_probability")
    assert list(good)[-len(new) :] == list(new), "columns are added at the end"
    assert [good[name] for name in new] == [
        *("0.8", "0.95; 0.3", "true; false", "cat < mammal < animal; cat < mammal < animal"),
        *("11.900-13.400 33.000-41.200; ", "", ""),
    ]
    assert [unsure[name] for name in new] == [
        *("0.8", "0.4; 0.3", "false; false", "bicycle; cat < mammal < animal", "; ", "wheeled vehicle", "0.61")
    ]
    assert [plain[name] for name in new] == ["", "; ", "false; false", "; ", "; ", "", ""]


def test_csv_of_spans_has_a_line_per_span() -> None:
    dog = Tag("n02084071", "dog", 0.5, (), 0.9, True, (), (Span(12.0, 20.0, 0.9),))
    both = replace(RESULT, tags=(RESULT.tags[0], dog, RESULT.tags[1]))
    assert text("csv-spans", both, UNCERTAIN, UNCALIBRATED, FAILED).splitlines() == [
        "path,tag,tag_id,start_s,end_s,probability,tag_probability,interval_s,duration_s",
        "a/clip.mp4,tabby,n02123045,11.900,13.400,0.95,0.95,0.850,41.200",
        "a/clip.mp4,dog,n02084071,12.000,20.000,0.9,0.9,0.850,41.200",
        "a/clip.mp4,tabby,n02123045,33.000,41.200,0.81,0.95,0.850,41.200",
    ]


def test_table() -> None:
    assert text("table", RESULT, UNCERTAIN, replace(UNCERTAIN, tags=(), perhaps=None), FAILED).splitlines() == [
        "Video             Length  Tag                       Score  Seen",
        "a/clip.mp4          0:41  tabby                      95 %  0:12-0:13 0:33-0:41",
        "                          tiger cat?                 30 %",
        "a/clip.mp4          0:41  nothing certain; perhaps a wheeled vehicle",
        "                          mountain bike?             40 %",
        "                          tiger cat?                 30 %",
        "a/clip.mp4          0:41  nothing certain",
        "b\\n\\x1b[31m.mp4    error  truncated: no index\\n(moov)",
    ]
    faint = replace(RESULT.tags[1], probability=0.24)
    assert "tiger cat" not in text("table", replace(RESULT, tags=(RESULT.tags[0], faint)))
    assert "tiger cat" not in text("table", replace(UNCERTAIN, perhaps=RESULT.tags[1])).partition("perhaps")[2][11:]


@pytest.mark.parametrize("precision", [None, 0.0])
def test_where_nothing_was_judged_the_table_has_scores(precision: float | None) -> None:
    result = replace(UNCALIBRATED, precision=precision)
    assert text("table", result).splitlines() == [
        "Video        Length  Tag                       Score  Seen",
        "a/clip.mp4     0:41  tabby                      0.83  0:12.4",
        "                     y                          0.05",
    ]
    assert "(no tag above the threshold)" in text("table", replace(result, tags=()))


def test_the_table_dims_guesses() -> None:
    lines = text("table", RESULT, UNCERTAIN, UNCALIBRATED, FAILED, width=90, color=True).splitlines()
    styles = {"tabby ": "1", "tiger cat?": "2", "mountain bike?": "2", "truncated": "31"}
    for name, style in styles.items():
        (line, *_) = [line for line in lines if name in line]
        assert f"\x1b[{style}m{name}" in line
    assert [line for line in lines if "nothing certain" in line and "\x1b" not in line]


@pytest.mark.parametrize(
    ("width", "seen"), [(54, ""), (60, "0:00-0:01 +9"), (66, "0:00-0:01 +9 more"), (90, "0:00-0:01 0:10-0:11 +8 more")]
)
def test_the_table_shows_the_spans_that_fit(width: int, seen: str) -> None:
    spans = tuple(Span(t, t + 1.0, 0.9) for t in range(0, 100, 10))
    result = replace(RESULT, tags=(replace(RESULT.tags[0], spans=spans),))
    line = text("table", result, width=width).splitlines()[1]
    assert line.endswith(f" 95 %  {seen}".rstrip()) and len(line) <= width


@settings(max_examples=30, deadline=None)
@given(st.integers(40, 200), st.text(max_size=60), st.lists(st.text(max_size=30), max_size=4))
def test_table_keeps_to_the_terminal_whatever_names_say(width: int, path: str, names: list[str]) -> None:
    from rich.cells import cell_len

    spans = (Span(3725.0, 7250.0, 0.9),) * 9
    tags = [Tag("i", name, 0.5, (Evidence(3725.0, 0.5, 0.5),) * 3, 0.9, True, (), spans) for name in names]
    sure = replace(RESULT, path=path, tags=(*tags, *(replace(tag, certain=False) for tag in tags)))
    perhaps = replace(UNCERTAIN, path=path, perhaps=tags[0] if tags else None)
    out = text("table", sure, perhaps, replace(sure, precision=None), width=width)
    assert not set(out) & set("\x1b\r\x00\x85\u2028\u202e")
    assert all(cell_len(line) <= width for line in out.split("\n"))


def test_thumbnails_are_the_chosen_frames() -> None:
    assert thumbnails(RESULT) == [(".00012.400s.jpg", b"1"), (".00014.000s.jpg", b"3")]
    assert thumbnail_suffixes(RESULT) == [".00012.400s.jpg", ".00014.000s.jpg"]
    assert thumbnails(replace(RESULT, jpegs=())) == []
