"""Writing to stdout and stderr whole: all of it, or an error.

Python's own stream promises less. Unbuffered (PYTHONUNBUFFERED, usual in containers) it drops what the system did not
take at once: the disk's last bytes, a pipe that is full and was made non-blocking by a program that shares it.
"""

from __future__ import annotations

import io
import os
import select
import sys
from typing import IO


def write_all(stream: IO[str], data: bytes) -> None:
    """Write all of `data`, waiting for room as long as it takes. Raises OSError."""
    try:
        descriptor = stream.fileno()
    except (AttributeError, OSError, ValueError):  # a StringIO in a stream's place
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
    """For those who print without `write_all` (the help): a buffer between them and an unbuffered stdout."""
    if isinstance(getattr(sys.stdout, "buffer", None), io.RawIOBase):
        sys.stdout = open(  # noqa: SIM115  it stays open until the process ends
            sys.stdout.fileno(), "w", encoding=sys.stdout.encoding, errors=sys.stdout.errors, closefd=False
        )
