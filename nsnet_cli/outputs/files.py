"""What a tagging run leaves on disk: results, sidecars, thumbnails, contact sheets, the report page.

A video's `.nsnet.json` is written last: where it stands, all that was asked for beside it stands too.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from nsnet_cli.outputs.store import ResultStore, Stored, fit_name
from nsnet_cli.outputs.thumbnails import thumbnail_suffixes, thumbnails
from nsnet_cli.types import VideoResult

if TYPE_CHECKING:
    from nsnet_cli.outputs.index import ReportWriter

SHEET, XMP = ".sheet.jpg", ".xmp"
VTT_TAGS, VTT_THUMBNAILS, VTT_SPRITE = ".tags.vtt", ".thumbnails.vtt", ".sprite.jpg"


class FileOutputs:
    """The folders of one run. Raises OutputError where one cannot be written."""

    def __init__(
        self,
        results: Path | None = None,
        *,
        sidecar: str | None = None,
        thumbnails: Path | None = None,
        sheets: Path | None = None,
        report: Path | None = None,
    ) -> None:
        """`sidecar` ('vtt' or 'xmp') is written beside each result."""
        self.results = ResultStore(results) if results else None
        self._sidecar = sidecar
        self._thumbnails = ResultStore(thumbnails) if thumbnails else None
        self._sheets = ResultStore(sheets) if sheets else None
        self._report_folder = report
        self._report: ReportWriter | None = None

    @property
    def need_jpegs(self) -> bool:
        return bool(
            self._thumbnails or self._sheets or self._report_folder or (self.results and self._sidecar == "vtt")
        )

    def open(self) -> None:
        """Prove that every folder can be written, before any work."""
        for store in self._stores():
            store.check()
        if self._report_folder is not None:
            page = ResultStore(self._report_folder)
            page.check()
            page.close()

    def close(self) -> None:
        """Finish the report page and tidy up. Also after an interruption: what is finished stays."""
        for store in self._stores():
            store.close()
        if self._report is not None:
            self._report.close()

    def look(self, name: str, fingerprint: Callable[[], str | None]) -> Stored:
        """What is there of the video with output name `name`; 'stale' where a file that was asked for is missing."""
        if self.results is None:
            return Stored("missing")
        stored = self.results.look(name, fingerprint)
        if stored.state == "done" and stored.result is not None and not self._complete(name, stored.result):
            return Stored("stale", stored.result)
        return stored

    def skip(self, result: VideoResult) -> None:
        """A result that an earlier run kept: it still belongs on the page."""
        self._add_to_report(result)

    def write(self, name: str, result: VideoResult, fingerprint: str | None) -> None:
        if result.error is None:
            self._write_pictures(name, result)
        if self.results is not None:
            if result.error is None:
                self._write_sidecar(self.results, name, result)
            self.results.save(name, result, fingerprint)
        self._add_to_report(result)

    # ---- parts ----

    def _stores(self) -> list[ResultStore]:
        return [store for store in (self.results, self._thumbnails, self._sheets) if store is not None]

    def _add_to_report(self, result: VideoResult) -> None:
        if self._report_folder is None:
            return
        if self._report is None:  # not before there is something to show: an earlier page stays until then
            from nsnet_cli.outputs.index import ReportWriter

            self._report = ReportWriter(self._report_folder)
        self._report.add(result)

    def _write_pictures(self, name: str, result: VideoResult) -> None:
        if self._thumbnails is not None:
            for suffix, jpeg in thumbnails(result):
                self._thumbnails.write(name, jpeg, suffix)
        if self._sheets is not None:
            from nsnet_cli.outputs.sheet import contact_sheet

            self._sheets.write(name, contact_sheet(result), SHEET)

    def _write_sidecar(self, store: ResultStore, name: str, result: VideoResult) -> None:
        if self._sidecar == "xmp":
            from nsnet_cli.outputs.xmp import to_xmp

            store.write(name, to_xmp(result).encode("utf-8"), XMP)
        elif self._sidecar == "vtt":
            from nsnet_cli.outputs.vtt import sprite, thumbnail_cues, to_vtt

            if result.jpegs:
                jpeg, tiles = sprite(result)
                sheet = fit_name(name.rpartition("/")[2], VTT_SPRITE)
                store.write(name, jpeg, VTT_SPRITE)
                store.write(name, thumbnail_cues(result, tiles, sheet).encode("utf-8"), VTT_THUMBNAILS)
            store.write(name, to_vtt(result).encode("utf-8"), VTT_TAGS)

    def _complete(self, name: str, result: VideoResult) -> bool:
        expected = []
        if self.results is not None and self._sidecar is not None:
            suffix = {"xmp": XMP, "vtt": VTT_TAGS}[self._sidecar]
            expected.append(self.results.path(name, suffix))
        if self._sheets is not None:
            expected.append(self._sheets.path(name, SHEET))
        if self._thumbnails is not None:
            expected += [self._thumbnails.path(name, suffix) for suffix in thumbnail_suffixes(result)]
        return all(path.exists() for path in expected)
