"""Exports with one or two files for all videos: tables for spreadsheets and data tools, and layouts of label tools."""

from __future__ import annotations

import io
import math
import os
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as ET

from nsnet_cli.outputs.exports.entries import Entry, spans
from nsnet_cli.outputs.formats import FORMATS, Stdout
from nsnet_cli.text import harmless, json_text
from nsnet_cli.types import VideoResult

BATCH_ROWS = 8192


class TextTable:
    """Rows of one of the output formats of `nsnet tag`, as a file."""

    def __init__(self, format: str, file: str) -> None:
        self._rows, self._file = FORMATS[format].rows(Stdout()), file
        self._parts = [self._rows.head()]

    def add(self, entry: Entry) -> None:
        self._parts.append(self._rows.row(entry.result))

    def files(self) -> dict[str, bytes]:
        return {self._file: "".join([*self._parts, self._rows.tail()]).encode("utf-8")}


class ParquetTable:
    """One row per span of a certain tag. A video without one has a row of its own, in which these fields are null."""

    def __init__(self) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        text, number = pa.string(), pa.float64()
        self._schema = pa.schema([
            pa.field("path", text, nullable=False),
            pa.field("source", text, nullable=False),
            pa.field("status", text, nullable=False),
            ("error_kind", text),
            ("duration_s", number),
            ("tag_id", text),
            ("tag", text),
            ("parents", pa.list_(text)),
            ("score", number),
            ("tag_probability", number),
            ("start_s", number),
            ("end_s", number),
            ("probability", number),
            ("interval_s", number),
            ("checkpoint", text),
            ("checkpoint_hash", text),
        ])  # fmt: skip
        self._out = io.BytesIO()
        self._writer = parquet.ParquetWriter(self._out, self._schema, compression="zstd")
        self._waiting: list[dict[str, Any]] = []

    def add(self, entry: Entry) -> None:
        self._waiting += _rows(entry)
        if len(self._waiting) >= BATCH_ROWS:
            self._flush()

    def files(self) -> dict[str, bytes]:
        self._flush()
        self._writer.close()
        return {"spans.parquet": self._out.getvalue()}

    def _flush(self) -> None:
        import pyarrow as pa

        self._writer.write_table(pa.Table.from_pylist(self._waiting, self._schema))
        self._waiting = []


def _rows(entry: Entry) -> list[dict[str, Any]]:
    result = entry.result
    video = {
        "path": utf8(result.path),
        "source": utf8(entry.source.path),
        "status": result.status,
        "error_kind": result.error.kind if result.error else None,
        "duration_s": result.duration_s,
        "interval_s": result.sampling.interval_s if result.sampling else None,
        "checkpoint": utf8(result.model.checkpoint) if result.model else None,
        "checkpoint_hash": result.model.hash if result.model else None,
    }
    rows = [
        {
            **video,
            "tag_id": utf8(tag.id),
            "tag": utf8(tag.name),
            "parents": [utf8(parent) for parent in tag.parents],
            "score": tag.score,
            "tag_probability": tag.probability,
            "start_s": span.start_s,
            "end_s": span.end_s,
            "probability": span.probability,
        }
        for span, tag in spans(result)
    ]
    return rows or [video]


def utf8(text: str) -> str:
    """The text itself; bytes of a file name that are not UTF-8 become escapes, as in `\\xff`."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


class LabelStudio:
    """Tasks with predictions for Label Studio's timeline of labels, and the labelling interface to go with them.

    Label Studio opens files of its own machine through a storage of local files. The tasks name files from the root of
    that storage, `LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT=/`.
    """

    FPS = 25.0
    """Of a video whose rate is not known. Label Studio counts frames; the interface takes the rate from the task."""

    def __init__(self) -> None:
        self._tasks: list[dict[str, Any]] = []
        self._names: dict[str, None] = {}

    def add(self, entry: Entry) -> None:
        result = entry.result
        fps = result.info.fps if result.info and result.info.fps else self.FPS
        regions: list[dict[str, Any]] = [
            {
                "id": f"span{number}",
                "from_name": "tags",
                "to_name": "video",
                "type": "timelinelabels",
                "value": {"ranges": [_frames(span.start_s, span.end_s, fps)], "timelinelabels": [harmless(tag.name)]},
                "score": span.probability,
            }
            for number, (span, tag) in enumerate(spans(result), 1)
        ]
        self._names |= {region["value"]["timelinelabels"][0]: None for region in regions}
        url = "/data/local-files/?d=" + quote(os.fsencode(entry.source.path.lstrip("/")))
        task: dict[str, Any] = {"data": {"video": url, "fps": fps, "path": utf8(result.path)}, "predictions": []}
        if regions:
            model = f"{result.model.checkpoint} {result.model.hash}" if result.model else "nsnet"
            score = max(region["score"] for region in regions)
            task["predictions"].append({"model_version": model, "score": score, "result": regions})
        self._tasks.append(task)

    def files(self) -> dict[str, bytes]:
        view = ET.Element("View")
        ET.SubElement(view, "Video", name="video", value="$video", frameRate="$fps", timelineHeight="120")
        labels = ET.SubElement(view, "TimelineLabels", name="tags", toName="video")
        for name in sorted(self._names):
            ET.SubElement(labels, "Label", value=name)
        ET.indent(view, "  ")
        return {
            "label-studio.json": (json_text(self._tasks, indent=1) + "\n").encode("utf-8"),
            "label-studio.xml": (ET.tostring(view, encoding="unicode") + "\n").encode("utf-8"),
        }


def _frames(start_s: float, end_s: float, fps: float) -> dict[str, int]:
    """Label Studio's frames: the first is 1, and both ends belong to the range."""
    first = math.floor(start_s * fps + 0.001) + 1
    return {"start": first, "end": max(math.ceil(end_s * fps - 0.001), first)}


class FiftyOne:
    """The layout that FiftyOne imports as a FiftyOneTemporalDetectionDataset; FiftyOne itself is not needed for it.

    The videos stay where they are: `data.json` names them. FiftyOne takes the ending off their names in it, so that
    each has its ending twice.
    """

    def __init__(self) -> None:
        self._paths: dict[str, str] = {}
        self._classes: dict[str, int] = {}
        self._labels: dict[str, list[dict[str, Any]] | None] = {}

    def add(self, entry: Entry) -> None:
        name = utf8(entry.name)
        self._paths[name + os.path.splitext(name)[1]] = entry.source.path  # noqa: PTH122
        self._labels[name] = [self._label(entry.result, *pair) for pair in spans(entry.result)] or None

    def _label(self, result: VideoResult, span: Any, tag: Any) -> dict[str, Any]:
        return {
            "label": self._classes.setdefault(harmless(tag.name), len(self._classes)),
            "timestamps": [span.start_s, span.end_s],
            "confidence": span.probability,
            "attributes": {"tag_id": tag.id, "tag_probability": tag.probability, "score": tag.score},
        }

    def files(self) -> dict[str, bytes]:
        labels = {"classes": list(self._classes), "labels": self._labels}
        parts = {"fiftyone/data.json": self._paths, "fiftyone/labels.json": labels}
        return {name: (json_text(value, indent=1) + "\n").encode("utf-8") for name, value in parts.items()}
