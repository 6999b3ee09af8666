"""The usable cores are those that this process was given, not all of the machine."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from nsnet_cli.cores import usable_cores


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system gives every process all cores")
def test_a_process_limited_to_one_core_uses_one() -> None:
    code = (
        "import os; from nsnet_cli.cores import usable_cores;"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); print(usable_cores())"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "1" and usable_cores() == len(os.sched_getaffinity(0))
