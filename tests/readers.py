"""Helpers of tests that read videos: a pool in this process, and a reader's answers in one iterator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nsnet_cli.media import DecodeReport, FrameBatch, ReadOptions, VideoHeader
from nsnet_cli.video import open_video
from nsnet_cli.video.pool import DecodePool
from nsnet_cli.video.reader import VideoReader

Item = VideoHeader | FrameBatch | DecodeReport


class Scripted:
    """A VideoReader that plays what a generator yields: a header, batches, a report."""

    report: DecodeReport

    def __init__(self, items: Iterator[Any]) -> None:
        header = next(items)
        self.info, self.plan, self._items = header.info, header.plan, items

    def preview(self) -> Iterator[Any]:
        for item in self._items:
            if isinstance(item, DecodeReport):
                self.report = item
            else:
                yield item

    def close(self) -> None: ...

    def __enter__(self) -> Scripted:
        return self

    def __exit__(self, *error: object) -> None: ...


def scripted(script: Callable[[Path, ReadOptions], Iterator[Any]]) -> Callable[[Path, ReadOptions], Scripted]:
    """An `open_video` whose readers play what `script` yields."""
    return lambda path, options: Scripted(script(path, options))


class LocalPool:
    """A DecodePool's shape without processes: no deadline, no protection."""

    killed = False

    def open(self, path: Path, options: ReadOptions) -> VideoReader:
        return open_video(path, options)

    def kill(self) -> None:
        self.killed = True

    def close(self) -> None: ...


def process_of(pool: DecodePool) -> int | None:
    """The number of a pool's only process, or None if none is alive."""
    return next(iter(pool.pids), None)


def read(pool: DecodePool, path: Path, options: ReadOptions, timeout_s: float | None = None) -> Iterator[Item]:
    """Everything that a pool's process sends for one video: header, batches, report."""
    pool.timeout_s = timeout_s
    with pool.open(path, options) as video:
        yield VideoHeader(video.info, video.plan)
        yield from video.preview()
        yield video.report
