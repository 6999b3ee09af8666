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
    Cost,
    ErrorInfo,
    Evidence,
    FrameScore,
    ModelInfo,
    SalientFrame,
    SamplingInfo,
    Tag,
    Timings,
    VideoResult,
)

RESULT = VideoResult(
    path="a/clip.mp4",
    status="ok",
    duration_s=41.2,
    tags=(Tag("n02123045", "tabby", 0.83, (Evidence(12.4, 0.97, 0.91),)), Tag("n02123159", "tiger cat", 0.05)),
    salient_frames=(SalientFrame(12.4, 0.97), SalientFrame(14.0, 0.9)),
    sampling=SamplingInfo("nsnet", "keys+fill", 48, 2),
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
)
FAILED = VideoResult("b\n\x1b[31m.mp4", "error", error=ErrorInfo("truncated", "no index\n(moov)"))


def test_the_object_of_the_contract() -> None:
    expected = """
      {"schema_version": 1, "path": "a/clip.mp4", "status": "ok", "duration_s": 41.2,
       "tags": [{"id": "n02123045", "name": "tabby", "score": 0.83,
                 "evidence": [{"pts_s": 12.4, "saliency": 0.97, "score": 0.91}]},
                {"id": "n02123159", "name": "tiger cat", "score": 0.05, "evidence": []}],
       "salient_frames": [{"pts_s": 12.4, "saliency": 0.97}, {"pts_s": 14.0, "saliency": 0.9}],
       "sampling": {"policy": "nsnet", "plan": "keys+fill", "preview_frames": 48, "salient_frames": 2, "stopped": null},
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
    for result in (RESULT, FAILED):
        row = json.loads(to_line(result, "f"))
        assert from_dict(row) == replace(result, frames=(), jpegs=()) and row["fingerprint"] == "f"
    assert from_dict(explain_dict(RESULT)).frames == RESULT.frames
    assert from_dict({**to_dict(RESULT), "new_field": 1}) == replace(RESULT, frames=(), jpegs=())


@pytest.mark.parametrize("change", [{"schema_version": 2}, {"status": "fine"}, {"tags": 3}, {"cost": 5}])
def test_text_that_is_not_a_result_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        from_dict({**to_dict(RESULT), **change})


def test_numbers() -> None:
    evidence = Evidence(100 / 3, np.float32(0.5), 1e-12)  # type: ignore[arg-type]
    noisy = replace(
        RESULT,
        duration_s=1 / 3,
        tags=(Tag("t", "t", float(np.float32(0.123456789)), (evidence,)),),
        cost=Cost(np.int64(5), 0, 10 / 3, float("inf")),  # type: ignore[arg-type]
    )
    row = json.loads(to_line(noisy))
    assert row["duration_s"] == 0.333333 and row["tags"][0]["score"] == 0.123457
    assert row["tags"][0]["evidence"] == [{"pts_s": 33.333333, "saliency": 0.5, "score": 1e-12}]
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
    result = replace(RESULT, path=name, tags=(Tag(name, name, 0.5), Tag(name, name, 0.25)))
    (row,) = csv.DictReader(io.StringIO(text("csv", result)))
    (frame,) = csv.DictReader(io.StringIO(frames_csv(replace(result, frames=(FrameScore(1.0, 0.5, True, tag=name),)))))
    first, second = row["tags"].split("; ")
    for cell in (row["path"], row["top_tag"], first, second, frame["tag"]):
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


def test_table() -> None:
    out = text("table", RESULT, FAILED)
    assert out.splitlines() == [
        "Video             Length  Tag                       Score  Seen at",
        "a/clip.mp4          0:41  tabby                      0.83  0:12.4",
        "                          tiger cat                  0.05",
        "b\\n\\x1b[31m.mp4    error  truncated: no index\\n(moov)",
    ]
    assert "(no tag above the threshold)" in text("table", replace(RESULT, tags=()))
    assert "\x1b[1m" in text("table", RESULT, color=True)


@settings(max_examples=30, deadline=None)
@given(st.integers(40, 200), st.text(max_size=60), st.lists(st.text(max_size=30), max_size=4))
def test_table_keeps_to_the_terminal_whatever_names_say(width: int, path: str, names: list[str]) -> None:
    from rich.cells import cell_len

    tags = tuple(Tag("i", name, 0.5, (Evidence(3725.0, 0.5, 0.5),) * 3) for name in names)
    out = text("table", replace(RESULT, path=path, tags=tags), width=width)
    assert not set(out) & set("\x1b\r\x00\x85\u2028\u202e")
    assert all(cell_len(line) <= width for line in out.split("\n"))


def test_thumbnails_are_the_chosen_frames() -> None:
    assert thumbnails(RESULT) == [(".00012.400s.jpg", b"1"), (".00014.000s.jpg", b"3")]
    assert thumbnail_suffixes(RESULT) == [".00012.400s.jpg", ".00014.000s.jpg"]
    assert thumbnails(replace(RESULT, jpegs=())) == []
