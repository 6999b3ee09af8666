"""A reader whose process dies at its first start, as one that the kernel kills when memory is short."""

import os
from pathlib import Path

from nsnet_cli.video import read_video

once = Path(os.environ["FAULT_READERS_COUNT"])
if not once.exists():
    once.touch()
    os._exit(9)

__all__ = ["read_video"]
