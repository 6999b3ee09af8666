"""Requests to web servers, on the session of fsspec's own file system: its credentials and settings hold here too."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from email.utils import parsedate_to_datetime
from typing import Any

from nsnet_cli.storage.faults import Fault, of_status
from nsnet_cli.storage.stat import Stat, ns
from nsnet_cli.storage.urls import Url

PART = re.compile(rb"\r\ncontent-range:\s*bytes\s+(\d+)-(\d+)/", re.IGNORECASE)


def _request(fs: Any, asked: str, version: Stat | None) -> dict[str, Any]:
    more = {name: value for name, value in fs.kwargs.items() if name != "headers"}
    headers = {**fs.kwargs.get("headers", {}), "Range": f"bytes={asked}", "Accept-Encoding": "identity"}
    if version is not None and version.etag and not version.etag.startswith("W/"):  # a weak one never matches
        headers["If-Match"] = version.etag
    return {**more, "headers": headers}


async def head(fs: Any, url: Url, count: int) -> tuple[Stat, bytes]:
    """Asks for the first bytes, not by HEAD: a URL signed for GET allows nothing else."""
    session = await fs.set_session()
    async with session.get(fs.encode_url(url.full), **_request(fs, f"0-{count - 1}", None)) as answer:
        told = answer.headers.get("Content-Range", "").rpartition("/")[2]
        if answer.status == 416 and told == "0":
            return Stat(0), b""
        if answer.status not in (200, 206):
            raise of_status(answer.status, answer.headers.get("Retry-After"))
        size = told if answer.status == 206 else answer.headers.get("Content-Length", "")
        data = await answer.content.read(count)
        whole = int(size) if size.isdecimal() else None
        if answer.status == 200:
            answer.close()  # not the rest of it
        return Stat(whole, answer.headers.get("ETag"), _modified(answer), answer.status == 206), data


def _modified(answer: Any) -> int | None:
    try:
        return ns(parsedate_to_datetime(answer.headers["Last-Modified"]))
    except (KeyError, ValueError, TypeError):
        return None


async def stream(fs: Any, url: Url, start: int, end: int | None, version: Stat) -> AsyncIterator[bytes]:
    session = await fs.set_session()
    asked = f"{start}-{end - 1 if end is not None else ''}"
    async with session.get(fs.encode_url(url.full), **_request(fs, asked, version)) as answer:
        if answer.status not in (200, 206):
            raise of_status(answer.status, answer.headers.get("Retry-After"))
        if answer.status == 200 and (start or end is not None):
            answer.close()
            raise Fault("range_refused", "the server ignores ranges", hint="copy the video here")
        told = answer.headers.get("Content-Range", "").rpartition("/")[2]
        resized = told.isdecimal() and version.size_bytes is not None and int(told) != version.size_bytes
        if resized:
            answer.close()
            raise of_status(412)
        _check_version(answer, version)
        async for part in answer.content.iter_chunked(1 << 18):
            yield part


async def read_many(fs: Any, url: Url, ranges: Sequence[tuple[int, int]], version: Stat) -> list[bytes] | None:
    """The bytes of several ranges in one request. None: this server does not do that."""
    session = await fs.set_session()
    asked = ",".join(f"{start}-{end - 1}" for start, end in ranges)
    async with session.get(fs.encode_url(url.full), **_request(fs, asked, version)) as answer:
        several = answer.headers.get("Content-Type", "").lower().startswith("multipart/byteranges")
        if answer.status in (200, 400, 416, 501) or (answer.status == 206 and not several):
            answer.close()  # all of it, or one range alone
            return None
        if answer.status != 206:
            raise of_status(answer.status, answer.headers.get("Retry-After"))
        _check_version(answer, version)
        body = await answer.read()
    parts = _parts(body)
    found = []
    for start, end in ranges:
        part = next(((at, data) for at, data in parts if at <= start and end <= at + len(data)), None)
        if part is None:
            return None
        found.append(part[1][start - part[0] : end - part[0]])
    return found


def _parts(body: bytes) -> list[tuple[int, bytes]]:
    """The ranges in a body of the type multipart/byteranges: where each begins, and its bytes."""
    parts, at = [], 0
    while found := PART.search(body, at):
        data = body.find(b"\r\n\r\n", found.start() + 2) + 4
        start, last = int(found[1]), int(found[2])
        at = data + last + 1 - start
        if data < 4 or at > len(body):
            break
        parts.append((start, body[data:at]))
    return parts


def _check_version(answer: Any, version: Stat) -> None:
    """Raises Fault if the answer is of another version of the file."""
    if version.etag:
        same = answer.headers.get("ETag", version.etag) == version.etag
    else:
        same = version.mtime_ns is None or _modified(answer) in (None, version.mtime_ns)
    if not same:
        answer.close()
        raise of_status(412)
