"""Which video ended the actor that it was on: a pure account, that knows nothing of Ray.

When an actor dies, each of its videos may be the cause, or its node has died. So each is tried again alone. One that
was alone when an actor died on a living node, and that had lost an actor before, has ended both.

That a node has died is known only some time after its actors are gone. So a verdict waits, and the deaths on such a
node count for nobody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Set

from nsnet_cli.records import dataclass
from nsnet_cli.run.jobs import Job

STRIKES = 2
"""Actors that a video may lose."""
NODE_DEATH_S = 30.0
"""How long to wait for word that a node has died. Ray takes 14 s to notice."""


@dataclass(frozen=True, slots=True)
class Loss:
    """A video whose actor has died. `alone`: the actor had no other. `why`: what Ray says."""

    job: Job
    node: str
    alone: bool
    why: str
    time_s: float


class Trials:
    """The videos that have lost their actor and are not in work again."""

    def __init__(self) -> None:
        self._suspects: deque[Loss] = deque()
        self._waiting: list[Loss] = []
        self._nodes: dict[str, list[str]] = {}
        """Where each video, by path, has lost actors."""

    def __len__(self) -> int:
        return len(self._suspects) + len(self._waiting)

    @property
    def suspects(self) -> int:
        """Videos to try alone."""
        return len(self._suspects)

    def lose(self, loss: Loss) -> None:
        nodes = self._nodes.setdefault(loss.job.path, [])
        nodes.append(loss.node)
        if loss.alone and len(nodes) >= STRIKES:
            self._waiting.append(loss)
        else:
            self._suspects.append(loss)

    def next(self) -> Job:
        """A suspect, to be tried alone."""
        return self._suspects.popleft().job

    def cleared(self, dead: Set[str]) -> Iterator[Job]:
        """Yields videos whose node has died: they are tried again as any other. `dead`: nodes that have died."""
        for kept in (self._suspects, self._waiting):
            for loss in [each for each in kept if each.node in dead]:
                kept.remove(loss)
                yield loss.job

    def convicted(self, dead: Set[str], now_s: float) -> Iterator[Loss]:
        """Yields videos that have ended their actors. One whose earlier node has died since is tried alone again."""
        for loss in [each for each in self._waiting if now_s >= each.time_s + NODE_DEATH_S]:
            self._waiting.remove(loss)
            if sum(node not in dead for node in self._nodes[loss.job.path]) >= STRIKES:
                yield loss
            else:
                self._suspects.append(loss)
