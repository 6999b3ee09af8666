"""Readers for decode processes of Ray's actors: one that ends its actor, and one that needs no video."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from readers import scripted

from nsnet_cli.media import ReadOptions
from nsnet_cli.video import read_video


@scripted
def deadly(path: Path, options: ReadOptions) -> Iterator[object]:
    """Reads a video. One with "deadly" in its name kills the actor, as a crash in a network does."""
    if "deadly" in path.name:
        time.sleep(0.5)  # other videos are in work too
        os.kill(os.getppid(), signal.SIGKILL)
    yield from read_video(path, options)
