"""A reader whose process dies in its first starts, as if the kernel killed it for lack of memory.

FAULT_READERS_DEATHS says how many starts die. Each adds a byte to the file FAULT_READERS_COUNT.
"""

import os
from pathlib import Path

from nsnet_cli.video import open_video

deaths = Path(os.environ["FAULT_READERS_COUNT"])
if not deaths.exists() or deaths.stat().st_size < int(os.environ.get("FAULT_READERS_DEATHS", "1")):
    with deaths.open("a") as handle:
        handle.write("x")
    os._exit(9)

__all__ = ["open_video"]
