"""Tags the videos of a run on a Ray cluster, and yields exactly one row for each, as batch.py does on one machine.

    this process: job -> an actor with room -> Finished -> the caller, who writes

Ray places the actors, starts nodes for those that wait, and carries jobs and rows. What it cannot do is here. Ray Data
would retry or drop a whole block when an actor dies, and does not say which video or which node was at fault. So this
is a pool of plain actors:

- An actor's death makes suspects of the videos that it had. Each is tried again alone. If that actor dies too, the
  video is an error row (`crashed`).
- A node's death is nobody's fault: its videos go to other actors.

An actor has few videos at a time, one call each, so that a slow one holds no other, and rows wait in no queue.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nsnet_cli.errors import NsnetError
from nsnet_cli.fingerprint import Way
from nsnet_cli.run.jobs import Finished, Job
from nsnet_cli.run.opening import Asked
from nsnet_cli.run.ray_actor import Ready, Setting, VideoActor
from nsnet_cli.run.ray_cluster import Cluster
from nsnet_cli.run.trials import Loss, Trials
from nsnet_cli.storage.urls import Url, located
from nsnet_cli.types import VideoResult
from nsnet_cli.video.process import DEFAULT_READER

logger = logging.getLogger(__name__)

CORES, CORES_WITH_GPU = 4, 8
"""Most cores of an actor. More actors take more memory (0.5 GB each), fewer wait for each other's videos."""
LOOK_S, TELL_S = 1.0, 30.0
"""How often to look at the cluster, and to say that nothing runs yet."""
START_TRIES = 3
"""Actors that may die in a row before one is ready."""


@dataclass(slots=True, eq=False)
class _Actor:
    """An actor as this process sees it. `jobs`: what it works on, by the reference of its row."""

    handle: Any
    opening: Any
    node: str | None = None
    """None until it is ready."""
    jobs: dict[Any, Job] = field(default_factory=dict)
    alone: bool = False
    """Whether it has a suspect, and gets no other video meanwhile."""


class Fleet:
    """Actors on a cluster. Call `open`, then `finished`, and `close` however it ends.

    `most`: videos in work at once; 0: as many as the cluster has cores.
    """

    def __init__(
        self,
        address: str,
        asked: Asked,
        *,
        jpegs: bool = False,
        keep: bool = False,
        timeout_s: float | None = None,
        most: int = 0,
        reader: str = DEFAULT_READER,
    ) -> None:
        """Connects to a cluster, or starts one on this machine ('local'). Raises UsageError, WeightsError."""
        self._most, self._died, self._told = most, 0, time.monotonic()
        self._actors: list[_Actor] = []
        self._first: Ready | None = None
        self._cluster = Cluster(address)
        self._ray = self._cluster.ray
        try:
            device = self._device(asked)
            self._gpus = 1 if device == "cuda" else 0
            cores = min(CORES_WITH_GPU if self._gpus else CORES, self._cluster.most_cores() or CORES, most or CORES)
            folder = Path(asked.checkpoint)
            checkpoint = str(folder.absolute()) if folder.is_dir() else asked.checkpoint
            fast = asked.fast and (device == "cpu" or asked.device != "auto")  # a GPU that was not asked for ignores it
            asked = replace(asked, checkpoint=checkpoint, device=device, fast=fast)
            self._setting = Setting(asked, cores, reader, jpegs, keep, timeout_s)
        except BaseException:
            self.close()
            raise

    def open(self) -> Way:
        """Waits until the first actor is ready, and returns how it looks. Raises what stops a run from starting."""
        while self._first is None:
            self._hire(1)
            self._answers(Trials())
            self._tell()
        return self._first.way

    def finished(self, jobs: Sequence[Job]) -> Iterator[Finished]:
        """Yields the row of each job as it ends. Closing the iterator drops unfinished videos."""
        waiting, again, trials = deque(jobs), deque[Job](), Trials()
        while True:
            left = len(waiting) + len(again) + trials.suspects
            if not left and not trials and not any(actor.jobs for actor in self._actors):
                return
            self._hire(math.ceil(left / self._room) + self._busy) if left else self._let_go()
            for actor in self._actors:
                if actor.node is not None:
                    self._fill(actor, trials, again or waiting)
            yield from self._answers(trials)
            if trials:
                dead = self._cluster.dead_nodes()
                again.extend(trials.cleared(dead))
                for loss in trials.convicted(dead, time.monotonic()):
                    words = f"its process died twice while it was tagged ({_short(loss.why)})"
                    yield Finished(loss.job, VideoResult.failed(loss.job.path, "crashed", words), None)
            self._tell()

    def close(self) -> None:
        """Ends the actors, and the cluster if this process started it."""
        for actor in self._actors:
            self._end(actor)
        self._actors = []
        self._cluster.close()

    # ---- actors ----

    @property
    def _room(self) -> int:
        """Videos that an actor has at once: one per decode process, one in the networks, one on the way."""
        return self._setting.cores + 2

    @property
    def _busy(self) -> int:
        return sum(bool(actor.jobs) for actor in self._actors)

    def _hire(self, wanted: int) -> None:
        """Asks Ray for actors: as many as fit now, and always one more than fit, for which a cluster may grow."""
        if self._most:
            wanted = min(wanted, max(1, self._most // self._setting.cores))
        missing = wanted - len(self._actors)
        if missing <= 0:
            return
        pending = sum(actor.node is None for actor in self._actors)
        free = self._cluster.free_cores() // self._setting.cores
        most = max(1, free, len(self._actors) - pending)
        for _ in range(min(missing, most - pending)):
            kind = self._ray.remote(VideoActor).options(
                num_cpus=self._setting.cores,
                num_gpus=self._gpus,
                max_concurrency=self._room,
                max_restarts=0,
                max_task_retries=0,
            )
            handle = kind.remote()
            self._actors.append(_Actor(handle, handle.open.remote(self._setting)))

    def _let_go(self) -> None:
        """Gives the cores of idle actors back to the cluster, once no video waits. One stays, for suspects."""
        for actor in [actor for actor in self._actors if not actor.jobs][1:]:
            self._end(actor)
            self._actors.remove(actor)

    def _end(self, actor: _Actor) -> None:
        with suppress(Exception):
            self._ray.kill(actor.handle, no_restart=True)

    def _fill(self, actor: _Actor, trials: Trials, others: deque[Job]) -> None:
        """Gives an actor the videos that it has room for, or one suspect if it has no other."""
        if not actor.jobs:
            actor.alone = trials.suspects > 0
            if actor.alone:
                self._give(actor, trials.next())
        while not actor.alone and others and len(actor.jobs) < self._room:
            self._give(actor, others.popleft())

    def _give(self, actor: _Actor, job: Job) -> None:
        actor.jobs[actor.handle.finish.remote(job, everywhere(job.path))] = job

    # ---- answers ----

    def _answers(self, trials: Trials) -> list[Finished]:
        """Waits a little for answers, and returns the rows among them. Raises what is not a video's fault."""
        whose = {ref: actor for actor in self._actors for ref in actor.jobs}
        whose |= {actor.opening: actor for actor in self._actors if actor.node is None}
        refs, rows = list(whose), list[Finished]()
        if not refs:
            time.sleep(LOOK_S / 10)
            return rows
        ready, _ = self._ray.wait(refs, num_returns=1, timeout=LOOK_S)
        if ready and len(refs) > 1:
            ready, _ = self._ray.wait(refs, num_returns=len(refs), timeout=0)
        for ref in ready:
            actor = whose[ref]
            if actor not in self._actors:  # it died, and so its other videos were seen to
                continue
            try:
                answer = self._ray.get(ref)
            except self._ray.exceptions.RayTaskError as error:
                raise getattr(error, "cause", None) or error from None
            except self._ray.exceptions.RayError as error:
                self._bury(actor, str(error), trials)
                continue
            if ref in actor.jobs:
                del actor.jobs[ref]
                rows.append(answer)
            else:
                self._welcome(actor, answer)
        return rows

    def _welcome(self, actor: _Actor, ready: Ready) -> None:
        """An actor is ready. All must look at videos in the same way, or rows would depend on where they came from."""
        first = self._first or ready
        if ready != first:
            hashes = [each.way.checkpoint_hash[:12] for each in (first, ready)]
            raise NsnetError(
                f"the nodes {first.host} and {ready.host} would tag videos in different ways (nsnet {first.version}"
                f" and {ready.version}, checkpoint {hashes[0]} and {hashes[1]})",
                "install the same nsnet on all nodes, and give --device",
            )
        self._first, self._died = first, 0
        actor.node = ready.node

    def _bury(self, actor: _Actor, why: str, trials: Trials) -> None:
        """An actor has died, or cannot be reached: it is ended for good, and its videos are seen to."""
        self._actors.remove(actor)
        self._end(actor)
        logger.debug("an actor has died: %s", why)
        if actor.node is None:
            self._died += 1
            if self._died >= START_TRIES:
                tried = f"no actor starts on the cluster, tried {START_TRIES} times"
                raise NsnetError(f"{tried}: {_short(why)}", "see `ray logs`")
            return
        alone, now_s = len(actor.jobs) == 1, time.monotonic()
        for job in actor.jobs.values():
            trials.lose(Loss(job, actor.node, alone, why, now_s))

    def _device(self, asked: Asked) -> str:
        """`auto` is decided once for all nodes: a GPU only where the cluster has some and the checkpoint is heavy."""
        if asked.device != "auto" or not self._cluster.has_gpus():
            return "cpu" if asked.device == "auto" else asked.device
        from nsnet_cli.nets.auto import cluster_device
        from nsnet_cli.nets.build import view_gflops
        from nsnet_cli.weights.checkpoint import resolve_checkpoint

        checkpoint = resolve_checkpoint(asked.checkpoint)
        return cluster_device(view_gflops(checkpoint, checkpoint.recogniser))

    def _tell(self) -> None:
        """Says now and then that no actor runs yet."""
        if any(actor.node for actor in self._actors):
            self._told = time.monotonic()
        elif time.monotonic() > self._told + TELL_S:
            self._told = time.monotonic()
            gpus = " and a GPU" if self._gpus else ""
            logger.info("waiting for the cluster: no node has %d free cores%s", self._setting.cores, gpus)


def everywhere(path: str) -> str:
    """A path or URL that means the same on all nodes: each has its own working folder, and knows no URL's secrets."""
    place = located(path)
    return place.full if isinstance(place, Url) else os.path.abspath(place)  # noqa: PTH100


def _short(why: str) -> str:
    """The line of Ray's message that has the reason."""
    lines = [line.strip() for line in why.splitlines() if line.strip()]
    first = lines[0] if lines else "no reason given"
    said = next((line for line in lines if "exit detail" in line or "because" in line), first)
    return said.partition("Some common causes")[0].strip()[:200]
