"""A disk that stops answering: a file system of one folder, served through /dev/fuse by `python hung_disk.py FOLDER`.

Files whose name begins with "hung-open" never open, and those with "hung-stat" never answer a stat. The kernel holds
every process that tries, even a killed one, until this program ends. All other files are empty.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

LOOKUP, FORGET, GETATTR, OPEN, INIT, INTERRUPT, BATCH_FORGET = 1, 2, 3, 14, 26, 36, 42
HEADER = struct.Struct("<IIQQIIII")
MNT_DETACH = 2


@contextlib.contextmanager
def hung_disk(folder: Path) -> Iterator[Path]:
    """Mounts the disk at `folder` until the block ends. Then the processes that it held go on."""
    folder.mkdir()
    server = subprocess.Popen([sys.executable, __file__, str(folder)], stdout=subprocess.PIPE, encoding="utf-8")
    assert server.stdout is not None
    if server.stdout.readline() != "mounted\n":
        server.wait()
        pytest.skip("needs /dev/fuse and the right to mount (root)")
    try:
        yield folder
    finally:
        server.kill()
        server.wait()
        ctypes.CDLL(None).umount2(os.fsencode(folder), MNT_DETACH)


def serve(folder: str) -> None:
    try:
        device = os.open("/dev/fuse", os.O_RDWR)
    except OSError:
        return
    options = f"fd={device},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}".encode()
    if ctypes.CDLL(None).mount(b"hung", os.fsencode(folder), b"fuse", 0, options) != 0:
        return
    print("mounted", flush=True)
    names: dict[int, bytes] = {}
    while True:
        request = os.read(device, 1 << 20)
        _, opcode, unique, node, *_ = HEADER.unpack_from(request)
        answer = _answer(opcode, node, request[HEADER.size :], names)
        if answer is not None:
            error, body = answer
            os.write(device, struct.pack("<IiQ", 16 + len(body), -error, unique) + body)


def _answer(opcode: int, node: int, body: bytes, names: dict[int, bytes]) -> tuple[int, bytes] | None:
    """Error number and body. None: it never answers."""
    if opcode == INIT:
        return 0, struct.pack("<IIIIHHII", 7, 31, 65536, 0, 1, 1, 65536, 1).ljust(64, b"\0")
    if opcode == LOOKUP:
        name = body.rstrip(b"\0")
        if name.startswith(b"hung-stat"):
            return None
        names[len(names) + 2] = name
        return 0, struct.pack("<QQQQII", len(names) + 1, 0, 0, 0, 0, 0) + _attributes(len(names) + 1)
    if opcode == GETATTR:
        return 0, struct.pack("<QII", 0, 0, 0) + _attributes(node)
    if opcode == OPEN:
        return None if names[node].startswith(b"hung-open") else (0, bytes(16))
    if opcode in (FORGET, INTERRUPT, BATCH_FORGET):
        return None
    return errno.ENOSYS, b""


def _attributes(node: int) -> bytes:
    mode = stat.S_IFDIR | 0o755 if node == 1 else stat.S_IFREG | 0o644
    return struct.pack("<6Q10I", node, 4096, 8, 0, 0, 0, 0, 0, 0, mode, 1, os.getuid(), os.getgid(), 0, 4096, 0)


if __name__ == "__main__":
    serve(sys.argv[1])
