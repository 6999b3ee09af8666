"""Writes to stdout and stderr completely, or raises an error.

Python's own streams promise less. An unbuffered one (PYTHONUNBUFFERED, usual in containers) drops what the system did
not take at once, which happens at the end of a disk, or on a full pipe that another program made non-blocking.
"""

from __future__ import annotations

import io
import os
import select
import sys
from typing import IO


def write_all(stream: IO[str], data: bytes) -> None:
    """Writes all of `data`, waiting until the reader takes it. Raises OSError."""
    try:
        descriptor = stream.fileno()
    except (AttributeError, OSError, ValueError):  # a StringIO instead of a stream
        stream.write(data.decode("utf-8", "replace"))
        return
    stream.flush()
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll()


def buffer_stdout() -> None:
    """Buffers an unbuffered stdout, for code that prints without `write_all` (the help)."""
    if isinstance(getattr(sys.stdout, "buffer", None), io.RawIOBase):
        sys.stdout = open(  # noqa: SIM115  it stays open until the process ends
            sys.stdout.fileno(), "w", encoding=sys.stdout.encoding, errors=sys.stdout.errors, closefd=False
        )
