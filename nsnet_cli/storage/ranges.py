"""Reads one video of a store by ranges of bytes: what the reader asks for, and ahead of it what it says it will want.

A reader asks for few bytes at many places: the index, then key frames. Each place costs a request, so a request brings
more than is asked for: the more, the longer bytes are read in a row. Once the reader knows its plan it names the ranges
that it will want; those that lie near each other become one request, and some requests are always under way ahead.
"""

from __future__ import annotations

import concurrent.futures
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from nsnet_cli.errors import VideoError
from nsnet_cli.storage import stores
from nsnet_cli.storage.faults import Fault
from nsnet_cli.storage.spool import Spool
from nsnet_cli.storage.stat import Stat
from nsnet_cli.storage.urls import Url

T = TypeVar("T")
log = logging.getLogger(__name__)

FIRST_BYTES = 512 << 10
"""The first request: the index of most videos, if it is in front."""
ROW_BYTES = (64 << 10, 8 << 20)
"""A request at another place, and the longest one of bytes in a row. Each is twice as long as the one before."""
TAIL_BYTES = 2 << 20
"""A request so near the end goes on to the end: indexes lie there."""
SMALL_BYTES = 2 << 20
"""Videos up to this size come in one request."""
KEEP_BYTES = 32 << 20
"""Most bytes to keep of one video, and the longest video that is read whole into memory."""
NEAR_BYTES = 128 << 10
"""Ranges so near each other become one: a request takes about as long as these bytes."""
AHEAD = 6
"""Requests under way ahead of the reader."""
MANY = 12
"""Most ranges of one request, where a server takes several."""


@dataclass(slots=True)
class _Piece:
    start: int
    end: int
    data: concurrent.futures.Future[list[bytes]]
    """What one request brings: the bytes of this piece, and maybe of others."""
    place: int = 0
    """Which of them are those of this piece."""
    used: float = 0.0
    """When it was read last; 0: not yet."""


class RangeReader:
    """The bytes of one video. Use it in one thread. `limit_s`: how long reading may keep its caller waiting in all."""

    def __init__(self, url: Url, limit_s: float | None = None) -> None:
        """Asks for the first bytes without waiting for them. Raises UsageError if something is not installed."""
        stores.filesystem(url)
        self.url, self._left_s = url, limit_s
        self.requests = 0
        self._pieces: list[_Piece] = []
        self._wanted: list[tuple[int, int]] = []
        self._row = ROW_BYTES[0]
        self._row_end = -1
        self._spool: Spool | None = None
        known = url.source
        self._version = Stat(known.size_bytes, known.etag, known.mtime_ns) if known and known.size_bytes else None
        if self._version is not None:
            self._first()

    # ---- what a reader asks ----

    @property
    def size_bytes(self) -> int:
        size = self._stat().size_bytes
        if size is None:  # the server does not tell: all of it has to come first
            self.whole()
            assert self._spool is not None
            return self._told(self._spool.size)
        return size

    def read(self, offset: int, count: int) -> bytes:
        """Returns at least one byte and at most `count` from `offset` on, or none at the end. Raises VideoError."""
        size, count = self.size_bytes, min(count, ROW_BYTES[1])
        if offset >= size or count <= 0:
            return b""
        if self._spool is None:
            try:
                return self._from_pieces(offset, count, size)
            except Fault as fault:
                if fault.kind != "range_refused" or not self.url.web:
                    raise fault.error(self.url) from None
                self._give_up_ranges(fault)
        spool = self._spool
        assert spool is not None
        return self._told(lambda: spool.read(offset, min(count, size - offset)))

    def want(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Says which ranges (start, end) will be read, in this order. They are asked for ahead."""
        if self._spool is None:
            here = [piece for piece in self._pieces if not piece.data.done() or piece.data.exception() is None]
            missing = [r for r in ranges if not any(p.start <= r[0] and r[1] <= p.end for p in here)]
            self._wanted = together([*self._wanted, *missing])
            self._ahead()

    def whole(self) -> None:
        """Says that all of it will be read, and more than once: the container has no index."""
        version = self._stat()
        if self._spool is not None or self._covered(0, version.size_bytes):
            return
        if version.size_bytes is not None and version.size_bytes <= KEEP_BYTES:
            self._pieces.clear()
            self._ask((0, version.size_bytes))
            return
        self._copy("it has no index")

    def close(self) -> None:
        for piece in self._pieces:
            piece.data.cancel()
        self._pieces.clear()
        if self._spool is not None:
            self._spool.close()

    # ---- parts ----

    def _stat(self) -> Stat:
        if self._version is None:
            self.requests += 1
            try:
                self._version = self._wait(stores.run(stores.tried(lambda: stores.stat(self.url))))
            except Fault as fault:
                raise fault.error(self.url) from None
            if not self._version.ranges:
                self._copy("its server ignores ranges")
            else:
                self._first()
        return self._version

    def _first(self) -> None:
        assert self._version is not None
        size = self._version.size_bytes or 0
        if size:
            self._ask((0, size if size <= SMALL_BYTES else FIRST_BYTES))

    def _from_pieces(self, offset: int, count: int, size: int) -> bytes:
        piece = self._at(offset) or self._more(offset, count, size)
        data = self._wait(piece.data)[piece.place]
        piece.used = time.monotonic()
        self._ahead()
        at = offset - piece.start
        return data[at : at + count]

    def _at(self, offset: int) -> _Piece | None:
        return next((piece for piece in self._pieces if piece.start <= offset < piece.end), None)

    def _covered(self, start: int, end: int | None) -> bool:
        return end is not None and any(piece.start <= start and end <= piece.end for piece in self._pieces)

    def _more(self, offset: int, count: int, size: int) -> _Piece:
        """Asks for what no request has brought: ranges that are wanted, or more of bytes in a row, or a new place."""
        for place, (start, end) in enumerate(self._wanted):
            if start <= offset < end:  # another decoder is further ahead, or behind
                return self._ask(*self._take(place))
        in_a_row = offset == self._row_end or any(piece.end == offset for piece in self._pieces)
        self._row = min(2 * self._row, ROW_BYTES[1]) if in_a_row else ROW_BYTES[0]
        end = size if size - offset <= TAIL_BYTES else min(size, offset + max(count, self._row))
        end = min([end, *(piece.start for piece in self._pieces if piece.start > offset)])
        self._row_end = end
        return self._ask((offset, end))

    def _ask(self, *ranges: tuple[int, int]) -> _Piece:
        """Asks for ranges in one request, and returns the piece of the first."""
        assert self._version is not None
        version, count = self._version, sum(end - start for start, end in ranges)
        self.requests += 1
        log.debug("%s: bytes %s", self.url, ranges)
        make = stores.tried(lambda: stores.read_many(self.url, ranges, version), stores.READ_S, stores.READ_S)
        data = stores.run(make)
        self._forget(count)
        self._pieces += [_Piece(start, end, data, place) for place, (start, end) in enumerate(ranges)]
        return self._pieces[-len(ranges)]

    def _forget(self, more: int) -> None:
        """Drops the pieces that were used longest ago, so that memory stays bounded."""
        held = sum(piece.end - piece.start for piece in self._pieces) + more
        for piece in sorted((piece for piece in self._pieces if piece.used), key=lambda piece: piece.used):
            if held <= KEEP_BYTES:
                return
            self._pieces.remove(piece)
            held -= piece.end - piece.start

    def _ahead(self) -> None:
        """Keeps requests under way for what will be wanted, as far as memory allows."""
        while self._wanted:
            under_way = len({id(piece.data) for piece in self._pieces if not piece.data.done()})
            unread = sum(piece.end - piece.start for piece in self._pieces if not piece.used)
            many = stores.takes_many(self.url)
            if under_way >= (1 if many is None else AHEAD) or unread > KEEP_BYTES // 2:
                return
            self._ask(*self._take(0))

    def _take(self, place: int) -> list[tuple[int, int]]:
        """Takes the wanted ranges of one request, from this one on."""
        end = place + (1 if stores.takes_many(self.url) is False else MANY)
        taken = self._wanted[place:end]
        del self._wanted[place:end]
        return taken

    def _give_up_ranges(self, fault: Fault) -> None:
        if not fault.words.endswith("ignores ranges"):
            raise fault.error(self.url) from None
        assert self._version is not None
        self._version = replace(self._version, ranges=False)
        self._pieces.clear()
        self._wanted.clear()
        self._copy("its server ignores ranges")

    def _copy(self, why: str) -> None:
        """Reads all of it, in one request, into a temporary file."""
        assert self._version is not None
        size = self._version.size_bytes
        told = f"{size / 1e6:.0f} MB" if size else "of unknown size"
        log.info("%s: %s, so all of it is read (%s), through a temporary file", self.url, why, told)
        self.requests += 1
        try:
            self._spool = Spool(self.url, self._version)
        except Fault as fault:
            raise fault.error(self.url) from None

    def _told(self, call: Callable[[], T]) -> T:
        started = time.monotonic()
        try:
            return call()
        except Fault as fault:
            raise fault.error(self.url) from None
        finally:
            self._spend(time.monotonic() - started)

    def _wait(self, future: concurrent.futures.Future[T]) -> T:
        """The outcome of a request. Raises Fault, and VideoError once all waiting for this video took too long."""
        started = time.monotonic()
        try:
            return future.result(None if self._left_s is None else max(0.1, self._left_s))
        except concurrent.futures.TimeoutError:
            future.cancel()
            raise self._too_slow() from None
        finally:
            self._spend(time.monotonic() - started)

    def _spend(self, seconds: float) -> None:
        if self._left_s is not None:
            self._left_s -= seconds
            if self._left_s <= 0:
                raise self._too_slow()

    def _too_slow(self) -> VideoError:
        return VideoError(f"{self.url}: the store is too slow for its limit", "raise --timeout", "store_timeout")


def together(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Joins ranges that lie near each other, in order of their place."""
    out: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if out and start - out[-1][1] <= NEAR_BYTES:
            out[-1] = (out[-1][0], max(out[-1][1], end))
        else:
            out.append((start, end))
    return out
