"""A call that never comes back costs its deadline, nothing more."""

from __future__ import annotations

import threading
import time

import pytest

from nsnet_cli.bounded import bounded


def test_what_the_call_gives_is_handed_on() -> None:
    assert bounded(lambda: 7) == 7
    with pytest.raises(FileNotFoundError):
        bounded(lambda: open("/no/such/file"))  # noqa: PTH123, SIM115


def test_a_call_that_hangs_is_left_behind() -> None:
    release = threading.Event()
    started = time.monotonic()
    with pytest.raises(TimeoutError, match=r"no answer within 0\.2 s"):
        bounded(lambda: release.wait(100), seconds=0.2)
    assert time.monotonic() - started < 50
    release.set()
