"""Timelines for video editors, through OpenTimelineIO and its adapters.

`.otio` and `.fcpxml` hold the whole video as one clip, with a marker per span. An EDL cannot say how long a marker is:
it holds one event per span, so that its in and out points are the span's. Editors count in frames of a few rates; a
video with another rate, or with none that is known, is put on a timeline of 30 frames per second.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

from nsnet_cli.outputs.exports.entries import Entry, spans
from nsnet_cli.outputs.shown import percent
from nsnet_cli.outputs.words import duration_s
from nsnet_cli.records import dataclass
from nsnet_cli.text import harmless
from nsnet_cli.types import Span, Tag


@dataclass(frozen=True, slots=True)
class Rate:
    """A frame rate of editors: exact, as timecodes count, and as the FCPXML adapter knows it."""

    per_s: Fraction
    nominal: int
    fcpxml: float


RATES = (
    Rate(Fraction(24000, 1001), 24, 23.98),
    Rate(Fraction(24), 24, 24.0),
    Rate(Fraction(25), 25, 25.0),
    Rate(Fraction(30000, 1001), 30, 29.97),
    Rate(Fraction(30), 30, 30.0),
    Rate(Fraction(50), 50, 50.0),
    Rate(Fraction(60000, 1001), 60, 59.94),
    Rate(Fraction(60), 60, 60.0),
)
OTHER = Rate(Fraction(30), 30, 30.0)
LIKE = 0.0005
"""A mean rate this near to one of RATES is that rate, as a share of it. 29.97 and 30 are twice as far apart."""
REEL_CHARACTERS = 8
_FOR_XML = str.maketrans({
    "'": "\N{RIGHT SINGLE QUOTATION MARK}",
    "\ufffe": "\N{REPLACEMENT CHARACTER}",
    "\uffff": "\N{REPLACEMENT CHARACTER}",
})  # fmt: skip


def to_otio(entry: Entry, target: Path) -> str:
    rate = rate_of(entry)
    return _write(_whole(entry, _Clock(rate, float(rate.per_s)), Path(entry.source.path).as_uri()), "otio_json")


def to_fcpxml(entry: Entry, target: Path) -> str:
    rate = rate_of(entry)
    # With this host, which the format allows, the adapter does not run ffprobe on the video.
    url = Path(entry.source.path).as_uri().replace("file:///", "file://localhost/", 1)
    # The adapter looks clips up by their name in quotes, and XML allows no U+FFFE or U+FFFF.
    return _write(_whole(entry, _Clock(rate, rate.fcpxml), url, plain=_xml_text), "fcpx_xml")


def to_edl(entry: Entry, target: Path) -> str:
    """One event per span. Timecodes are without drop frames: they count frames, not seconds."""
    import opentimelineio as otio

    rate, file = rate_of(entry), Path(entry.source.path)
    clock = _Clock(rate, rate.nominal, counts_frames=True)
    name = harmless(file.name)
    reel = re.sub(r"[^A-Za-z0-9]+", "", file.stem)[:REEL_CHARACTERS] or "AX"
    track = otio.schema.Track("V", kind=otio.schema.TrackKind.Video)
    for span, tag in spans(entry.result):
        stretch = clock.stretch(span, entry)
        said = f"{harmless(tag.name)} ({percent(span.probability)})"
        media = otio.schema.ExternalReference(file.as_uri(), clock.whole(entry))
        clip = otio.schema.Clip(name, media, stretch, metadata={"cmx_3600": {"reel": reel, "comments": [said]}})
        clip.markers.append(_marker(span, tag, stretch, harmless(tag.name), "GREEN"))  # a colour of Avid's
        track.append(clip)
    # The adapter writes no line that says how frames are counted, so it goes after the title.
    timeline = otio.schema.Timeline(f"{name}\nFCM: NON-DROP FRAME")
    timeline.tracks.append(track)
    return _write(timeline, "cmx_3600", rate=rate.nominal)


def rate_of(entry: Entry) -> Rate:
    fps = entry.result.info.fps if entry.result.info else None
    if not fps:
        return OTHER
    nearest = min(RATES, key=lambda rate: abs(float(rate.per_s) - fps))
    return nearest if abs(fps / float(nearest.per_s) - 1) < LIKE else OTHER


class _Clock:
    """Turns seconds into times of OpenTimelineIO that lie on whole frames. `label`: the rate that they are given."""

    def __init__(self, rate: Rate, label: float, counts_frames: bool = False) -> None:
        self._per_s, self._label = rate.per_s, label
        self._scale = Fraction(1) if counts_frames else Fraction(label) / rate.per_s

    def whole(self, entry: Entry) -> Any:
        return self._range(0, self._frames(entry))

    def stretch(self, span: Span, entry: Entry) -> Any:
        """At least one frame, inside the video."""
        first = min(max(math.floor(span.start_s * self._per_s + Fraction(1, 1000)), 0), self._frames(entry) - 1)
        end = max(math.ceil(span.end_s * self._per_s - Fraction(1, 1000)), first + 1)
        return self._range(first, min(end, self._frames(entry)))

    def _frames(self, entry: Entry) -> int:
        last_s = max((span.end_s for span, _ in spans(entry.result)), default=0.0)
        return max(math.ceil(max(duration_s(entry.result), last_s) * self._per_s - Fraction(1, 1000)), 1)

    def _range(self, first: int, end: int) -> Any:
        from opentimelineio.opentime import RationalTime, TimeRange

        times = (RationalTime(float(n * self._scale), self._label) for n in (first, end - first))
        return TimeRange(*times)


def _whole(entry: Entry, clock: _Clock, url: str, plain: Any = harmless) -> Any:
    """A timeline with the whole video, and a marker per span."""
    import opentimelineio as otio

    name = plain(Path(entry.source.path).name)
    media = otio.schema.ExternalReference(url, clock.whole(entry))
    clip = otio.schema.Clip(name, media, clock.whole(entry))
    clip.markers.extend(
        _marker(span, tag, clock.stretch(span, entry), plain(tag.name)) for span, tag in spans(entry.result)
    )
    track = otio.schema.Track("V", [clip], kind=otio.schema.TrackKind.Video)
    timeline = otio.schema.Timeline(name)
    timeline.tracks.append(track)
    return timeline


def _marker(span: Span, tag: Tag, stretch: Any, name: str, color: str = "PURPLE") -> Any:
    """In FCPXML, a red marker is something to do, and a green one is done."""
    import opentimelineio as otio

    about = {
        "tag_id": tag.id,
        "parents": [harmless(parent) for parent in tag.parents],
        "probability": span.probability,
        "tag_probability": tag.probability,
        "score": tag.score,
    }
    return otio.schema.Marker(name, stretch, color, metadata={"nsnet": about})


def _write(timeline: Any, adapter: str, **options: Any) -> str:
    import opentimelineio as otio

    text = otio.adapters.write_to_string(timeline, adapter, **options)
    return text if text.endswith("\n") else text + "\n"


def _xml_text(text: str) -> str:
    return harmless(text).translate(_FOR_XML)
