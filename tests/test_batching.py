"""Calls of many threads share batches, and each gets its own answer."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from nsnet_cli.nets.batching import Answer, Batcher


class Doubler:
    """A network that doubles numbers, and remembers its batches. `gate`: each batch waits for it."""

    def __init__(self, gate: threading.Event | None = None) -> None:
        self.batches: list[list[int]] = []
        self.gate = gate

    def start(self, parts: Sequence[np.ndarray]) -> Callable[[], Answer]:
        self.batches.append([len(part) for part in parts])
        whole = np.concatenate(parts)

        def wait() -> Answer:
            if self.gate is not None:
                assert self.gate.wait(60)
            return 2 * whole, whole.sum(1)

        return wait


def rows(first: int, count: int, width: int = 3) -> np.ndarray:
    return first + np.arange(count * width, dtype=np.float64).reshape(count, width)


def test_each_call_gets_its_own_rows() -> None:
    batcher = Batcher(Doubler().start, 8, "doubler")
    calls = [rows(100 * n, 1 + n % 5) for n in range(40)]
    with ThreadPoolExecutor(16) as pool:
        for given, (doubled, sums) in zip(calls, pool.map(batcher, calls), strict=True):
            np.testing.assert_array_equal(doubled, 2 * given)
            np.testing.assert_array_equal(sums, given.sum(1))


def test_calls_that_wait_share_a_batch_of_at_most_so_many_views() -> None:
    gate = threading.Event()
    network = Doubler(gate)
    batcher = Batcher(network.start, 8, "doubler")
    with ThreadPoolExecutor(20) as pool:
        answers = [pool.submit(batcher, rows(n, 2)) for n in range(20)]
        gate.set()
        assert all(len(answer.result()[0]) == 2 for answer in answers)
    assert sum(map(sum, network.batches)) == 40 and max(map(sum, network.batches)) <= 8
    assert len(network.batches) < 20, "calls were put together"


def test_the_next_batch_starts_while_one_is_computed() -> None:
    started = threading.Event()

    class Waits(Doubler):
        """The first batch is done only once the second was started."""

        def start(self, parts: Sequence[np.ndarray]) -> Callable[[], Answer]:
            if self.batches:
                started.set()
            return super().start(parts)

    network = Waits(gate=started)
    batcher = Batcher(network.start, 2, "doubler")
    assert len(batcher(rows(0, 4))[0]) == 4 and network.batches == [[2], [2]]


def test_a_call_of_many_views_is_split() -> None:
    network = Doubler()
    doubled, sums = Batcher(network.start, 4, "doubler")(rows(0, 11))
    np.testing.assert_array_equal(doubled, 2 * rows(0, 11))
    assert sums.shape == (11,) and network.batches == [[4], [4], [3]]


def test_views_of_different_sizes_are_not_mixed() -> None:
    network = Doubler()
    batcher = Batcher(network.start, 8, "doubler")
    calls = [rows(n, 1, width=3 + n % 2) for n in range(12)]
    with ThreadPoolExecutor(12) as pool:
        for given, (doubled, _) in zip(calls, pool.map(batcher, calls), strict=True):
            np.testing.assert_array_equal(doubled, 2 * given)


@pytest.mark.parametrize("late", [False, True])
def test_an_error_reaches_all_calls_of_its_batch_and_no_other(late: bool) -> None:
    def fail() -> Answer:
        raise MemoryError("too many")

    def start(parts: Sequence[np.ndarray]) -> Callable[[], Answer]:
        if any(part.min() < 0 for part in parts):
            if not late:
                fail()
            return fail
        return Doubler().start(parts)

    batcher = Batcher(start, 2, "doubler")
    with pytest.raises(MemoryError, match="too many"):
        batcher(rows(-5, 2))
    assert len(batcher(rows(5, 2))[0]) == 2


def test_its_thread_ends_with_it() -> None:
    batcher = Batcher(Doubler().start, 8, "ending")
    batcher(rows(0, 1))
    (thread,) = [each for each in threading.enumerate() if each.name == "batches-ending"]
    del batcher
    gc.collect()
    thread.join(60)
    assert not thread.is_alive()
