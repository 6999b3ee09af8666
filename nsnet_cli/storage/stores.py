"""Reaches a store through fsspec, with the credentials that fsspec finds by its own ways. The only user of fsspec.

All requests are coroutines on fsspec's own thread, so that many of them can be under way at once. Each is tried again
after a pause where that may help.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from importlib import import_module
from typing import Any, TypeVar

from nsnet_cli.errors import UsageError
from nsnet_cli.storage import web
from nsnet_cli.storage.faults import Fault, fault_of, of_status
from nsnet_cli.storage.stat import Stat, ns
from nsnet_cli.storage.urls import Url

T = TypeVar("T")
PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "http": "aiohttp", "https": "aiohttp"}
"""What `nsnet[remote]` installs, by protocol."""
BY_NAME = {"gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs", "abfss": "adlfs"}
"""What is installed by name only."""
PAUSES_S = (0.2, 0.5, 1.0, 2.0, 4.0)
"""Before the second try, the third, and so on."""
REQUEST_S = 30.0
"""Longest time for one try of a small request."""
LIST_S = 3600.0
"""Longest time to list a prefix with millions of files."""
READ_S = 60.0
"""Longest time for one range, with all tries."""
PIECE_BYTES = 8 << 20
"""How much of a stream is asked for at once where a store gives no streams."""
AT_ONCE = 32
"""Most requests under way for a list of URLs."""

_takes_many: dict[str, bool] = {}
"""By host of a web server: whether it gives several ranges in one answer."""
_stores: dict[tuple[str, bool, str], Any] = {}


# ---- a file system --------------------------------------------------------------------------------------------------


def filesystem(url: Url) -> Any:
    """The file system of a URL. Raises UsageError that says what to install."""
    ready = url.full.isascii() and " " not in url.full  # then its percent signs are those that the server wants
    key = (url.protocol, ready and url.web, "" if _hosts_alike(url) else url.full.split("/")[2])
    if key not in _stores:
        _stores[key] = _opened(url, encoded=key[1])
    return _stores[key]


def _hosts_alike(url: Url) -> bool:
    """Whether one file system serves all hosts or buckets."""
    return url.protocol in PACKAGES or url.protocol in BY_NAME


def _opened(url: Url, encoded: bool) -> Any:
    protocol = url.protocol
    package = PACKAGES.get(protocol)
    try:
        import fsspec

        if package:
            import_module(package)
        kind = fsspec.get_filesystem_class(protocol)
    except ImportError as error:
        name = BY_NAME.get(protocol)
        install = f"pip install {name}" if name and error.name != "fsspec" else "pip install 'nsnet[remote]'"
        words = f"{protocol}:// needs a package that is not installed: {error.name or name}"
        raise UsageError(words, install) from None
    except ValueError:
        raise UsageError(f"{protocol}:// is no protocol of fsspec", "give s3://, https:// or a path") from None
    settings: dict[str, Any] = {} if _hosts_alike(url) else kind._get_kwargs_from_urls(url.full)
    if url.web:
        own = fsspec.config.conf.get(protocol, {}).get("client_kwargs", {})
        settings = {"encoded": encoded, "client_kwargs": {"trust_env": True, **own}}  # proxies of the environment
    made = kind(skip_instance_cache=True, use_listings_cache=False, **settings)
    if protocol in ("s3", "s3a"):
        made.retries = 1  # tried again here, so that all stores have the same patience
    return made


def run(work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
    """Starts a coroutine on fsspec's thread."""
    from fsspec.asyn import get_loop

    return asyncio.run_coroutine_threadsafe(work, get_loop())


async def tried(
    make: Callable[[], Awaitable[T]], request_s: float = 0.0, all_s: float = 0.0, forgive: bool = True
) -> T:
    """Returns what `make()` gives, after several tries if need be. Raises Fault.

    `request_s`: for one try, by default REQUEST_S; `all_s`: for all of them, by default READ_S.
    """
    request_s, end = request_s or REQUEST_S, time.monotonic() + (all_s or READ_S)
    for pause_s in (*PAUSES_S, None):
        try:
            return await asyncio.wait_for(make(), min(request_s, max(0.1, end - time.monotonic())))
        except Exception as error:
            fault = fault_of(error)
            pause_s = None if pause_s is None else max(pause_s * random.uniform(0.5, 1.5), fault.wait_s)
            if not (fault.again and forgive) or pause_s is None or time.monotonic() + pause_s > end:
                raise fault from error
        await asyncio.sleep(pause_s)
    raise AssertionError


async def pause(count: int) -> None:
    """Waits before another try, the longer the more there were."""
    await asyncio.sleep(PAUSES_S[min(count, len(PAUSES_S)) - 1])


def _inner(url: Url, fs: Any) -> str:
    """The name of the file as its file system takes it."""
    return str(fs._strip_protocol(url.full))


async def _call(fs: Any, name: str, *args: Any, **more: Any) -> Any:
    """Calls a method of any file system without blocking others."""
    if fs.async_impl:
        return await getattr(fs, f"_{name}")(*args, **more)
    return await asyncio.to_thread(getattr(fs, name), *args, **more)


# ---- one file -------------------------------------------------------------------------------------------------------


async def stat(url: Url) -> Stat:
    """What the store says of a file. Raises Fault; `is_directory` for a folder."""
    fs = filesystem(url)
    if url.web:
        return (await web.head(fs, url, 1))[0]
    info = await _call(fs, "info", _inner(url, fs))
    if info.get("type") == "directory":
        raise Fault("is_directory", "a folder, not a video")
    return stat_of(info)


def stat_of(info: dict[str, Any]) -> Stat:
    """What an entry of a listing says."""
    etag = info.get("ETag") or info.get("etag") or info.get("md5Hash")
    for name in ("LastModified", "last_modified", "updated", "mtime", "created"):
        if info.get(name) is not None:
            return Stat(info.get("size"), etag, ns(info[name]))
    return Stat(info.get("size"), etag)


async def entries(url: Url, pattern: bool = False) -> list[tuple[Url, str, Stat]]:
    """The files under a prefix, or that match a pattern: the URL of each, its path below the prefix, what it is."""
    fs = filesystem(url)
    inner = _inner(url, fs)
    call = ("glob", {}) if pattern else ("find", {"withdirs": False})
    found = await _call(fs, call[0], inner, detail=True, **call[1])
    root = _fixed(inner) if pattern else inner.rstrip("/") + "/"
    out = []
    for path, info in sorted(found.items()):
        below = path[len(root) :] if path.startswith(root) else path.rpartition("/")[2]
        if info.get("type") == "file" and not path.endswith("/"):
            out.append((Url(f"{_outer(url, inner)}{path}"), below, stat_of(info)))
    return out


def _fixed(pattern: str) -> str:
    """The folder part of a pattern before its first special character."""
    special = min(pattern.find(char) % (len(pattern) + 1) for char in "*?[")
    return pattern[: pattern[:special].rfind("/") + 1]


def _outer(url: Url, inner: str) -> str:
    """What stands before a file system's own name of a file in its URL: the protocol, and a host where there is one."""
    shown = url.shown.rstrip("/")
    return shown.removesuffix(inner.rstrip("/")) if shown.endswith(inner.rstrip("/")) else f"{url.protocol}://"


async def head(url: Url, count: int) -> bytes:
    """The first bytes of a file."""
    fs = filesystem(url)
    if url.web:
        return (await web.head(fs, url, count))[1]
    return bytes(await _call(fs, "cat_file", _inner(url, fs), start=0, end=count))


async def whole(url: Url) -> bytes:
    """All bytes of a small file."""
    fs = filesystem(url)
    return bytes(await _call(fs, "cat_file", _inner(url, fs)))


async def put(url: Url, data: bytes, replace: bool) -> None:
    """Writes a file in one step. If `replace` is False and it is there, raises Fault of the kind `changed`."""
    fs = filesystem(url)
    if replace:
        await _call(fs, "pipe_file", _inner(url, fs), data)
        return
    try:
        await _call(fs, "pipe_file", _inner(url, fs), data, mode="create")
    except FileExistsError:
        raise of_status(412) from None
    except NotImplementedError:
        await _call(fs, "pipe_file", _inner(url, fs), data)
    except Exception as error:
        if fault_of(error).words.endswith(" 501"):  # some stores know no conditions
            await _call(fs, "pipe_file", _inner(url, fs), data)
            return
        raise


async def remove(url: Url) -> None:
    fs = filesystem(url)
    await _call(fs, "rm_file", _inner(url, fs))


async def stream(url: Url, start: int, end: int | None, version: Stat) -> AsyncIterator[bytes]:
    """Yields the bytes from `start` to `end`. Raises Fault of the kind `changed` if it is another version by now."""
    fs = filesystem(url)
    if url.web:
        parts = web.stream(fs, url, start, end, version)
    elif hasattr(fs, "_call_s3"):
        parts = _s3_stream(fs, url, start, end, version)
    else:
        parts = _any_stream(fs, url, start, end, version)
    async for part in parts:
        yield part


async def read(url: Url, start: int, end: int, version: Stat) -> bytes:
    """The bytes from `start` to `end`, all of them. Raises Fault."""
    data = b"".join([part async for part in stream(url, start, end, version)])
    if len(data) != end - start:
        raise Fault("connection_cut", f"the store sent {len(data)} bytes of {end - start}", again=True)
    return data


async def read_many(url: Url, ranges: Sequence[tuple[int, int]], version: Stat) -> list[bytes]:
    """The bytes of several ranges: in one request if the server takes that, else in one request each. Raises Fault."""
    if len(ranges) > 1 and takes_many(url) is not False:
        found = await web.read_many(filesystem(url), url, ranges, version)
        _takes_many[_host(url)] = found is not None
        if found is not None:
            return found
    return list(await asyncio.gather(*(read(url, start, end, version) for start, end in ranges)))


def takes_many(url: Url) -> bool | None:
    """Whether one request can bring several ranges: only web servers do that, and not all. None: not tried yet."""
    return _takes_many.get(_host(url)) if url.web else False


def _host(url: Url) -> str:
    return url.shown.split("/")[2]


async def _s3_stream(fs: Any, url: Url, start: int, end: int | None, version: Stat) -> AsyncIterator[bytes]:
    bucket, key, _ = fs.split_path(_inner(url, fs))
    match = {"IfMatch": version.etag} if version.etag else {}
    asked = f"bytes={start}-{end - 1 if end else ''}"
    answer = await fs._call_s3("get_object", Bucket=bucket, Key=key, Range=asked, **match)
    if version.etag and answer.get("ETag") != version.etag:
        raise of_status(412)
    async with answer["Body"] as body:
        while part := await body.read(1 << 18):
            yield part


async def _any_stream(fs: Any, url: Url, start: int, end: int | None, version: Stat) -> AsyncIterator[bytes]:
    """Where fsspec has no way to ask for one version, the version is compared after each range."""
    last = end if end is not None else version.size_bytes or 0
    for at in range(start, last, PIECE_BYTES):
        yield await _call(fs, "cat_file", _inner(url, fs), start=at, end=min(at + PIECE_BYTES, last))
    now = await stat(url)
    if (now.size_bytes, now.etag) != (version.size_bytes, version.etag) or now.mtime_ns != version.mtime_ns:
        raise of_status(412)


def listed(url: Url, pattern: bool = False) -> list[tuple[Url, str, Stat]]:
    """As `entries`, waited for. Raises Fault."""
    return run(tried(lambda: entries(url, pattern), LIST_S, LIST_S)).result()


# ---- many files -----------------------------------------------------------------------------------------------------


def each(urls: Iterable[Url], look: Callable[[Url], Awaitable[T]]) -> list[T | Fault]:
    """Returns `look(url)` for each URL, in order, many at once. A Fault stands for one that failed."""

    async def all_of() -> list[T | Fault]:
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(url: Url) -> T | Fault:
            async with slots:
                try:
                    return await tried(lambda: look(url))
                except Fault as fault:
                    return fault

        return list(await asyncio.gather(*(one(url) for url in urls)))

    urls = list(urls)
    for url in urls:
        filesystem(url)  # what is not installed is told before any request
    return run(all_of()).result() if urls else []
