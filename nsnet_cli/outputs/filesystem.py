"""What a file system supports: locks and file names."""

from __future__ import annotations

import os
import time
from pathlib import Path

LOCK_S = 5.0
"""How long a run waits for another one that writes to the same folder. A stopped run (Ctrl-Z) keeps its lock."""
ODD_NAME = '?:*<>|"\\\x01\udcff. '
"""Has every kind of character that some file system refuses or drops."""


def lock(descriptor: int) -> bool:
    """Locks a folder until the descriptor is closed. False: no locks here, or another process has kept it too long."""
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
    """Whether a file in `folder` can have exactly this name."""
    path = folder / name
    try:
        path.write_bytes(b"")
    except (OSError, ValueError):
        return False
    try:
        return name in os.listdir(folder)  # noqa: PTH208
    finally:
        path.unlink(missing_ok=True)
