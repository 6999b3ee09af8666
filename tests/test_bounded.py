"""A call that never returns costs its deadline and no more."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from hung_disk import hung_disk

from nsnet_cli import bounded as module
from nsnet_cli.bounded import bounded, until_hung


@pytest.fixture(params=[True, False], ids=["fork", "thread"], autouse=True)
def _either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_fork_is_better", lambda: request.param)


def test_the_result_of_a_call_is_passed_on(tmp_path: Path) -> None:
    assert bounded(lambda: 7) == 7
    assert len(bounded(lambda: b"x" * 3_000_000)) == 3_000_000
    assert bounded(lambda: lambda: 5)() == 5, "what no process can tell another"
    assert bounded(tmp_path.stat) == tmp_path.stat()
    with pytest.raises(FileNotFoundError, match="/no/such/file"):
        bounded(lambda: open("/no/such/file"))  # noqa: PTH123, SIM115


def test_a_call_that_hangs_is_left_behind() -> None:
    release = threading.Event()
    started = time.monotonic()
    with pytest.raises(TimeoutError, match=r"no answer within 0\.2 s"):
        bounded(lambda: release.wait(100), seconds=0.2)
    assert time.monotonic() - started < 50
    release.set()


def test_many_calls_until_one_hangs() -> None:
    release = threading.Event()

    def look(number: int) -> int:
        if number == 3:
            release.wait(100)
        time.sleep(0.3)  # each has the full time
        return number * number

    assert until_hung([0, 1, 2], look, 0.8) == ([0, 1, 4], False)
    assert until_hung([0, 1, 2, 3, 4], look, 0.8) == ([0, 1, 4], True)
    assert until_hung([], look, 0.8) == ([], False)
    release.set()


PROGRAM = """
    import sys
    from nsnet_cli.bounded import bounded

    try:
        bounded(lambda: open(sys.argv[1]).close(), 0.5)
    except TimeoutError:
        print("no answer")
"""


def test_the_program_ends_even_if_the_disk_never_answers(tmp_path: Path) -> None:
    """A thread stuck in the kernel would keep its whole process alive, even if killed."""
    with hung_disk(tmp_path / "disk") as disk:
        assert module._disks_that_hang.__wrapped__()
        for name in ("hung-open.txt", "hung-stat.txt"):
            command = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(disk / name)]
            out = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60)
            assert (out.returncode, out.stdout, out.stderr) == (0, "no answer\n", "")
