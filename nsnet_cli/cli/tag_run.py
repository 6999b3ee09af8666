"""One run of `nsnet tag`, from what was asked to the exit code."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nsnet_cli import batch, inputs, startup
from nsnet_cli.batch import Finished, Job
from nsnet_cli.bounded import bounded
from nsnet_cli.cli import signals
from nsnet_cli.cli.app import exit_code
from nsnet_cli.cli.console import Console, Progress
from nsnet_cli.cli.finding import find, left_out_words, listed, show_plan
from nsnet_cli.cli.tally import Tally
from nsnet_cli.cores import usable_cores
from nsnet_cli.errors import EXIT_NO_INPUT, EXIT_OK, EXIT_SOME_FAILED, EXIT_UNEXPECTED, UsageError
from nsnet_cli.outputs.files import FileOutputs
from nsnet_cli.outputs.formats import FORMATS, Rows, Stdout
from nsnet_cli.reading import read_options
from nsnet_cli.text import harmless, printable
from nsnet_cli.types import TagOptions, VideoResult
from nsnet_cli.weights.checkpoint import resolve_checkpoint

if TYPE_CHECKING:
    from nsnet_cli.tagger import Tagger


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked on the command line, apart from the options that change results."""

    paths: tuple[str, ...]
    from_list: str | None
    format: str
    chosen_format: bool
    output_dir: Path | None
    thumbnails: Path | None
    contact_sheet: Path | None
    report: Path | None
    checkpoint: str
    device: str
    jobs: int
    timeout_s: float | None
    shard: str | None
    overwrite: bool
    retry_failed: bool
    dry_run: bool
    exclude: tuple[str, ...] = ()
    hidden: bool = False


class TagRun:
    """The steps of `run`, in order; each is one method."""

    def __init__(self, request: Request, options: Callable[[], TagOptions], console: Console) -> None:
        """`options` is asked once the decode workers are starting: it has to look at the checkpoint."""
        self.request, self.options, self.console = request, options, console
        self.files = FileOutputs(
            request.output_dir,
            sidecar=request.format,
            thumbnails=request.thumbnails,
            sheets=request.contact_sheet,
            report=request.report,
        )
        self.shard = inputs.parse_shard(request.shard) if request.shard else None
        self._summary = f"run.{self.shard[0]}of{self.shard[1]}.json" if self.shard else "run.json"
        self.tally = Tally()
        self._pool = startup.decode_pool(request.timeout_s)

    def run(self) -> int:
        jobs = self._find()
        if not self.request.dry_run:
            self.files.open(self._summary)
        usable = sum(job.error is None for job in jobs)
        self._processes = max(1, min(self.request.jobs or usable_cores(), usable))
        try:
            tagger = self._load([job for job in jobs if job.error is None]) if usable and self._needs_tagger() else None
            startup.loaded()
            todo = self._left_to_do(jobs, tagger)
            if self.request.dry_run:
                return show_plan(jobs, todo, self.files, self.request.format, self.console)
            return self._tag_all(todo, tagger, usable)
        finally:
            self._pool.close()
            self.files.close()

    # ---- before ----

    def _find(self) -> list[Job]:
        """The jobs of this run, each with a name that follows from the video's path, whatever else is given."""
        request = self.request
        names = [name for name in (request.from_list, *("-" for p in request.paths if p == "-")) if name]
        given = [path for path in request.paths if path != "-"]
        given += [path for name in dict.fromkeys(names) for path in listed(name, self.console)]
        found = find(given, inputs.Search(request.exclude, request.hidden), self.console)
        self.tally.left_out = found.left_out
        jobs = [Job(v.path, self.files.name(v.path, v.name), v.error, v.source) for v in found.videos]
        if self.shard is not None:
            index, count = self.shard
            below = (inputs.relative_name(job.path, found.base) for job in jobs)
            jobs = [job for job, name in zip(jobs, below, strict=True) if inputs.shard_of(name, count) == index]
            self.console.detail(f"shard {index}/{count}: {len(jobs)} of {len(found.videos)} videos")
        self._check_format(len(jobs))
        self.tally.videos = len(jobs)
        return jobs

    def _check_format(self, count: int) -> None:
        if FORMATS[self.request.format].one_document and self.request.output_dir is None and count > 1:
            raise UsageError(
                f"--format {self.request.format} is one document a video, and {count} videos were given",
                "add --output-dir DIR",
            )

    def _needs_tagger(self) -> bool:
        """A dry run needs it only to compare fingerprints."""
        return not self.request.dry_run or bool(self.request.output_dir and self.request.output_dir.exists())

    def _load(self, usable: list[Job]) -> Tagger:
        certain = not self.request.dry_run and (self.request.output_dir is None or self.request.overwrite)
        if certain:
            self._pool.start(self._processes)
        alone = len(usable) == 1
        threads, jpegs = usable_cores() if alone else 1, self.files.need_jpegs

        def load() -> Tagger:
            options = self.options()
            if certain and alone:
                read = read_options(resolve_checkpoint(self.request.checkpoint), options, jpegs=jpegs, threads=threads)
                self._pool.open_ahead(Path(usable[0].path), read)
            from nsnet_cli.tagger import Tagger

            return Tagger.from_checkpoint(
                self.request.checkpoint,
                options,
                device=self.request.device,
                jpegs=jpegs,
                threads=threads,
                say=lambda message: self.console.info(harmless(message)),
            )

        tagger = batch.interruptible(load)
        startup.keep(tagger)
        return tagger

    def _left_to_do(self, jobs: list[Job], tagger: Tagger | None) -> list[Job]:
        if self.request.output_dir is None or self.request.overwrite or tagger is None:
            return jobs
        todo = []
        for job in jobs:
            stored = self.files.look(job.name, lambda path=job.path: _fingerprint(tagger, path), job.source)  # type: ignore[misc]
            skip = stored.state == "done" or (stored.state == "failed" and not self.request.retry_failed)
            if not skip or stored.result is None:
                todo.append(replace(job, error=job.error or stored.error))
                continue
            self.tally.count_skipped(stored.result)
            if not self.request.dry_run:
                self.files.skip(replace(stored.result, path=job.path))  # as it is called now
        return todo

    # ---- the work ----

    def _tag_all(self, todo: list[Job], tagger: Tagger | None, usable: int) -> int:
        """Tag, and leave the summary and run.json whatever ends the run."""
        code = EXIT_UNEXPECTED
        try:
            self._tag(todo, tagger)
            code = self._exit_code(usable)
            return code
        except BaseException as error:
            code = exit_code(error)
            raise
        finally:
            where = f"; results in {printable(str(self.request.output_dir))}" if self.request.output_dir else ""
            self.console.info(self.tally.summary() + where)
            if self.tally.left_out:
                self.console.info(left_out_words(self.tally.left_out))
            if self.files.results is not None:
                self.files.results.write_summary(self.tally.as_dict(code), self._summary)

    def _tag(self, todo: list[Job], tagger: Tagger | None) -> None:
        rows = self._rows(todo)
        try:
            with self.console.progress("tagging", len(todo)) as bar:
                if rows is not None:
                    self.console.data(rows.head(), end="")
                for finished in self._finished(todo, tagger, bar):
                    job = finished.job
                    with signals.held():
                        result = self.files.write(job.name, finished.result, finished.fingerprint, job.source)
                        self.tally.count(result)
                    if rows is not None:
                        self.console.data(rows.row(result), end="")
                    self._complain(result, rows is not None)
                    if len(todo) > 1:  # a single one is measured in frames
                        bar.advance()
        finally:
            if rows is not None and (tail := rows.tail()):
                self.console.data(tail, end="")

    def _finished(self, todo: list[Job], tagger: Tagger | None, bar: Progress) -> Iterator[Finished]:
        if tagger is None:
            return iter([Finished(job, batch.error_row(job.path, job.error), None) for job in todo if job.error])
        processes = max(1, min(self._processes, len(todo)))
        self._pool.resize(processes)
        threads = min(processes + 1, len(todo))  # one more: its networks run while the next video is decoded
        watch = _Stages(bar).see if len(todo) == 1 else None
        return batch.run(
            tagger,
            todo,
            pool=self._pool,
            threads=threads,
            timeout_s=self.request.timeout_s,
            watch=watch,
        )

    def _rows(self, todo: list[Job]) -> Rows | None:
        """What writes stdout. With --output-dir the results are there: stdout is silent unless a format was chosen."""
        request = self.request
        if request.output_dir is not None and (not request.chosen_format or FORMATS[request.format].one_document):
            return None
        width = shutil.get_terminal_size().columns if self.console.data_is_terminal else None
        return FORMATS[request.format].rows(Stdout([job.path for job in todo], width, self.console.color))

    def _complain(self, result: VideoResult, shown: bool) -> None:
        """A failed video on stderr too, unless its row stands on the same terminal."""
        told = shown and FORMATS[self.request.format].for_people and self.console.data_is_terminal
        if result.error is None or told:
            return
        self.console.warn(f"{printable(result.path)}: {result.error.kind}: {harmless(result.error.message)}")

    def _exit_code(self, usable: int) -> int:
        if self.tally.videos and usable == 0:
            return EXIT_NO_INPUT
        if self.tally.all_internal:
            self.console.error("every video met a mistake of nsnet; NSNET_DEBUG=1 shows where")
            return EXIT_UNEXPECTED
        return EXIT_SOME_FAILED if self.tally.failed or self.tally.failed_before else EXIT_OK


class _Stages:
    """One long video on the progress bar: probing, decoding and previewing frame by frame, recognising."""

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


def _fingerprint(tagger: Tagger, path: str) -> str | None:
    try:
        return bounded(lambda: tagger.fingerprint(path))
    except (OSError, ValueError):
        return None
