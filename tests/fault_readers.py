"""Readers that fail as a decoder might, for a DecodePool to survive; it knows them as "fault_readers:hang"."""

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
    """Sleep in C without giving the interpreter lock back, as decord does on some files."""
    yield from _sound_start(path, options)
    ctypes.PyDLL(None).sleep(1000)


@scripted
def stop(path: Path, options: ReadOptions) -> Iterator[object]:
    """As a process that the kernel no longer schedules."""
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
    """Ask for memory until there is none."""
    yield from _sound_start(path, options)
    kept = []
    while True:
        kept.append(np.ones(16 << 20, np.uint8))


@scripted
def broken(path: Path, options: ReadOptions) -> Iterator[object]:
    """A mistake in a reader."""
    yield from _sound_start(path, options)
    raise ZeroDivisionError("one over nothing")


@scripted
def many(path: Path, options: ReadOptions) -> Iterator[object]:
    """Batches without end: how far ahead of its consumer does a worker run?"""
    yield from _sound_start(path, options)
    for i in range(1_000_000):
        Path(os.environ["FAULT_READERS_COUNT"]).write_text(str(i))
        yield FrameBatch(np.zeros((16, 256, 256, 3), np.uint8), np.arange(16.0) + 16 * i)


@scripted
def plenty(path: Path, options: ReadOptions) -> Iterator[object]:
    """More than the socket and the queue hold: it is decoding and sending while its consumer does other things."""
    messages = list(read_video(path, options))
    yield messages[0]
    for i in range(24):
        yield FrameBatch(np.zeros((16, 256, 256, 3), np.uint8), np.arange(16.0) + 16 * i)
    yield messages[-1]


@scripted
def unsendable(path: Path, options: ReadOptions) -> Iterator[object]:
    """What cannot cross the border between the processes."""
    yield from _sound_start(path, options)
    yield lambda: None
    time.sleep(1000)


@scripted
def eio(path: Path, options: ReadOptions) -> Iterator[object]:
    """A disk that fails in the middle."""
    yield from _sound_start(path, options)
    raise OSError(errno.EIO, os.strerror(errno.EIO))


@scripted
def modules(path: Path, options: ReadOptions) -> Iterator[object]:
    """Read for real, then tell what has been imported."""
    list(read_video(path, options))
    raise VideoError(" ".join(sys.modules))
    yield


def _sound_start(path: Path, options: ReadOptions) -> Iterator[object]:
    messages = read_video(path, options)
    yield next(messages)
    yield next(messages)
    time.sleep(0.3)  # what has been given is sent by another thread, which a fault would stop too
