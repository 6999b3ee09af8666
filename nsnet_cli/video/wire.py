"""Messages between a decode worker and its parent: a pickled object, then raw pixels that are not pickled.

The sockets stay blocking. A timeout for receiving would apply to sending too, and a receiver that is busy for longer
would lose the video.
"""

from __future__ import annotations

import pickle
import select
import socket
import struct
import time
from typing import Any

from nsnet_cli.bounded import SLICE_S
from nsnet_cli.media import FrameBatch
from nsnet_cli.records import dataclass

_LENGTHS = struct.Struct("<QQ")


@dataclass(frozen=True, slots=True)
class Ask:
    """A decode process asks its parent for bytes of a video in a store, and waits for the reply."""

    what: tuple[Any, ...]
    """("size",), ("read", offset, count), ("want", ranges) or ("whole",)"""


class Deadline:
    """Seconds left for waiting. Only waiting counts, not what the receiver does between messages."""

    def __init__(self, seconds: float | None) -> None:
        self.left_s = seconds
        self.waited_s = 0.0

    def spend(self, seconds: float) -> None:
        self.waited_s += seconds
        if self.left_s is not None:
            self.left_s -= seconds

    def timeout(self) -> float | None:
        if self.left_s is None:
            return None
        if self.left_s <= 0:
            raise TimeoutError
        return self.left_s


def send(sock: socket.socket, message: object) -> None:
    """Sends a message. Blocks until the peer can take it, for ever if need be. Raises OSError if the peer is gone."""
    pixels: bytes | memoryview = b""
    if isinstance(message, FrameBatch):
        import numpy as np  # here and below: a parent starts its workers before it imports numpy

        pixels = np.ascontiguousarray(message.pixels).reshape(-1).data
        message = (message.pixels.shape, message.pts_s, message.jpegs, message.frames_decoded)
    body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    sock.sendall(_LENGTHS.pack(len(body), len(pixels)) + body)
    if len(pixels):
        sock.sendall(pixels)


def receive(sock: socket.socket, deadline: Deadline | None = None) -> Any:
    """Returns the next message. Raises EOFError if the peer is gone, TimeoutError if the deadline has passed."""
    deadline = deadline or Deadline(None)
    body_bytes, pixel_bytes = _LENGTHS.unpack(_exactly(sock, _LENGTHS.size, deadline))
    message = pickle.loads(_exactly(sock, body_bytes, deadline))
    if not pixel_bytes:
        return message
    import numpy as np

    shape, *rest = message
    pixels = np.empty(shape, np.uint8)
    _fill(sock, pixels.reshape(-1).data, deadline)
    return FrameBatch(pixels, *rest)


def _exactly(sock: socket.socket, count: int, deadline: Deadline) -> bytearray:
    data = bytearray(count)
    _fill(sock, memoryview(data), deadline)
    return data


def _fill(sock: socket.socket, view: memoryview, deadline: Deadline) -> None:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    done = 0
    while done < len(view):
        left_s = deadline.timeout()
        started = time.monotonic()
        arrived = poll.poll(1000 * (SLICE_S if left_s is None else min(left_s, SLICE_S)))
        deadline.spend(min(time.monotonic() - started, SLICE_S))
        if not arrived:
            continue
        try:
            got = sock.recv_into(view[done:])
        except ConnectionError:
            got = 0
        if not got:
            raise EOFError("the other side is gone")
        done += got
