"""One run of `nsnet tag` as its user sees it: rows on stdout, progress and errors on stderr, an exit code."""

from __future__ import annotations

import shutil

from nsnet_cli import startup, stopwatch
from nsnet_cli.cli import signals
from nsnet_cli.cli.console import Console
from nsnet_cli.cli.finding import show_plan
from nsnet_cli.errors import EXIT_NO_INPUT, EXIT_OK, EXIT_SOME_FAILED, EXIT_UNEXPECTED, UsageError
from nsnet_cli.outputs.formats import FORMATS, Rows, Stdout
from nsnet_cli.progress import Progress, progress
from nsnet_cli.run.finding import left_out_words
from nsnet_cli.run.tagging import Request, TaggingRun
from nsnet_cli.stopwatch import Stopwatch, step
from nsnet_cli.text import printable
from nsnet_cli.types import VideoResult


class TagRun:
    """Shows a TaggingRun. `chosen`: the user chose the format; it is not the default. `watch`: is shown at the end."""

    def __init__(
        self, request: Request, format: str, chosen: bool, console: Console, watch: Stopwatch | None = None
    ) -> None:
        self.request, self.format, self.chosen, self.console, self._watch = request, format, chosen, console, watch
        self._format = FORMATS[format]
        self._run = TaggingRun(request, pool=startup.decode_pool(request.timeout_s), hold=signals.held)

    def run(self) -> int:
        try:
            with step("finding videos"):
                jobs = self._run.find()
            self._check_format(len(jobs))
            with step("opening the checkpoint, comparing with kept results"):
                todo = self._run.plan()
            startup.keep(self._run)
            startup.loaded()
            if self.request.dry:
                return show_plan(jobs, todo, self._run.again, self._run.files, self.format, self.console)
            return self._tag_all()
        finally:
            with step("closing"):
                self._run.close()
            if self._watch is not None:
                from nsnet_cli.cli.profile import table

                for line in table(self._watch, self._run.tally.done):
                    self.console.info(line)
                stopwatch.end()

    def _check_format(self, count: int) -> None:
        if self._format.in_parts and self.request.output_dir is None:
            raise UsageError(f"--format {self.format} is not for stdout", "add --output-dir DIR")
        if self._format.one_document and self.request.output_dir is None and count > 1:
            raise UsageError(
                f"--format {self.format} is one document per video, and {count} videos were given",
                "add --output-dir DIR",
            )

    def _tag_all(self) -> int:
        """Tags, and writes the summary and run.json however the run ends."""
        code, tally = EXIT_UNEXPECTED, self._run.tally
        try:
            with step("tagging"):
                self._tag()
            code = self._exit_code()
            return code
        except BaseException as error:
            code = signals.exit_code(error)
            raise
        finally:
            where = f"; results in {printable(str(self.request.output_dir))}" if self.request.output_dir else ""
            self.console.info(tally.summary() + where)
            if tally.left_out:
                self.console.info(left_out_words(tally.left_out))
            self._run.finish(code)

    def _tag(self) -> None:
        rows, count = self._rows(), len(self._run.todo) + len(self._run.again)
        try:
            with progress("tagging", count) as bar:
                if rows is not None:
                    self.console.data(rows.head(), end="")
                alone = count == 1 and not self._run.again  # then progress counts frames, not videos
                results = self._run.results(_Stages(bar).see if alone else None)
                for result in results:
                    if rows is not None:
                        self.console.data(rows.row(result), end="")
                    self._complain(result, rows is not None)
                    if not alone:
                        bar.advance()
        finally:
            if rows is not None and (tail := rows.tail()):
                self.console.data(tail, end="")

    def _rows(self) -> Rows | None:
        """The writer for stdout; None with --output-dir, unless the user chose a format that has rows."""
        if self.request.output_dir is not None and (not self.chosen or self._format.one_document):
            return None
        width = shutil.get_terminal_size().columns if self.console.data_is_terminal else None
        paths = [job.path for job in (*self._run.again, *self._run.todo)]
        columns = list(dict.fromkeys(name for given in self.request.columns.values() for name in given))
        return self._format.rows(Stdout(paths, width, self.console.color, columns))

    def _complain(self, result: VideoResult, shown: bool) -> None:
        """Reports a failed video on stderr, unless its row is on the same terminal."""
        told = shown and self._format.for_people and self.console.data_is_terminal
        if result.error is None or told:
            return
        self.console.warn(f"{printable(result.path)}: {result.error.kind}: {result.error.message}")

    def _exit_code(self) -> int:
        tally = self._run.tally
        if tally.videos and not self._run.usable:
            return EXIT_NO_INPUT
        if tally.all_internal:
            self.console.error("every video failed with a bug in nsnet; NSNET_DEBUG=1 shows where")
            return EXIT_UNEXPECTED
        return EXIT_SOME_FAILED if tally.failed or tally.failed_before else EXIT_OK


class _Stages:
    """The stages of a single video on the progress bar: probing, previewing frame by frame, recognising."""

    def __init__(self, bar: Progress) -> None:
        self._bar, self._frames = bar, 0
        bar.update(label="probing")

    def see(self, what: str, count: int) -> None:
        if what == "planned":
            self._bar.update(label="previewing", total=count, done=0, unit="frames")
        elif what == "decoded":
            self._frames += count
            self._bar.update(done=self._frames)
        else:
            self._bar.update(label="recognising")
