"""What a file system can do: locks, and the names that it takes."""

from __future__ import annotations

import os
import time
from pathlib import Path

LOCK_S = 5.0
"""How long a run waits for another one that writes into the same folder. A stopped one (Ctrl-Z) keeps its lock."""
ODD_NAME = '?:*<>|"\\\x01\udcff. '
"""Of everything that some file system refuses or drops."""


def lock(descriptor: int) -> bool:
    """Whether the folder is this process's until the descriptor is closed. False: no locks, or no patience left."""
    try:
        import fcntl
    except ImportError:
        return False
    deadline = time.monotonic() + LOCK_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        except OSError:
            return False


def takes(folder: Path, name: str) -> bool:
    """Whether a file can have this very name here."""
    path = folder / name
    try:
        path.write_bytes(b"")
    except (OSError, ValueError):
        return False
    try:
        return name in os.listdir(folder)  # noqa: PTH208
    finally:
        path.unlink(missing_ok=True)
