"""The formats of `nsnet export`, one row each. A new format is a writer and a row.

Writers are imported only when used: help texts need the names alone.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from nsnet_cli.bounded import bounded
from nsnet_cli.errors import UsageError
from nsnet_cli.records import dataclass

if TYPE_CHECKING:
    from nsnet_cli.outputs.exports.entries import Entry
    from nsnet_cli.outputs.keywords import Change

INSTALL = "pip install 'nsnet[export]'"


class Table(Protocol):
    """Files about all videos of an export."""

    def add(self, entry: Entry) -> None: ...

    def files(self) -> dict[str, bytes]:
        """The files by name. Called once, at the end."""
        ...


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """One format: files about all videos (`open_table`), one per video (`document`), or something beside the videos."""

    name: str
    help: str
    open_table: Callable[[], Table] | None = None
    document: Callable[[Entry, Path], str] | None = None
    """The document of one video; the path is where it will be. With `beside`, only videos that are gone have one."""
    ending: str = ""
    """The ending of the document, as in `clip.mp4` + `.otio`."""
    beside: Callable[[Path, Entry], Change | None] | None = None
    """Writes into a file that others write to as well, at or beside the video at the path. None: the video is gone."""
    undo: Callable[[Path], Change | None] | None = None
    """Takes out what `beside` wrote. None: the video is gone."""
    takes: Literal["all", "tagged", "certain"] = "certain"
    """Which videos it has: also failed ones, all tagged ones, or those in which something certain has a span."""
    packages: tuple[str, ...] = ()
    """The modules that it needs. nsnet[export] installs their packages, which have the same names, with hyphens."""

    def check_packages(self) -> None:
        """Raises UsageError that names what is missing and how to install it."""
        missing = [name for name in self.packages if find_spec(name) is None]
        if missing:
            packages = " ".join(name.replace("_", "-") for name in missing)
            raise UsageError(
                f"--to {self.name} needs {packages}, not installed here", f"{INSTALL}, or {packages} alone"
            )


def _text_table(format: str, file: str) -> Callable[[], Table]:
    def open_table() -> Table:
        from nsnet_cli.outputs.exports.tables import TextTable

        return TextTable(format, file)

    return open_table


def _parquet() -> Table:
    from nsnet_cli.outputs.exports.tables import ParquetTable

    return ParquetTable()


def _label_studio() -> Table:
    from nsnet_cli.outputs.exports.tables import LabelStudio

    return LabelStudio()


def _fiftyone() -> Table:
    from nsnet_cli.outputs.exports.tables import FiftyOne

    return FiftyOne()


def _vtt(entry: Entry, target: Path) -> str:
    from nsnet_cli.outputs.exports.documents import vtt

    return vtt(entry, target)


def _chapters(entry: Entry, target: Path) -> str:
    from nsnet_cli.outputs.exports.documents import chapters

    return chapters(entry, target)


def _losslesscut(entry: Entry, target: Path) -> str:
    from nsnet_cli.outputs.exports.documents import losslesscut

    return losslesscut(entry, target)


def _otio(entry: Entry, target: Path) -> str:
    from nsnet_cli.outputs.exports.timelines import to_otio

    return to_otio(entry, target)


def _edl(entry: Entry, target: Path) -> str:
    from nsnet_cli.outputs.exports.timelines import to_edl

    return to_edl(entry, target)


def _fcpxml(entry: Entry, target: Path) -> str:
    from nsnet_cli.outputs.exports.timelines import to_fcpxml

    return to_fcpxml(entry, target)


def _xmp(entry: Entry, target: Path) -> str:
    from nsnet_cli.outputs.xmp import to_xmp

    return to_xmp(entry.result)


def _sidecar(video: Path, entry: Entry) -> Change | None:
    from nsnet_cli.outputs.sidecar import merge, sidecar_of

    return merge(video, entry.result) if _there(video) or _there(sidecar_of(video)) else None


def _undo_sidecar(video: Path) -> Change | None:
    from nsnet_cli.outputs.sidecar import undo

    return undo(video) if _there(video.parent) else None


def _desktop_tags(video: Path, entry: Entry) -> Change | None:
    from nsnet_cli.outputs.xattrs import merge

    return merge(video, entry.result) if _there(video) else None


def _undo_desktop_tags(video: Path) -> Change | None:
    from nsnet_cli.outputs.xattrs import undo

    return undo(video) if _there(video) else None


def _there(path: Path) -> bool:
    """Whether something is at a path. A disk that does not answer has nothing."""
    try:
        return bounded(path.exists)
    except OSError:
        return False


_OTIO = "opentimelineio"
_ROWS = (
    ExportFormat("parquet", "one row per span, for data tools", _parquet, takes="all", packages=("pyarrow",)),
    ExportFormat("csv", "one line per video", _text_table("csv", "videos.csv"), takes="all"),
    ExportFormat("csv-spans", "one line per span", _text_table("csv-spans", "spans.csv"), takes="all"),
    ExportFormat("jsonl", "one JSON object per video", _text_table("jsonl", "results.jsonl"), takes="all"),
    ExportFormat("label-studio", "tasks with predictions for Label Studio", _label_studio, takes="tagged"),
    ExportFormat("fiftyone", "a temporal detection data set for FiftyOne", _fiftyone, takes="tagged"),
    ExportFormat("otio", "an OpenTimelineIO timeline per video", None, _otio, ".otio", packages=(_OTIO,)),
    ExportFormat("edl", "a CMX 3600 list per video", None, _edl, ".edl", packages=(_OTIO, "otio_cmx3600_adapter")),
    ExportFormat(
        "fcpxml", "Final Cut Pro's XML per video", None, _fcpxml, ".fcpxml", packages=(_OTIO, "otio_fcpx_xml_adapter")
    ),
    ExportFormat("chapters", "chapters per video, for ffmpeg", None, _chapters, ".ffmeta"),
    ExportFormat("losslesscut", "a LosslessCut project per video", None, _losslesscut, ".llc"),
    ExportFormat("vtt", "WebVTT cues per video, for web players", None, _vtt, ".tags.vtt"),
    ExportFormat(
        "xmp", "keywords in sidecars beside the videos, merged", None, _xmp, ".xmp", _sidecar, _undo_sidecar, "tagged"
    ),
    ExportFormat(
        "xdg-tags",
        "tags of Linux file managers, on the videos themselves",
        beside=_desktop_tags,
        undo=_undo_desktop_tags,
        takes="tagged",
    ),
)
EXPORTS: dict[str, ExportFormat] = {row.name: row for row in _ROWS}


def chosen(option: str, names: str) -> list[ExportFormat]:
    """The formats in a comma-separated list, each once. Raises UsageError for a name that is not in the table."""
    known = [name for name, row in EXPORTS.items() if option == "--to" or row.undo is not None]
    found = list(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    wrong = [name for name in found if name not in known]
    if wrong or not found:
        what = f"{option} {wrong[0]!r} is not a format" if wrong else f"{option} names no format"
        raise UsageError(what if option == "--to" else f"{what} to undo", f"known: {', '.join(known) or 'none'}")
    return [EXPORTS[name] for name in found]
