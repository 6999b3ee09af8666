"""What a tagging run writes to disk: results, sidecars, thumbnails, contact sheets, the report page.

A video's `.nsnet.json` is written last: if it is there, so are the other files that the user wanted.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nsnet_cli.errors import EXIT_UNEXPECTED, KeptError, OutputError, UsageError
from nsnet_cli.outputs.formats import FORMATS
from nsnet_cli.outputs.kept_files import kept_path
from nsnet_cli.outputs.names import output_name
from nsnet_cli.outputs.owner import leave_alone
from nsnet_cli.outputs.store import ResultStore, Stored, taken, unseen
from nsnet_cli.outputs.thumbnails import thumbnail_suffixes, thumbnails
from nsnet_cli.storage.urls import Place, Url
from nsnet_cli.types import ErrorInfo, Source, TagOptions, VideoResult

if TYPE_CHECKING:
    from nsnet_cli.outputs.index import ReportWriter
    from nsnet_cli.outputs.parts import PartStore

log = logging.getLogger(__name__)

SHEET = ".sheet.jpg"


def _results(place: Place, sidecar: str | None) -> ResultStore:
    """The store for the results of a run. Raises UsageError for files that cannot be kept there."""
    if not isinstance(place, Url):
        return ResultStore(place)
    if sidecar is not None and (FORMATS[sidecar].ending is not None or FORMATS[sidecar].in_parts):
        raise UsageError(
            f"--format {sidecar} cannot be kept at a URL", "keep the results there, then copy them down: nsnet export"
        )
    from nsnet_cli.outputs.url_store import UrlStore

    return UrlStore(place)


class FileOutputs:
    """The output folders of one run. Raises OutputError if one cannot be written."""

    def __init__(
        self,
        results: Place | None = None,
        *,
        sidecar: str | None = None,
        thumbnails: Path | None = None,
        sheets: Path | None = None,
        report: Path | None = None,
    ) -> None:
        """`sidecar`: the output format whose files, if it has any, go beside each result.

        Raises UsageError for what cannot be kept at a URL.
        """
        self.shown: TagOptions | None = None
        """The options that kept results should be rendered with. None: any."""
        self.results = _results(results, sidecar) if results else None
        self._sidecar = FORMATS[sidecar] if sidecar is not None and results is not None else None
        self._parts = self._open_parts(report is not None)
        self._thumbnails = ResultStore(thumbnails) if thumbnails else None
        self._sheets = ResultStore(sheets) if sheets else None
        self._report_folder = report
        self._report: ReportWriter | None = None

    @property
    def need_jpegs(self) -> bool:
        sidecar = self._sidecar is not None and self._sidecar.needs_jpegs
        return bool(self._thumbnails or self._sheets or self._report_folder or sidecar)

    @property
    def keeps_looks(self) -> bool:
        """Whether what is kept of a look is written, so that later questions need no other look."""
        return self.results is not None and self._parts is None

    @property
    def in_parts(self) -> bool:
        """Whether results are rows of parts, not files of their own."""
        return self._parts is not None

    def open(self, summary: str = "run.json") -> None:
        """Checks that every folder can be written, before any work."""
        for store in self._stores():
            store.check()
        if self.results is not None and self.results.foreign(summary):
            leave_alone(self.results.root / summary)
        if self._report_folder is not None:
            from nsnet_cli.outputs.index import check_report

            page = ResultStore(self._report_folder)
            page.check()
            page.close()
            check_report(self._report_folder)

    def close(self) -> None:
        """Finishes the report page and tidies up. Also call it after an interruption: finished videos are kept."""
        self.settle()
        for store in self._stores():
            store.close()
        if self._report is not None:
            self._report.close()

    def settle(self) -> None:
        """Writes what waits for more rows. Raises OutputError."""
        if self._parts is not None:
            self._parts.close()

    def name(self, path: str, name: str) -> str:
        """The output name of a video that was found as `name`.

        A video inside the folder of results has its files beside it, where sidecars belong.
        """
        if self.results is None:
            return output_name(name)
        return output_name(self.results.below(path) or name)

    def look(
        self, name: str, fingerprint: Callable[[], str | None], source: Source | None = None, path: str = ""
    ) -> Stored:
        """The stored state of the video with output name `name`.

        'kept' also if only a text file that the user wants is missing: it can be written without another look. 'stale'
        if another look is needed: for pictures, or because too little is kept.
        """
        if self.results is None:
            return Stored("missing")
        shown = self.shown.shown() if self.shown else None
        if self._parts is not None:
            return self._parts.look(path, fingerprint, source, shown)
        stored = self.results.look(name, fingerprint, source, shown)
        if stored.state not in ("done", "kept"):
            return stored
        pictures, texts = self._missing(stored, source)
        if stored.state == "done" and not pictures and not texts:
            return stored
        pictures |= texts and self._sidecar is not None and self._sidecar.needs_jpegs
        pictures |= self._sheets is not None and stored.state == "kept"  # a sheet names the tags
        if pictures or not self._renders(stored):
            return replace(stored, state="stale")
        return replace(stored, state="kept")

    def expect(self, names: list[str]) -> None:
        """Says which names will be looked at, in this order."""
        if self.results is not None:
            self.results.expect(names)

    def rendered(self, name: str, path: str, fingerprint: str, source: Source | None) -> VideoResult | None:
        """The result of the video `path`, rendered from what is kept of it. None if that has gone or changed."""
        from nsnet_cli.outputs.kept_results import render, unpack

        assert self.results is not None and self.shown is not None
        stored = self.results.look(name, lambda: fingerprint, source)
        if stored.state != "done" or not self._renders(stored):
            return None
        return replace(render(unpack(stored.kept), self.shown, path), kept=stored.kept)

    def skip(self, result: VideoResult) -> None:
        """Adds a result from an earlier run to the report page."""
        self._add_to_report(result)

    def write(
        self, name: str, result: VideoResult, fingerprint: str | None, source: Source | None = None
    ) -> VideoResult:
        """Writes all files of one video, and returns the row to show.

        If the files cannot be written, the row has an error. Raises OutputError if the next video would fail too.
        """
        source = source or unseen(result.path)
        try:
            with ExitStack() as locks:
                for store in self._places(name, result):
                    locks.enter_context(store.alone(name))
                self._write_all(name, result, fingerprint, source)
        except OutputError as error:
            if error.exit_code == EXIT_UNEXPECTED:
                raise
            for store in self._stores():
                store.check()
            result = VideoResult(path=result.path, status="error", error=ErrorInfo("output", str(error)))
            if self._parts is not None:
                self._parts.add(result, None, source, None)
            elif self.results is not None:
                with suppress(OutputError):  # no fingerprint, so the next run tries again
                    self.results.save(name, result, None, source)
        self._add_to_report(result)
        return result

    # ---- parts ----

    def _open_parts(self, report: bool) -> PartStore | None:
        """Raises UsageError for what does not go with parts."""
        if self._sidecar is None or not self._sidecar.in_parts or self.results is None:
            return None
        if report:
            raise UsageError("--report shows results that have files of their own", "leave out --format parquet")
        from nsnet_cli.outputs import parquet_rows
        from nsnet_cli.outputs.parts import PartStore

        parquet_rows.check_package()
        return PartStore(self.results)

    def _stores(self) -> list[ResultStore]:
        return [store for store in (self.results, self._thumbnails, self._sheets) if store is not None]

    def _add_to_report(self, result: VideoResult) -> None:
        if self._report_folder is None:
            return
        if self._report is None:  # not before there is a result to show: until then, an earlier page is kept
            from nsnet_cli.outputs.index import ReportWriter

            self._report = ReportWriter(self._report_folder)
        self._report.add(result)

    def _places(self, name: str, result: VideoResult) -> list[ResultStore]:
        """The stores that a result goes to, one per folder: two locks on one folder would wait for each other."""
        stores = self._stores() if result.error is None else [self.results] if self.results is not None else []
        if self._parts is not None:  # parts have names of their own, and need no lock
            stores = [store for store in stores if store is not self.results]
        return list({store.folder_of(name): store for store in stores}.values())

    def _write_all(self, name: str, result: VideoResult, fingerprint: str | None, source: Source) -> None:
        shown = self.shown.shown() if self.shown is not None else None
        if self._parts is not None:
            if result.error is None and result.jpegs:
                self._write_pictures(name, result, [source])
            self._parts.add(result, fingerprint, source, shown)
            return
        stored = self.results.look(name, lambda: fingerprint, source) if self.results is not None else None
        if stored is not None and stored.state == "taken":
            raise taken(self.results.path(stored.name))  # type: ignore[union-attr]
        own = [source, stored.source] if stored is not None and stored.source is not None else [source]
        if result.error is None and result.jpegs:
            self._write_pictures(stored.name if stored else name, result, own)
        if result.error is None and self.results is not None and stored is not None:
            self._write_sidecar(self.results, stored.name, result, source)
        if self.results is not None:
            self.results.save(name, result, fingerprint, source, shown)

    def _write_pictures(self, name: str, result: VideoResult, own: list[Source]) -> None:
        if self._thumbnails is not None:
            pictures = thumbnails(result)
            chosen = self._thumbnails.picture_name(name, [suffix for suffix, _ in pictures], own)
            for suffix, jpeg in pictures:
                self._thumbnails.put(chosen, jpeg, suffix, own[0])
        if self._sheets is not None:
            from nsnet_cli.outputs.sheet import contact_sheet

            chosen = self._sheets.picture_name(name, [SHEET], own)
            self._sheets.put(chosen, contact_sheet(result), SHEET, own[0])

    def _write_sidecar(self, store: ResultStore, name: str, result: VideoResult, source: Source) -> None:
        def put(ending: str, data: bytes) -> str | None:
            path = store.put(name, data, ending, source)
            return None if path is None else path.name

        if self._sidecar is None:
            return
        path = store.path(name, self._sidecar.ending or "")
        if self._sidecar.merge is None or not os.path.lexists(path):
            self._sidecar.write_beside(result, put)
            return
        change = self._sidecar.merge(path, result, store.temporary)
        if change.did == "left alone":
            log.warning("%s: left alone, %s", path, change.why)

    def _renders(self, stored: Stored) -> bool:
        """Whether what is kept is whole, and enough for the tags that the user wants. Warns if it is damaged."""
        from nsnet_cli.outputs.kept_results import unpack

        assert self.results is not None
        if not stored.kept or self.shown is None:
            return False
        try:
            return unpack(stored.kept, kept_path(self.results.path(stored.name))).answers(self.shown.top_k)
        except KeptError as error:
            log.warning("%s: looking at the video again", error.message)
            return False

    def _missing(self, stored: Stored, source: Source | None) -> tuple[bool, bool]:
        """Whether pictures and whether texts are missing that the user wants.

        Another program's file counts as there: it is not replaced.
        """
        result, own = stored.result, [s for s in (source, stored.source) if s is not None]
        if result is None or not own:
            return True, True
        texts, pictures = [], []
        if self.results is not None and self._sidecar is not None and self._sidecar.ending is not None:
            texts.append(self.results.path(stored.name, self._sidecar.ending))
        for store, suffixes in ((self._sheets, [SHEET]), (self._thumbnails, thumbnail_suffixes(result))):
            if store is not None:
                chosen = store.picture_name(stored.name, suffixes, own)
                pictures += [store.path(chosen, suffix) for suffix in suffixes]
        missing = [not all(os.path.lexists(path) for path in paths) for paths in (pictures, texts)]
        return missing[0], missing[1]
