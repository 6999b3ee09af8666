"""What an actor of Ray is: one tagger with its decode processes, on some cores of a node."""

from __future__ import annotations

import socket
from dataclasses import field, replace
from typing import TYPE_CHECKING

from nsnet_cli import __version__
from nsnet_cli.cores import use_at_most
from nsnet_cli.fingerprint import Way
from nsnet_cli.records import dataclass
from nsnet_cli.run.jobs import Finished, Job
from nsnet_cli.run.opening import Asked

if TYPE_CHECKING:
    from nsnet_cli.run.batch import Work


@dataclass(frozen=True, slots=True)
class Setting:
    """What all actors of a run are told."""

    asked: Asked
    cores: int
    reader: str
    """Where a decode process finds `open_video` ("module:function")."""
    jpegs: bool = False
    keep: bool = False
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Ready:
    """What an actor says once it can tag. How it looks at videos must be the same everywhere."""

    way: Way
    version: str
    """Of nsnet."""
    node: str = field(compare=False)
    """Ray's id of the node that the actor is on."""
    host: str = field(compare=False)


class VideoActor:
    """Tags videos. It is made empty, because what `open` raises reaches the caller whole."""

    _work: Work

    def open(self, setting: Setting) -> Ready:
        """Loads the networks and starts the decode processes. Raises what stops a run from starting."""
        use_at_most(setting.cores)
        import ray

        from nsnet_cli.run.batch import Work
        from nsnet_cli.run.opening import prepare
        from nsnet_cli.video.pool import DecodePool

        pool = DecodePool(setting.cores, reader=setting.reader, timeout_s=setting.timeout_s)
        pool.start()
        tagger = prepare(setting.asked, jpegs=setting.jpegs, keep=setting.keep).tagger()
        self._work = Work(tagger, pool, setting.timeout_s)
        return Ready(tagger.way, __version__, ray.get_runtime_context().get_node_id(), socket.gethostname())

    def finish(self, job: Job, place: str) -> Finished:
        """Returns the row of one video. `place`: where it is on every node, which has its own working folder."""
        done = self._work.finish(replace(job, path=place))
        return Finished(job, replace(done.result, path=job.path), done.fingerprint)
