"""Small documents per video: chapters for FFmpeg, and projects of LosslessCut."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

from nsnet_cli.outputs.exports.entries import Entry, spans
from nsnet_cli.outputs.owner import NOTE
from nsnet_cli.outputs.vtt import to_vtt
from nsnet_cli.outputs.words import duration_s
from nsnet_cli.text import harmless, json_text


def vtt(entry: Entry, target: Path) -> str:
    return to_vtt(entry.result)


def chapters(entry: Entry, target: Path) -> str:
    """FFmpeg's metadata file. Its chapters cover the whole video, and none overlaps another.

    MP4 keeps only where a chapter begins: it goes on until the next one, and the first begins at 0. So stretches
    without a tag are chapters without a title, and where spans of two tags overlap, a chapter names both.
    """
    found = [(round(s.start_s * 1000), round(s.end_s * 1000), tag.name) for s, tag in spans(entry.result)]
    end_ms = max(round(duration_s(entry.result) * 1000), *(end for _, end, _ in found))
    cuts = sorted({0, end_ms, *(start for start, _, _ in found), *(end for _, end, _ in found)})
    text = f";FFMETADATA1\n; {NOTE}\n"
    for start, end in pairwise(cuts):
        names = dict.fromkeys(name for begun, ended, name in found if begun <= start and end <= ended)
        title = _escaped(", ".join(names))
        text += f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={start}\nEND={end}\ntitle={title}\n"
    return text


def losslesscut(entry: Entry, target: Path) -> str:
    """A project of LosslessCut: one segment per span. It finds the video from the project's own folder."""
    segments = [
        {"start": span.start_s, "end": span.end_s, "name": harmless(tag.name)} for span, tag in spans(entry.result)
    ]
    media = Path(os.path.relpath(entry.source.path, target.absolute().parent)).as_posix()
    return json_text({"version": 1, "mediaFileName": media, "cutSegments": segments}, indent=2) + "\n"


def _escaped(title: str) -> str:
    """FFmpeg takes a backslash at the end of a title for a line that goes on, even if it is escaped."""
    text = harmless(title).replace("\\", "/")
    return "".join(f"\\{c}" if c in "=;#" else c for c in text)
