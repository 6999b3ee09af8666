"""The formats of `nsnet export`, each read back by a real reader."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree as ET

import av
import numpy as np
import pytest
from conftest import write_video
from kept_results import keep
from sample_results import NASTY, failure, sample, uncalibrated, uncertain

from nsnet_cli.media import VideoInfo
from nsnet_cli.outputs.exports.entries import Choice
from nsnet_cli.outputs.exports.table import EXPORTS
from nsnet_cli.outputs.exports.timelines import LIKE, OTHER, RATES, rate_of
from nsnet_cli.outputs.exports.write import Summary, export
from nsnet_cli.types import Evidence, Span, Tag, VideoResult

QUOTED = 'it\'s "a" <b> & clip.mp4'
"""A name that a person could give, with all that XML and XPath care about."""


def seen(*spans: tuple[str, float, float], path: str = "clip.mp4", fps: float = 25.0) -> VideoResult:
    """A video of 30 s in which each tag is seen from when to when."""
    tags: dict[str, Tag] = {}
    for name, start_s, end_s in spans:
        known = tags.get(name, Tag(f"n{len(tags):08d}", name, 0.8, (Evidence(1.0, 0.9, 0.8),), 0.95, True, ("animal",)))
        tags[name] = replace(known, spans=(*known.spans, Span(start_s, end_s, 0.9)))
    info = VideoInfo(path, "mov,mp4", "h264", 640, 360, 0, 30.0, fps, 5)
    return replace(sample(path, jpegs=False), tags=tuple(tags.values()), info=info)


OVERLAPPING = (("tabby", 2.0, 8.0), ("dog", 6.0, 12.0), ("tabby", 20.0, 22.0))


def exported(tmp_path: Path, results: dict[str, VideoResult], *names: str, videos: str = "/videos") -> Path:
    run(tmp_path, results, *names, videos=videos)
    return tmp_path / "out"


def run(tmp_path: Path, results: dict[str, VideoResult], *names: str, videos: str = "/videos") -> Summary:
    kept = keep(tmp_path / "results", results, videos)
    return export(kept, [EXPORTS[name] for name in names], Choice(), tmp_path / "out")


def needs(*modules: str) -> None:
    for module in modules:
        pytest.importorskip(module, reason=f"needs {module}")


def test_a_row_is_one_kind_of_format() -> None:
    for name, row in EXPORTS.items():
        assert row.name == name and row.help
        assert [row.open_table, row.document or row.beside].count(None) == 1
        assert (row.document is not None) == bool(row.ending) and (row.undo is None or row.beside is not None)
    endings = [row.ending for row in EXPORTS.values() if row.ending]
    assert len(set(endings)) == len(endings)


def test_guesses_are_in_no_format(tmp_path: Path) -> None:
    here = [name for name, row in EXPORTS.items() if all(importlib.util.find_spec(module) for module in row.packages)]
    out = exported(tmp_path, {"a.mp4": sample(), "u.mp4": uncertain(), "v.mp4": uncalibrated()}, *here)
    files = [path for path in out.rglob("*") if path.is_file()]
    assert len(files) > len(here)
    for path in files:
        data = path.read_bytes()
        for guess in (b"tiger cat", b"mountain bike", b"wheeled vehicle"):
            assert guess not in data, path.name


# ---- tables ----------------------------------------------------------------------------------------------------------


def test_parquet_has_a_row_per_span_and_one_for_a_video_without(tmp_path: Path) -> None:
    needs("pyarrow")
    from pyarrow import parquet

    results = {"a.mp4": seen(*OVERLAPPING), "sub/u.mp4": uncertain("sub/u.mp4", jpegs=False), "f.mp4": failure("f.mp4")}
    table = parquet.read_table(exported(tmp_path, results, "parquet") / "spans.parquet")
    rows = table.to_pylist()
    assert [(row["path"], row["tag"], row["start_s"], row["end_s"]) for row in rows] == [
        ("clip.mp4", "tabby", 2.0, 8.0),
        ("clip.mp4", "dog", 6.0, 12.0),
        ("clip.mp4", "tabby", 20.0, 22.0),
        ("f.mp4", None, None, None),
        ("sub/u.mp4", None, None, None),
    ]
    first, failed = rows[0], rows[3]
    assert (first["source"], first["status"], first["duration_s"]) == ("/videos/a.mp4", "ok", 30.0)
    assert (first["tag_id"], first["parents"], first["score"]) == ("n00000000", ["animal"], 0.8)
    assert (first["tag_probability"], first["probability"], first["interval_s"]) == (0.95, 0.9, 1.0)
    assert (failed["status"], failed["error_kind"], failed["parents"]) == ("error", "truncated", None)


def test_parquet_takes_any_name(tmp_path: Path) -> None:
    needs("pyarrow")
    from pyarrow import parquet

    out = exported(tmp_path, {"a.mp4": seen(("tab\\by", 0, 1), path="caf\udce9 \\n.mp4")}, "parquet")
    row = parquet.read_table(out / "spans.parquet").to_pylist()[0]
    assert (row["path"], row["tag"]) == ("caf\\xe9 \\n.mp4", "tab\\by")


def test_many_rows_come_out_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("pyarrow")
    from pyarrow import parquet

    monkeypatch.setattr("nsnet_cli.outputs.exports.tables.BATCH_ROWS", 4)
    results = {f"{i:02d}.mp4": seen(*OVERLAPPING, path=f"{i:02d}.mp4") for i in range(7)}
    table = parquet.read_table(exported(tmp_path, results, "parquet") / "spans.parquet")
    assert table["path"].to_pylist() == [name for name in results for _ in OVERLAPPING]


def test_csv_and_json_are_those_of_tag(tmp_path: Path) -> None:
    results = {"a.mp4": seen(*OVERLAPPING), "f.mp4": failure("f.mp4")}
    out = exported(tmp_path, results, "csv", "csv-spans", "jsonl")
    videos = list(csv.DictReader(io.StringIO((out / "videos.csv").read_text())))
    assert [(row["path"], row["status"], row["tags"]) for row in videos] == [
        ("clip.mp4", "ok", "tabby; dog"),
        ("f.mp4", "error", ""),
    ]
    spans = list(csv.DictReader(io.StringIO((out / "spans.csv").read_text())))
    assert [(row["tag"], row["start_s"]) for row in spans] == [
        ("tabby", "2.000"),
        ("dog", "6.000"),
        ("tabby", "20.000"),
    ]
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert [line["path"] for line in lines] == ["clip.mp4", "f.mp4"] and lines[0]["tags"][0]["spans"]


def test_label_studio_has_a_task_per_video_and_labels_for_all_tags(tmp_path: Path) -> None:
    results = {"a.mp4": seen(*OVERLAPPING, fps=10.0), "u.mp4": uncertain(jpegs=False), "f.mp4": failure()}
    out = exported(tmp_path, results, "label-studio", videos="/my videos")
    tasks, view = json.loads((out / "label-studio.json").read_bytes()), ET.parse(out / "label-studio.xml").getroot()
    assert [task["data"]["video"] for task in tasks] == [
        "/data/local-files/?d=my%20videos/a.mp4",
        "/data/local-files/?d=my%20videos/u.mp4",
    ]
    regions = tasks[0]["predictions"][0]["result"]
    assert [(r["value"]["timelinelabels"], r["value"]["ranges"]) for r in regions] == [
        (["tabby"], [{"start": 21, "end": 80}]),  # frame 1 is that from 0.0 to 0.1 s
        (["dog"], [{"start": 61, "end": 120}]),
        (["tabby"], [{"start": 201, "end": 220}]),
    ]
    assert tasks[0]["data"]["fps"] == 10.0 and tasks[1]["predictions"] == []
    assert [label.get("value") for label in view.iter("Label")] == ["dog", "tabby"]
    control = view.find("TimelineLabels")
    assert control is not None and {r["from_name"] for r in regions} == {control.get("name")}
    assert {r["to_name"] for r in regions} == {control.get("toName")}


def test_label_studio_accepts_the_predictions(tmp_path: Path) -> None:
    needs("label_studio_sdk")
    from label_studio_sdk.converter import Converter
    from label_studio_sdk.label_interface import LabelInterface

    out = exported(tmp_path, {QUOTED: seen(*OVERLAPPING, ("a & b", 1, 2), path=QUOTED)}, "label-studio")
    view, tasks = (out / "label-studio.xml").read_text(), json.loads((out / "label-studio.json").read_bytes())
    interface = LabelInterface(view)
    interface.validate()
    assert interface.validate_prediction(tasks[0]["predictions"][0], return_errors=True) == []
    done = [{**tasks[0], "id": 1, "annotations": [{"id": 1, "result": tasks[0]["predictions"][0]["result"]}]}]
    (tmp_path / "done.json").write_text(json.dumps(done))
    Converter(view, str(out), download_resources=False).convert(
        str(tmp_path / "done.json"), str(tmp_path / "min"), "JSON_MIN", is_dir=False
    )
    converted = json.loads((tmp_path / "min" / "result.json").read_bytes())
    assert [tag["timelinelabels"] for tag in converted[0]["tags"]] == [["a & b"], ["tabby"], ["dog"], ["tabby"]]


def test_fiftyone_s_layout(tmp_path: Path) -> None:
    """FiftyOne takes the ending off the names in data.json: then they are those in labels.json, each another's."""
    results = {"a.mp4": seen(*OVERLAPPING), "a.mov": uncertain(jpegs=False), "sub/b": seen(*OVERLAPPING[:1])}
    out = exported(tmp_path, results, "fiftyone") / "fiftyone"
    paths, labels = (json.loads((out / name).read_bytes()) for name in ("data.json", "labels.json"))
    without_ending = {str(Path(name).with_suffix("")): path for name, path in paths.items()}
    assert without_ending == {"a.mp4": "/videos/a.mp4", "a.mov": "/videos/a.mov", "sub/b": "/videos/sub/b"}
    assert labels["classes"] == ["tabby", "dog"] and set(labels["labels"]) == set(without_ending)
    assert labels["labels"]["a.mov"] is None
    first = labels["labels"]["a.mp4"][0]
    assert (labels["classes"][first["label"]], first["timestamps"], first["confidence"]) == ("tabby", [2.0, 8.0], 0.9)


def test_fiftyone_reads_it(tmp_path: Path) -> None:
    importers: Any = pytest.importorskip("fiftyone.utils.data.importers", reason="needs fiftyone, which is large")
    (tmp_path / "videos").mkdir()
    video = write_video(tmp_path / "videos" / "a.mp4", [np.zeros((64, 64, 3), np.uint8)] * 40)
    results = {"a.mp4": seen(("tabby", 1.0, 2.0)), "u.mp4": uncertain(jpegs=False)}
    out = exported(tmp_path, results, "fiftyone", videos=str(video.parent)) / "fiftyone"
    reader = importers.FiftyOneTemporalDetectionDatasetImporter(dataset_dir=str(out), data_path="data.json")
    reader.setup()
    (path, _, found, _), (_, _, nothing, _) = list(reader)
    assert path == str(video) and nothing is None
    assert [(one.label, one.support) for one in found.detections] == [("tabby", [11, 21])]


# ---- documents -------------------------------------------------------------------------------------------------------


def chapters_of(path: Path) -> list[tuple[float, float, str]]:
    command = ["ffprobe", "-v", "error", "-show_chapters", "-of", "json", str(path)]
    out = subprocess.run(command, capture_output=True, check=True).stdout
    found = json.loads(out)["chapters"]
    return [(float(c["start_time"]), float(c["end_time"]), c.get("tags", {}).get("title", "")) for c in found]


@pytest.mark.skipif(not shutil.which("ffmpeg") or not shutil.which("ffprobe"), reason="needs ffmpeg and ffprobe")
@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_ffmpeg_makes_chapters_that_ffprobe_reads_exactly(tmp_path: Path, container: str) -> None:
    odd = "a=b;#c\\"  # what FFmpeg's file treats specially
    out = exported(tmp_path, {"a.mp4": seen(*OVERLAPPING, (odd, 22.0, 30.0))}, "chapters")
    clip = write_video(tmp_path / "clip.mp4", [np.zeros((64, 64, 3), np.uint8)] * 60, fps=2)
    made = tmp_path / f"made.{container}"
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-i",
        clip,
        "-i",
        out / "a.mp4.ffmeta",
        "-map_metadata",
        "1",
        "-c",
        "copy",
        made,
    ]
    subprocess.run(list(map(str, command)), check=True)
    expected = [
        (0.0, 2.0, ""),
        (2.0, 6.0, "tabby"),
        (6.0, 8.0, "tabby, dog"),
        (8.0, 12.0, "dog"),
        (12.0, 20.0, ""),
        (20.0, 22.0, "tabby"),
        (22.0, 30.0, "a=b;#c/"),
    ]
    assert chapters_of(out / "a.mp4.ffmeta") == expected and chapters_of(made) == expected


def test_chapters_are_read_by_pyav_too(tmp_path: Path) -> None:
    out = exported(tmp_path, {"a.mp4": seen(("tabby\n[CHAPTER]", 0.0, 30.0))}, "chapters")
    with av.open(str(out / "a.mp4.ffmeta"), format="ffmetadata") as container:
        found = container.chapters()
    assert [(c["start"], c["end"], c["metadata"].get("title")) for c in found] == [(0, 30000, "tabby/n[CHAPTER]")]


def test_losslesscut_finds_the_video_from_its_project(tmp_path: Path) -> None:
    """A project is JSON5; JSON is. LosslessCut joins `mediaFileName` with the folder of the project."""
    out = exported(tmp_path, {f"sub/{QUOTED}": seen(*OVERLAPPING)}, "losslesscut", videos=str(tmp_path / "videos"))
    project = out / "sub" / f"{QUOTED}.llc"
    read = json.loads(project.read_bytes())
    assert read["version"] == 1
    assert (project.parent / read["mediaFileName"]).resolve() == (tmp_path / "videos" / "sub" / QUOTED).resolve()
    assert read["cutSegments"] == [
        {"start": 2.0, "end": 8.0, "name": "tabby"},
        {"start": 6.0, "end": 12.0, "name": "dog"},
        {"start": 20.0, "end": 22.0, "name": "tabby"},
    ]
    if importlib.util.find_spec("json5"):
        import json5

        assert json5.loads(project.read_text()) == read


def test_vtt_is_that_of_tag(tmp_path: Path) -> None:
    from nsnet_cli.outputs.vtt import to_vtt

    result = seen(*OVERLAPPING)
    out = exported(tmp_path, {"a.mp4": result}, "vtt")
    assert (out / "a.mp4.tags.vtt").read_text() == to_vtt(result)


# ---- timelines -------------------------------------------------------------------------------------------------------


def read_back(path: Path, adapter: str, **options: Any) -> Any:
    import opentimelineio as otio

    return otio.adapters.read_from_file(str(path), adapter, **options)


def marks(items: Iterable[Any]) -> list[tuple[str, float, float]]:
    """Name, start and length in seconds of markers."""
    ranges = [(item.name, item.marked_range) for item in items]
    return [(name, r.start_time.to_seconds(), r.duration.to_seconds()) for name, r in ranges]


@pytest.mark.parametrize("fps", [23.976, 24, 25, 29.97003, 30, 50, 59.94006, 60, 10.0, 12.3, 120, None])
def test_otio_has_a_marker_per_span(tmp_path: Path, fps: float) -> None:
    needs("opentimelineio")
    out = exported(tmp_path, {QUOTED: seen(*OVERLAPPING, fps=fps)}, "otio")
    timeline = read_back(out / f"{QUOTED}.otio", "otio_json")
    (clip,) = timeline.find_clips()
    frame_s = 1.001 / (fps if fps and fps >= 23 else 30)
    assert [name for name, _, _ in marks(clip.markers)] == ["tabby", "dog", "tabby"]
    for (_, start_s, length_s), (_, first_s, last_s) in zip(marks(clip.markers), OVERLAPPING, strict=True):
        assert first_s - frame_s <= start_s <= first_s + 1e-6 and last_s - 1e-6 <= start_s + length_s
        assert start_s + length_s <= last_s + frame_s
    assert clip.markers[0].metadata["nsnet"]["probability"] == 0.9
    assert unquote(urlsplit(clip.media_reference.target_url).path) == f"/videos/{QUOTED}"
    assert clip.duration().to_seconds() == pytest.approx(30, abs=frame_s)
    assert clip.available_range() == clip.source_range


@pytest.mark.parametrize("fps", [23.976, 25, 29.97003, 60, 12.3, None])
def test_an_edl_has_an_event_per_span(tmp_path: Path, fps: float) -> None:
    needs("opentimelineio", "otio_cmx3600_adapter")
    result = seen(*OVERLAPPING, fps=fps)
    path = exported(tmp_path, {QUOTED: result}, "edl") / f"{QUOTED}.edl"
    rate = next((r for r in RATES if fps and abs(float(r.per_s) - fps) < 0.01), OTHER)
    clips = read_back(path, "cmx_3600", rate=rate.nominal).find_clips()
    assert "\nFCM: NON-DROP FRAME\n" in path.read_text()  # so timecodes count frames
    for clip, (name, start_s, end_s) in zip(clips, OVERLAPPING, strict=True):
        assert [marker.name for marker in clip.markers] == [name.upper()]  # as the format has them
        assert list(clip.metadata["cmx_3600"]["comments"]) == [f"{name} (90 %)"]
        assert clip.source_range.start_time.value == int(start_s * float(rate.per_s) + 1e-6)
        assert clip.source_range.duration.value == pytest.approx((end_s - start_s) * float(rate.per_s), abs=2)
        assert clip.name == QUOTED and clip.media_reference.target_url.startswith("file:///videos/it%27s")


@pytest.mark.parametrize("fps", [23.976, 24, 25, 29.97003, 30, 50, 59.94006, 60, 12.3, None])
def test_fcpxml_has_markers_on_whole_frames(tmp_path: Path, fps: float) -> None:
    needs("opentimelineio", "otio_fcpx_xml_adapter")
    path = exported(tmp_path, {QUOTED: seen(*OVERLAPPING, fps=fps)}, "fcpxml") / f"{QUOTED}.fcpxml"
    (clip,) = read_back(path, "fcpx_xml").find_clips()
    coarse_s = 1.1 / 23  # the adapter reads 23.976 as 23 frames per second
    assert [marker.name for marker in clip.markers] == ["tabby", "dog", "tabby"]
    for (_, start_s, length_s), (_, first_s, last_s) in zip(marks(clip.markers), OVERLAPPING, strict=True):
        assert (start_s, start_s + length_s) == pytest.approx((first_s, last_s), abs=3 * coarse_s)
    frame = seconds(ET.parse(path).find("resources/format").get("frameDuration"))  # type: ignore[union-attr]
    for marker, (_, first_s, last_s) in zip(ET.parse(path).iter("marker"), OVERLAPPING, strict=True):
        start, length = (seconds(marker.get(name)) for name in ("start", "duration"))
        assert (start / frame, length / frame) == pytest.approx((round(start / frame), round(length / frame)), abs=1e-3)
        assert first_s - frame <= start <= first_s + 1e-4 and last_s - 1e-4 <= start + length <= last_s + 2 * frame
    assert unquote(urlsplit(clip.media_reference.target_url).path) == f"/videos/{QUOTED}"


def seconds(text: str | None) -> float:
    """'1001/30000s' in seconds."""
    assert text is not None and text.endswith("s")
    top, _, bottom = text[:-1].partition("/")
    return int(top) / int(bottom or 1)


def test_an_odd_frame_rate_takes_the_nearest_or_thirty() -> None:
    def rate(fps: float | None) -> float:
        from nsnet_cli.outputs.exports.entries import Entry
        from nsnet_cli.types import Source

        return float(rate_of(Entry(Path(), "a", seen(fps=fps), Source("/a"))).per_s)  # type: ignore[arg-type]

    assert [rate(fps) for fps in (29.97, 29.999, 23.98, 24.0, 59.9401, 15.0, 1000.0, None)] == pytest.approx(
        [30000 / 1001, 30, 24000 / 1001, 24, 60000 / 1001, 30, 30, 30]
    )
    assert min(abs(float(b.per_s / a.per_s) - 1) for a in RATES for b in RATES if a is not b) > LIKE


@pytest.mark.parametrize("name", ["otio", "edl", "fcpxml", "chapters", "losslesscut", "vtt"])
@pytest.mark.parametrize("spans", [[("tabby", 4.0, 4.0)], [("tabby", 29.99, 40.0)], [("tab\x01by\uffff", 0.0, 30.0)]])
def test_odd_spans_and_names_make_a_file_that_can_be_read(
    tmp_path: Path, name: str, spans: list[tuple[str, float, float]]
) -> None:
    row = EXPORTS[name]
    needs(*row.packages)
    result = replace(seen(*spans, path=NASTY), duration_s=None)
    path = exported(tmp_path, {NASTY: result, "z.mp4": seen(*OVERLAPPING)}, name) / f"{NASTY}{row.ending}"
    adapters = {"otio": "otio_json", "edl": "cmx_3600", "fcpxml": "fcpx_xml"}
    if name in adapters:
        (clip,) = read_back(path, adapters[name], **({"rate": 25} if name == "edl" else {})).find_clips()
        assert len(clip.markers) == 1 and clip.duration().value >= 1
        assert name == "edl" or clip.markers[0].marked_range.duration.value >= 1
    assert path.read_bytes().decode("utf-8")
