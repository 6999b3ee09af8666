"""Planned frames: cut into stretches, shared among decoders, found or missing."""

from __future__ import annotations

import itertools
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsnet_cli.media import PlannedFrame, ReadOptions
from nsnet_cli.video.plan import plan_preview
from nsnet_cli.video.stretches import Clock, Decoded, Run, Shared, Stretch, even_shares, stretches


@given(
    st.lists(st.floats(0.05, 20), min_size=1, max_size=60),
    st.floats(0, 30),
    st.booleans(),
)
def test_every_planned_frame_is_in_one_stretch(steps: list[float], tail_s: float, even: bool) -> None:
    keys = tuple(itertools.accumulate(steps, initial=0.0))
    plan = plan_preview(keys, 0.0, keys[-1] + tail_s, 25, ReadOptions(8, even=even))
    parts = stretches(plan, keys)
    assert [part.key_s for part in parts] == sorted({part.key_s for part in parts})
    fills = [fill for part in parts for fill in part.fills]
    assert fills == [frame for frame in plan.frames if not frame.key]
    assert sum(part.wants_key for part in parts) == sum(frame.key for frame in plan.frames)
    for part in parts:
        assert all(part.key_s <= fill.pts_s + 1e-6 for fill in part.fills)


def test_every_stretch_goes_to_one_decoder_in_order_of_time() -> None:
    fills = [(), (), (), (12.0,), (), (), (20.0,), ()]
    parts = [Stretch(3.0 * n, True, tuple(PlannedFrame(t, key=False) for t in times)) for n, times in enumerate(fills)]
    shares = even_shares(parts, 2)
    assert [[int(part.key_s / 3) for part in share] for share in shares] == [[0, 2, 4, 5, 6], [1, 3, 7]]
    assert even_shares(parts, 1) == [parts]
    assert sum(map(len, even_shares(parts, 9))) == 8


def test_a_frame_is_new_to_one_decoder_only() -> None:
    class Slow(set[float]):
        def __contains__(self, item: object) -> bool:
            found = super().__contains__(item)
            time.sleep(0.001)  # the other decoders go on
            return found

    shared = Shared([])
    shared._given = Slow()
    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(shared.new, [n / 25 for n in range(20) for _ in range(4)])) == 20


def run(*targets: float, tolerance_s: float = 0.0) -> Run:
    return Run(Stretch(0.0, False, tuple(PlannedFrame(t, False, tolerance_s) for t in targets)))


def test_a_frame_is_accepted_if_none_is_nearer() -> None:
    steady = run(1.0, 2.0)
    steady.seen += [0.96, 1.0, 1.04, 1.9, 8.0]
    assert steady.settle(Decoded(1.04, None)) is None, "the frame at 1.0 was there, but did not decode"
    found = Decoded(1.9, None)
    assert steady.settle(found) is found, "off, but there is none nearer in the file"
    assert [frame.pts_s for frame in steady.missing] == [1.0]


def test_any_frame_within_the_tolerance_is_accepted() -> None:
    lenient = run(1.0, tolerance_s=0.25)
    lenient.seen += [1.0, 1.2]
    assert lenient.settle(Decoded(1.2, None)) is not None


def test_only_frames_near_an_exact_target_are_needed() -> None:
    exact, lenient = run(1.0, 5.0), run(1.0, 5.0, tolerance_s=0.25)
    assert [t for t in (0.9, 0.97, 1.0, 1.03, 1.1, 4.97) if exact.needs(t, 0.04)] == [0.97, 1.0, 1.03, 4.97]
    assert not lenient.needs(1.0, 0.04)


@pytest.mark.parametrize(
    ("times", "want"),
    [
        ([(0, 0), (1, 1), (2, 2)], [0, 1, 2]),
        ([(1, 2), (4, 3), (3, 4), (5, 5), (7, 6), (6, 7)], [1, 4, 4, 5, 6, 7]),
        ([(None, 3), (None, 4)], [3, 4]),
        ([(3, None), (4, None)], [3, 4]),
        ([(None, None)], [None]),
    ],
)
def test_the_ascending_clock_is_trusted(times: list[tuple[int | None, int | None]], want: list[int | None]) -> None:
    clock = Clock()
    assert [clock.ticks(*pair) for pair in times] == want
    clock.restart()
    assert [clock.ticks(*pair) for pair in times] == want, "whatever came before"


def test_guessed_times_give_way_to_decode_times_that_ascend() -> None:
    clock = Clock(guessed=True)
    for _ in range(2):
        clock.restart()
        assert [clock.ticks(*pair) for pair in [(1, 2), (4, 3), (3, 4), (5, 5), (6, None)]] == [2, 3, 4, 5, 6]
    clock.restart()
    assert [clock.ticks(*pair) for pair in [(1, 7), (2, 6), (3, 5), (4, 4)]] == [7, 2, 3, 4], "as long as they do"
