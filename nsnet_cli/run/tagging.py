"""A tagging run: finds and plans its videos, tags several at once, writes each result when it is ready."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nsnet_cli import inputs
from nsnet_cli.cores import usable_cores
from nsnet_cli.errors import PASSING_KINDS
from nsnet_cli.media import Decoder
from nsnet_cli.outputs.files import FileOutputs
from nsnet_cli.outputs.formats import DEFAULT
from nsnet_cli.records import dataclass
from nsnet_cli.run import batch
from nsnet_cli.run.finding import columns_of, find
from nsnet_cli.run.fingerprints import fingerprints, ways
from nsnet_cli.run.jobs import Finished, Job
from nsnet_cli.run.opening import Asked, prepare
from nsnet_cli.run.tally import Tally
from nsnet_cli.search import Search
from nsnet_cli.stopwatch import stage
from nsnet_cli.storage.urls import Place, Url, located, shown
from nsnet_cli.types import VideoResult
from nsnet_cli.video.pool import DecodePool
from nsnet_cli.weights.wordlist import words_named

if TYPE_CHECKING:
    from nsnet_cli.fingerprint import Way
    from nsnet_cli.run.on_ray import Fleet
    from nsnet_cli.tagger import Tagger

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """What to tag, how, and what to keep."""

    given: tuple[str, ...]
    """Files, folders and globs."""
    asked: Asked = field(default_factory=Asked)
    search: Search = field(default_factory=Search)
    shard: tuple[int, int] | None = None
    output_dir: Place | None = None
    """Where results are kept: a folder, or the URL of one."""
    format: str = DEFAULT
    """The output format whose files, if it has any, are written beside each kept result."""
    thumbnails: Path | None = None
    contact_sheet: Path | None = None
    report: Path | None = None
    jobs: int = 0
    """Videos in work at once. 0: one per core."""
    timeout_s: float | None = None
    ray: str | None = None
    """A Ray cluster to work on: an address, 'auto' or 'local'. None: this process does the work."""
    columns: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What a manifest says about each of `given`: it passes through to the rows."""
    overwrite: bool = False
    retry_failed: bool = False
    dry: bool = False
    """Only plan: tag nothing and write nothing."""


class TaggingRun:
    """One run. Call `find`, `plan`, `results` and `finish` in this order, and `close` however it ends.

    `pool`: decode processes that were started already. `hold`: a block in which signals wait until it ends.
    """

    def __init__(
        self,
        request: Request,
        *,
        pool: DecodePool | None = None,
        hold: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.request, self._hold = request, hold
        self.pool = pool or DecodePool(timeout_s=request.timeout_s)
        self.files = FileOutputs(
            request.output_dir,
            sidecar=request.format,
            thumbnails=request.thumbnails,
            sheets=request.contact_sheet,
            report=request.report,
        )
        shard = request.shard
        self._summary = f"run.{shard[0]}of{shard[1]}.json" if shard else "run.json"
        self.tally = Tally()
        self.jobs: list[Job] = []
        """All videos of the run."""
        self.todo: list[Job] = []
        """Videos that are left to look at."""
        self.again: list[Job] = []
        """Videos that were looked at already, and whose results are only to be rendered with this run's options."""
        self._looked: dict[str, str] = {}
        """The fingerprint of each of these, by path."""
        self.usable = 0
        """Number of videos without a known error."""
        self._tagger: Tagger | None = None
        self._fleet: Fleet | None = None
        self._way: Way | None = None
        """How videos are looked at. None: nothing has to be compared or looked at."""

    def find(self) -> list[Job]:
        """Finds the videos. Each gets a name from its own path, whatever else is given. Raises NoInputError."""
        found = find(self.request.given, self.request.search)
        self.tally.left_out = found.left_out
        columns = {shown(path): row for path, row in self.request.columns.items()}
        jobs = [
            Job(v.path, self.files.name(v.path, v.name), v.error, v.source, columns_of(v.path, columns))
            for v in found.videos
        ]
        if self.request.shard is not None:
            index, count = self.request.shard
            below = [inputs.relative_name(job.path, found.base) for job in jobs]
            jobs = [job for job, name in zip(jobs, below, strict=True) if inputs.shard_of(name, count) == index]
            logger.debug("shard %d/%d: %d of %d videos", index, count, len(jobs), len(found.videos))
        self.jobs, self.tally.videos = jobs, len(jobs)
        self.usable = sum(job.error is None for job in jobs)
        return jobs

    def plan(self) -> list[Job]:
        """Opens outputs and tagger, and returns the videos left to do. Raises what stops the run from starting."""
        self.files.shown = self.request.asked.shown()
        if not self.request.dry:
            self.files.open(self._summary)
        place = self.request.output_dir
        kept = isinstance(place, Url) or (place is not None and os.path.isdir(place))  # noqa: PTH112
        if self.usable and (kept or not self.request.dry):  # a dry run needs it only to compare fingerprints
            if self.request.ray is not None:
                self._way = self._open_on_ray()
            else:
                self._tagger = batch.interruptible(self._open_tagger)
                self._way = self._tagger.way
        self.todo = self._left_to_do()
        return self.todo

    def results(self, watch: batch.Watch | None = None) -> Iterator[VideoResult]:
        """Tags what is left to do, and yields each result once it is written, in order of ending.

        Results that are only rendered anew come first. Closing the iterator drops unfinished videos. Raises what is not
        the fault of a single video.
        """
        yield from self._rendered()
        with closing(self._finished(watch)) as finished:  # type: ignore[type-var]
            for item in finished:
                with self._hold():
                    result = replace(item.result, columns=item.job.columns)
                    with stage("writing results"):
                        result = self.files.write(item.job.name, result, item.fingerprint, item.job.source)
                    self.tally.count(result)
                yield result
        self.files.settle()

    def finish(self, exit_code: int) -> None:
        """Writes the summary beside the results. Call it however the run ends."""
        if self.files.results is not None:
            self.files.results.write_summary(self.tally.as_dict(exit_code), self._summary)

    def close(self) -> None:
        self.pool.close()
        if self._fleet is not None:
            self._fleet.close()
        self.files.close()

    # ---- parts ----

    @property
    def _processes(self) -> int:
        return max(1, min(self.request.jobs or usable_cores(), self.usable))

    def _rendered(self) -> Iterator[VideoResult]:
        """Renders anew what needs no other look. What cannot be rendered after all is left to do."""
        for job in self.again:
            fingerprint = self._looked[job.path]
            result = self.files.rendered(job.name, job.path, fingerprint, job.source)
            if result is None:
                self.todo.append(job)
                continue
            with self._hold():
                result = replace(result, columns=job.columns)
                result = self.files.write(job.name, result, fingerprint, job.source)
                self.tally.count_rendered(result)
            yield result

    def _open_tagger(self) -> Tagger:
        request, usable = self.request, [job for job in self.jobs if job.error is None]
        certain = not request.dry and (request.output_dir is None or request.overwrite)
        if certain:
            self.pool.start(self._processes)
        alone = len(usable) == 1
        threads = usable_cores() if alone else 1
        opening = prepare(request.asked, jpegs=self.files.need_jpegs, threads=threads, keep=self.files.keeps_looks)
        if certain and alone:
            self.pool.open_ahead(usable[0].place, opening.read)
        return opening.tagger(len(usable))

    def _open_on_ray(self) -> Way:
        """Starts actors on a cluster, and returns how they look at videos."""
        from nsnet_cli.run.on_ray import Fleet

        self.pool.close()
        request = self.request
        assert request.ray is not None
        self._fleet = Fleet(
            request.ray,
            request.asked,
            jpegs=self.files.need_jpegs,
            keep=self.files.keeps_looks,
            timeout_s=request.timeout_s,
            most=request.jobs,
            reader=self.pool.reader,
        )
        return self._fleet.open()

    def _left_to_do(self) -> list[Job]:
        if self.request.output_dir is None or self.request.overwrite or self._way is None:
            return self.jobs
        device = self.request.asked.device if self._fleet is None and not self.request.asked.fast else ""
        todo, given = [], fingerprints(ways(self._way, device), self.jobs, ahead=self.files.in_parts)
        self.files.expect([job.name for job in self.jobs])
        for job in self.jobs:
            looks = (self.files.look(job.name, partial(of, job), job.source, job.path) for of in given)
            first = next(looks)
            stored = next((one for one in (first, *looks) if one.state != "stale"), first)
            if stored.state == "kept" and stored.fingerprint is not None:
                self.again.append(job)
                self._looked[job.path] = stored.fingerprint
                continue
            result = stored.result
            again = self.request.retry_failed or (result and result.error and result.error.kind in PASSING_KINDS)
            if result is None or not (stored.state == "done" or (stored.state == "failed" and not again)):
                todo.append(replace(job, error=job.error or stored.error))
                continue
            self.tally.count_skipped(result)
            if not self.request.dry:
                self.files.skip(replace(result, path=job.path))  # under its current name
        return todo

    def _finished(self, watch: batch.Watch | None) -> Iterator[Finished]:
        if self._way is None:
            for job in self.todo:
                if job.error is not None:
                    yield Finished(job, VideoResult.failed(job.path, job.error.kind, job.error.message), None)
            return
        if self._fleet is not None:
            yield from self._fleet.finished(self.todo)
            return
        assert self._tagger is not None
        processes = max(1, min(self._processes, len(self.todo)))
        self.pool.resize(processes)
        yield from batch.run(
            self._tagger,
            self.todo,
            pool=self.pool,
            threads=min(processes + 1, len(self.todo)),  # one more: the networks run while the next is decoded
            timeout_s=self.request.timeout_s,
            watch=watch if len(self.todo) == 1 else None,
        )


def tag_videos(
    paths: Sequence[str | os.PathLike[str]],
    *,
    checkpoint: str = "imagenet-lite",
    policy: str = "nsnet",
    frames: int | None = None,
    preview: int | None = None,
    budget: str | None = None,
    top_k: int = 5,
    threshold: float = 0.0,
    precision: float = 0.8,
    seed: int = 0,
    decoder: Decoder = "auto",
    device: str = "auto",
    fast: bool = False,
    tags: Sequence[str] | None = None,
    output_dir: str | os.PathLike[str] | None = None,
    jobs: int = 0,
    timeout_s: float | None = None,
    ray: str | None = None,
) -> Iterator[VideoResult]:
    """Tags files, folders and globs, as `nsnet tag` does: several at once, each in a process that can be killed.

    Args:
        paths: What to tag, paths or URLs. Folders are searched; a video that is given twice is tagged once.
        checkpoint: A name of `nsnet models list`, a checkpoint folder, or hub:owner/name@revision.
        policy, frames, preview, budget, top_k, threshold, precision, seed, decoder, device, fast: As the options of
            `nsnet tag`; None is the checkpoint's default.
        tags: Words to look for, with a checkpoint for any words. None: its own.
        output_dir: Keep results here, a folder or a URL. Videos with a result there are skipped and not yielded; if
            only top_k, threshold or precision differ, the result is rendered anew and yielded.
        jobs: Videos in work at once. 0: one per core.
        timeout_s: Seconds that decoding one video may take. None: depends on its length.
        ray: A Ray cluster to work on: 'auto', 'local' or an address. None: this process does the work.

    Returns:
        An iterator of one VideoResult per video, in order of ending. A video that cannot be tagged has status "error"
        and says why. Closing the iterator stops the work and ends the processes.

    Raises:
        NoInputError: No given path leads to a video.
        UsageError, WeightsError, DeviceError, OutputError: The run cannot start or go on.

    Example:
        for result in nsnet_cli.tag_videos(["videos"], top_k=3):
            print(result.path, [tag.name for tag in result.tags])
    """
    own = None if tags is None else words_named(tags, "tags")
    asked = Asked(
        checkpoint, policy, frames, preview, budget, seed, top_k, threshold, precision, decoder, device, own, fast=fast
    )
    given = tuple(os.fspath(path) for path in paths)
    place = located(output_dir) if output_dir is not None else None
    run = TaggingRun(Request(given, asked, output_dir=place, jobs=jobs, timeout_s=timeout_s, ray=ray))
    try:
        run.find()
        run.plan()
        yield from run.results()
    finally:
        run.close()
