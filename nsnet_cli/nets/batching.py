"""Puts the calls of many threads together into batches for one device.

    video threads -> queue -> one thread: gather a batch, start it, gather the next one while it is computed -> answers

A GPU needs about as long for one frame as for sixty. So frames of different videos are computed together, and a frame
waits for others at most WAIT_S. No torch here.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

import numpy as np

from nsnet_cli.stopwatch import spent

WAIT_S = 0.004
"""How long a call waits at most for others to share its batch, while the device has nothing else to do."""

Answer = tuple[np.ndarray, ...]
Start = Callable[[Sequence[np.ndarray]], Callable[[], Answer]]
"""Starts computing views, given in parts (n, ...), and returns what waits for the answer: arrays (sum of n, ...)."""


@dataclass(slots=True, eq=False)
class _Call:
    views: np.ndarray
    answer: Future[Answer] = field(default_factory=Future)


class Batcher:
    """A network that many threads call, in batches of at most `most` views.

    The thread behind it ends when the Batcher is no longer used. `name` is for the table of --profile.
    """

    def __init__(self, start: Start, most: int, name: str) -> None:
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._most = most
        worker = _Worker(self._calls, start, most, name)  # it must not hold the Batcher
        threading.Thread(target=worker.run, name=f"batches-{name}", daemon=True).start()
        weakref.finalize(self, self._calls.put, None)

    def __call__(self, views: np.ndarray) -> Answer:
        """views (N, ...) -> arrays (N, ...). Raises what the computing raised."""
        calls = [_Call(views[at : at + self._most]) for at in range(0, len(views), self._most)]
        for call in calls:
            self._calls.put(call)
        answers = [call.answer.result() for call in calls]
        return answers[0] if len(answers) == 1 else tuple(map(np.concatenate, zip(*answers, strict=True)))


class _Worker:
    """What the thread does: at most one batch is computed while the next one is gathered and started."""

    def __init__(self, calls: SimpleQueue[_Call | None], start: Start, most: int, name: str) -> None:
        self._calls, self._start, self._most, self._name = calls, start, most, name
        self._first: _Call | None = None
        """A call that did not fit into the last batch."""
        self._ended = False

    def run(self) -> None:
        running: tuple[list[_Call], Callable[[], Answer]] | None = None
        while running is not None or not self._ended:
            calls = self._gathered(idle=running is None)
            before_s = time.perf_counter()
            started = self._started(calls) if calls else None
            if running is not None:
                _finish(*running)
            if calls:
                spent(f"batches of the {self._name}", time.perf_counter() - before_s)
            running = started

    def _gathered(self, *, idle: bool) -> list[_Call]:
        """Returns the next calls that share a batch. `idle`: waits for the first one as long as it takes."""
        first, self._first = self._first or self._next(None if idle else 0.0), None
        if first is None:
            return []
        calls, views, until_s = [first], len(first.views), time.monotonic() + WAIT_S
        while views < self._most:
            call = self._next(max(0.0, until_s - time.monotonic()))
            if call is None:
                break
            if views + len(call.views) > self._most or call.views.shape[1:] != first.views.shape[1:]:
                self._first = call
                break
            calls.append(call)
            views += len(call.views)
        return calls

    def _next(self, timeout_s: float | None) -> _Call | None:
        if self._ended:
            return None
        try:
            call = self._calls.get(timeout=timeout_s)
        except Empty:
            return None
        self._ended = call is None
        return call

    def _started(self, calls: list[_Call]) -> tuple[list[_Call], Callable[[], Answer]] | None:
        try:
            return calls, self._start([call.views for call in calls])
        except BaseException as error:
            _fail(calls, error)
            return None


def _finish(calls: list[_Call], wait: Callable[[], Answer]) -> None:
    """Gives each call its part of the answer, in memory of its own."""
    try:
        whole, at = wait(), 0
        parts = []
        for call in calls:
            parts.append(tuple(np.array(output[at : at + len(call.views)]) for output in whole))
            at += len(call.views)
    except BaseException as error:
        _fail(calls, error)
        return
    for call, part in zip(calls, parts, strict=True):
        call.answer.set_result(part)


def _fail(calls: list[_Call], error: BaseException) -> None:
    for call in calls:
        call.answer.set_exception(error)
