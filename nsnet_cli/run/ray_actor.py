"""What an actor of Ray is: one tagger with its decode processes, on some cores of a node."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

from nsnet_cli import __version__
from nsnet_cli.cores import use_at_most
from nsnet_cli.run.jobs import Finished, Job
from nsnet_cli.run.opening import Asked
from nsnet_cli.storage.urls import Place

if TYPE_CHECKING:
    from nsnet_cli.run.batch import Work
    from nsnet_cli.types import TagOptions


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


@dataclass(frozen=True)
class Looking:
    """How an actor looks at videos: all that enters a fingerprint beside the file. It must be the same everywhere."""

    options: TagOptions
    checkpoint_hash: str
    engine: str
    precision: str
    projection: str | None
    embed_all: bool
    version: str = __version__
    node: str = field(default="", compare=False)
    """Ray's id of the node that the actor is on."""
    host: str = field(default="", compare=False)

    def fingerprint(self, path: Place) -> str:
        """The fingerprint that this actor gives a video, without a tagger: networks are loaded by actors only."""
        from nsnet_cli.tagger import Tagger

        like = SimpleNamespace(
            options=self.options,
            checkpoint=SimpleNamespace(hash=self.checkpoint_hash),
            engine=SimpleNamespace(name=self.engine, precision=self.precision),
            embed_all=self.embed_all,
            projection=None if self.projection is None else SimpleNamespace(identity=self.projection),
        )
        return Tagger.fingerprint(like, path)  # type: ignore[arg-type]


class VideoActor:
    """Tags videos. It is made empty, because what `open` raises reaches the caller whole."""

    _work: Work

    def open(self, setting: Setting) -> Looking:
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
        return Looking(
            options=tagger.options,
            checkpoint_hash=tagger.checkpoint.hash,
            engine=tagger.engine.name,
            precision=tagger.engine.precision,
            projection=tagger.projection.identity if tagger.projection else None,
            embed_all=tagger.embed_all,
            node=ray.get_runtime_context().get_node_id(),
            host=socket.gethostname(),
        )

    def finish(self, job: Job, place: str) -> Finished:
        """Returns the row of one video. `place`: where it is on every node, which has its own working folder."""
        done = self._work.finish(replace(job, path=place))
        return Finished(job, replace(done.result, path=job.path), done.fingerprint)
