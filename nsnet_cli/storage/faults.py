"""What goes wrong between a store and this program: one word for each kind, and whether to try again."""

from __future__ import annotations

import errno
from typing import Any

from nsnet_cli.errors import VideoError
from nsnet_cli.storage.urls import Url

BUSY = (408, 425, 429, 500, 502, 503, 504)
MOST_WAIT_S = 10.0
"""Longest wait that a store may ask for with Retry-After."""


class Fault(Exception):  # noqa: N818  it becomes a VideoError once no further try is left
    """One failed request. `again`: whether the next try may do better; `wait_s`: when, if the store says so."""

    def __init__(
        self, kind: str, words: str, *, hint: str | None = None, again: bool = False, wait_s: float = 0.0
    ) -> None:
        super().__init__(words)
        self.kind, self.words, self.hint, self.again, self.wait_s = kind, words, hint, again, wait_s

    def error(self, url: Url) -> VideoError:
        return VideoError(f"{url}: {self.words}", self.hint, self.kind)


def of_status(status: int, retry_after: str | None = None) -> Fault:
    """The fault that an HTTP status tells of."""
    said = f"the store answers {status}"
    if status in (401, 403):
        return Fault("permission_denied", said, hint="look at its credentials and permissions, or sign the URL anew")
    if status in (404, 410):
        return Fault("not_found", "no such file in the store")
    if status == 412:
        return Fault("changed", "it changed while it was read", hint="run again when it is complete")
    if status == 416:
        return Fault("range_refused", f"{said}: it does not give the range that was asked for", hint="run again")
    if status in BUSY:
        wait = float(retry_after) if retry_after and retry_after.isdecimal() else 0.0
        hint = "run again later, with a lower --jobs if it is too busy"
        return Fault("store_busy", said, hint=hint, again=True, wait_s=min(wait, MOST_WAIT_S))
    return Fault("unreadable", said)


def fault_of(error: BaseException) -> Fault:
    """The fault that an exception tells of, fsspec's, aiohttp's or botocore's. Their words may hold a secret URL."""
    if isinstance(error, Fault):
        return error
    for one in (error, error.__cause__):
        status = _status(one)
        if status is not None:
            return of_status(status)
    if isinstance(error, FileNotFoundError):
        return of_status(404)
    if "Credentials" in type(error).__name__:
        hint = "set them as for other tools of this store; for a public bucket FSSPEC_S3_ANON=true"
        return Fault("permission_denied", "there are no credentials for the store", hint=hint)
    if isinstance(error, PermissionError):
        return Fault("permission_denied", "the store refuses access", hint="look at its credentials and permissions")
    if isinstance(error, TimeoutError) or "Timeout" in type(error).__name__:
        return Fault("store_timeout", "the store does not answer in time", hint="run again later", again=True)
    if isinstance(error, OSError) and error.errno in (errno.EBUSY, errno.EREMOTEIO):
        return of_status(503)
    if any("Certificate" in kind.__name__ or "SSL" in kind.__name__ for kind in type(error).__mro__):
        hint = "look at the clock and at SSL_CERT_FILE"
        return Fault("connection_cut", "the certificate of its server is not accepted", hint=hint)
    if isinstance(error, ConnectionError) or _of_connections(error):
        return Fault("connection_cut", "the connection to the store fails", hint="look at the network", again=True)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return Fault("unreadable", "no space for its temporary copy", hint="free some space, or set TMPDIR")
    return Fault("unreadable", f"the store cannot be read ({type(error).__name__})")


def _status(error: BaseException | None) -> int | None:
    """The HTTP status that an exception carries: aiohttp's has `status`, botocore's a `response`."""
    response: Any = getattr(error, "response", None)
    if isinstance(response, dict):
        found = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return found if isinstance(found, int) and found >= 300 else None
    found = getattr(error, "status", None)
    return found if isinstance(found, int) and found >= 300 else None


def _of_connections(error: BaseException) -> bool:
    """Whether an exception is one of aiohttp's or botocore's about connections. They are not imported for this."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(
        names
        & {"ClientConnectionError", "ClientPayloadError", "HTTPClientError", "ConnectionError", "IncompleteReadError"}
    )
