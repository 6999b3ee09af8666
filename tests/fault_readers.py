"""Readers that fail as a decoder might, for a DecodePool to survive. They are named as in "fault_readers:hang"."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from readers import scripted

from nsnet_cli.errors import VideoError
from nsnet_cli.media import FrameBatch, ReadOptions
from nsnet_cli.video import read_video


@scripted
def hang(path: Path, options: ReadOptions) -> Iterator[object]:
    """Sleeps in C without releasing the interpreter lock, as decord does on some files."""
    yield from _sound_start(path, options)
    ctypes.PyDLL(None).sleep(1000)


@scripted
def stop(path: Path, options: ReadOptions) -> Iterator[object]:
    """Stops, like a process that the kernel no longer schedules."""
    yield from _sound_start(path, options)
    os.kill(os.getpid(), signal.SIGSTOP)


@scripted
def segfault(path: Path, options: ReadOptions) -> Iterator[object]:
    yield from _sound_start(path, options)
    ctypes.string_at(0)


@scripted
def abort(path: Path, options: ReadOptions) -> Iterator[object]:
    yield from _sound_start(path, options)
    print("codec: assertion failed", file=sys.stderr, flush=True)
    os.abort()


@scripted
def leak(path: Path, options: ReadOptions) -> Iterator[object]:
    """Allocates memory until there is none."""
    yield from _sound_start(path, options)
    kept = []
    while True:
        kept.append(np.ones(16 << 20, np.uint8))


@scripted
def broken(path: Path, options: ReadOptions) -> Iterator[object]:
    """Raises, as a bug in a reader would."""
    yield from _sound_start(path, options)
    raise ZeroDivisionError("one over nothing")


@scripted
def many(path: Path, options: ReadOptions) -> Iterator[object]:
    """Yields batches without end, to see how far a worker runs ahead of its consumer."""
    yield from _sound_start(path, options)
    for i in range(1_000_000):
        Path(os.environ["FAULT_READERS_COUNT"]).write_text(str(i))
        yield FrameBatch(np.zeros((16, 256, 256, 3), np.uint8), np.arange(16.0) + 16 * i)


@scripted
def plenty(path: Path, options: ReadOptions) -> Iterator[object]:
    """Yields more than socket and queue hold: it decodes and sends while its consumer does other things."""
    messages = list(read_video(path, options))
    yield messages[0]
    for i in range(24):
        yield FrameBatch(np.zeros((16, 256, 256, 3), np.uint8), np.arange(16.0) + 16 * i)
    yield messages[-1]


@scripted
def unsendable(path: Path, options: ReadOptions) -> Iterator[object]:
    """Yields something that cannot be sent to another process."""
    yield from _sound_start(path, options)
    yield lambda: None
    time.sleep(1000)


@scripted
def eio(path: Path, options: ReadOptions) -> Iterator[object]:
    """Fails in the middle, like a broken disk."""
    yield from _sound_start(path, options)
    raise OSError(errno.EIO, os.strerror(errno.EIO))


@scripted
def modules(path: Path, options: ReadOptions) -> Iterator[object]:
    """Reads the video, then lists the imported modules."""
    list(read_video(path, options))
    raise VideoError(" ".join(sys.modules))
    yield


def _sound_start(path: Path, options: ReadOptions) -> Iterator[object]:
    messages = read_video(path, options)
    yield next(messages)
    yield next(messages)
    time.sleep(0.3)  # another thread sends what was yielded, and a fault would stop it too
