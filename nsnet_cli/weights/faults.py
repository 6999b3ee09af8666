"""Turns everything that can go wrong with the Hub into a WeightsError with thing, cause, next step and kind."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator

from nsnet_cli.errors import WeightsError
from nsnet_cli.records import dataclass
from nsnet_cli.weights.files import url_cache
from nsnet_cli.weights.folders import CACHE_VARIABLE
from nsnet_cli.weights.rows import HubSource, UrlSource

KINDS = {
    "offline": "HF_HUB_OFFLINE is set and the file is not cached",
    "name_not_resolved": "the host's name cannot be looked up: no network, or a mistyped HF_ENDPOINT",
    "connection_refused": "nothing listens at the Hub's address",
    "unreachable": "the host cannot be reached for another reason",
    "proxy": "the proxy refused or failed",
    "tls": "the certificate was not accepted",
    "timeout": "no answer in time",
    "stalled": "the download stopped, or was too slow",
    "connection_cut": "the connection ended in the middle of a file",
    "truncated": "the file was shorter than the Hub had announced",
    "no_space": "the disk is full, or too small for the file",
    "cache_not_writable": "the cache folder cannot be written to",
    "repo_not_found": "no such repository, or a private one",
    "revision_not_found": "no such revision",
    "file_not_found": "no such file at that revision",
    "gated": "the repository's terms must be accepted",
    "bad_token": "the token is not valid",
    "forbidden": "the token gives no access to this repository",
    "rate_limited": "too many requests",
    "server_error": "the Hub answered with an error of its own",
    "not_a_hub": "the server is not a Hugging Face Hub",
    "hash_mismatch": "the sha256 is not the one in the row or the lock file",
    "download": "anything else",
}


PULL = "nsnet models pull NAME"


class StalledError(Exception):
    """Raised by the transfer watch if too few bytes came for too long."""


class CutShortError(Exception):
    """Raised by a download by address: fewer bytes came than were announced."""


class NotHttpsError(Exception):
    """Raised by a download by address: it leads to one that is not secure."""


class StatusError(Exception):
    """Raised by a download by address for an answer with an error status."""

    def __init__(self, status: int, retry_after: str | None) -> None:
        super().__init__(f"status {status}")
        self.status, self.retry_after = status, retry_after


class UnreachableError(Exception):
    """Raised by the transfer watch in place of the client's 23 s of retries."""


def weights_error(
    error: BaseException,
    source: HubSource | UrlSource,
    name: str,
    timeout_s: float,
    *,
    verb: str = "download",
    again: str = PULL,
) -> WeightsError:
    """The WeightsError to show for an `error` that a request or transfer of `source` raised.

    `again` is the command that repeats it, with NAME in place of `name`.
    """
    from huggingface_hub.errors import HfHubHTTPError

    chain = list(_chain(error))
    http = next((e for e in chain if isinstance(e, HfHubHTTPError)), None)
    if isinstance(error, StatusError) and isinstance(source, UrlSource):
        kind, what, hint = _status(error, source)
    elif http is not None and isinstance(source, HubSource):
        kind, what, hint = _http(http, source)
    else:
        kind, what, hint = _transport(chain, source, timeout_s)
    return WeightsError(f"cannot {verb} {name}: {what}", hint.replace(PULL, again).replace("NAME", name), kind)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _http(error: Exception, source: HubSource) -> tuple[str, str, str]:
    """(kind, what, hint) for an answer with an error status."""
    from huggingface_hub import constants, errors, get_token

    response = error.response  # type: ignore[attr-defined]
    status, token = response.status_code, get_token()
    where, page = f"{source.repo_id}@{source.revision[:8]}", f"{constants.ENDPOINT}/{source.repo_id}"
    server = getattr(error, "server_message", None)
    said = f" ({server})" if server else ""
    log_in = "log in with: hf auth login, or set HF_TOKEN"
    if isinstance(error, errors.GatedRepoError):
        hint = f"accept its terms at {page}" + ("" if token else f", then {log_in}")
        return "gated", f"{source.repo_id} is gated{said}", hint
    if "invalid credentials" in str(server).lower() or "invalid username or password" in str(server).lower():
        return "bad_token", f"the Hub does not accept the token{said}", f"{log_in}; or unset HF_TOKEN"
    if isinstance(error, errors.RepositoryNotFoundError):
        hint = "check the name" + ("; the token may have no access" if token else f"; if it is private, {log_in}")
        return "repo_not_found", f"there is no repository {source.repo_id}, or it is private", hint
    if isinstance(error, errors.RevisionNotFoundError):
        return "revision_not_found", f"{source.repo_id} has no revision {source.revision}", f"see {page}/commits/main"
    if isinstance(error, errors.EntryNotFoundError):
        return "file_not_found", f"{where} has no file {source.file}", f"see {page}/tree/{source.revision}"
    if status == 401:
        return "bad_token", f"the Hub asks for a valid token{said}", log_in
    if status == 403:
        return (
            "forbidden",
            f"the Hub refuses access to {source.repo_id}{said}",
            f"check the token's permissions, {log_in}",
        )
    if status == 429:
        after = response.headers.get("Retry-After")
        hint = f"try again in {after} s" if after else "try again in some minutes" + ("" if token else f"; or {log_in}")
        return "rate_limited", "the Hub has had too many requests", hint
    if status >= 500:
        return "server_error", f"the Hub answered {status}{said}", "try again in some minutes: nsnet models pull NAME"
    return "download", f"the Hub answered {status} for {where}/{source.file}{said}", f"try again: {PULL}"


def _status(error: StatusError, source: UrlSource) -> tuple[str, str, str]:
    """(kind, what, hint) for an answer of an address with an error status."""
    said = f"{source.host} answered {error.status} for {source.url}"
    if error.status in (404, 410):
        return "file_not_found", f"there is no file {source.url} ({error.status})", "correct the url in its row"
    if error.status in (401, 403):
        return "forbidden", said, "the file is not public: use another source"
    if error.status == 429:
        wait = f"{error.retry_after} s" if error.retry_after else "some minutes"
        return "rate_limited", f"{source.host} has had too many requests", f"try again in {wait}"
    if error.status >= 500:
        return "server_error", said, f"try again in some minutes: {PULL}"
    return "download", said, f"try again: {PULL}"


def _transport(chain: list[BaseException], source: HubSource | UrlSource, timeout_s: float) -> tuple[str, str, str]:
    """(kind, what, hint) for everything else: no network, no disk space, too slow."""
    from huggingface_hub import errors

    at, again = _place(source), "then: nsnet models pull NAME"
    last = str(chain[0]).strip().splitlines()[0] if str(chain[0]).strip() else type(chain[0]).__name__
    if _has(chain, errors.OfflineModeIsEnabled):
        return "offline", f"{at.what} is not cached and HF_HUB_OFFLINE is set", f"unset HF_HUB_OFFLINE, {again}"
    if found := _has(chain, StalledError):
        return "stalled", str(found), f"check the network, {again}; HF_HUB_DOWNLOAD_TIMEOUT sets the limit in seconds"
    if answer := _on_disk(chain, at, last, again) or _on_the_way(chain, at, last, again, timeout_s):
        return answer
    if _has(chain, errors.FileMetadataError):
        return "not_a_hub", f"{at.host} does not answer like a Hugging Face Hub", "correct or unset HF_ENDPOINT"
    if "Consistency check failed" in last:
        return "truncated", f"{source.file} is shorter than the Hub announced", f"try again: {again[6:]}"
    hint = "try again: nsnet models pull NAME; NSNET_DEBUG=1 shows more"
    return "download", f"{at.what}: {last}", hint


def _has(chain: list[BaseException], *kinds: type[BaseException]) -> BaseException | None:
    return next((error for error in chain if isinstance(error, kinds)), None)


def _numbers(chain: list[BaseException]) -> set[int | None]:
    return {error.errno for error in chain if isinstance(error, OSError)}


def _on_disk(chain: list[BaseException], at: _Place, last: str, again: str) -> tuple[str, str, str] | None:
    """What a cache that cannot be written to says."""
    import httpx2

    numbers = _numbers(chain)
    if numbers & {errno.ENOSPC, errno.EDQUOT}:
        hint = f"free some space or set {at.variable} to another disk, {again}"
        return "no_space", f"the disk of {at.cache} is full", hint
    if numbers & {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR} and not _has(chain, httpx2.TransportError):
        hint = f"set {at.variable} to a folder that you can write to, {again}"
        return "cache_not_writable", f"cannot write to {at.cache}: {last}", hint
    return None


def _on_the_way(
    chain: list[BaseException], at: _Place, last: str, again: str, timeout_s: float
) -> tuple[str, str, str] | None:
    """What a host that cannot be reached, or a connection that does not hold, says."""
    import httpx2

    host = at.host
    if _has(chain, httpx2.ProxyError):
        return "proxy", f"the proxy failed: {last}", f"check HTTPS_PROXY and NO_PROXY, {again}"
    if _has(chain, NotHttpsError):
        return "tls", f"{at.what} leads to {last}, which is not secure", f"correct {at.address}"
    if _has(chain, ssl.SSLError) or "CERTIFICATE" in last:
        hint = f"check {at.address}, the clock, the proxy and SSL_CERT_FILE, {again}"
        return "tls", f"no secure connection to {host}: {last}", hint
    if _has(chain, socket.gaierror) or "name resolution" in last or "not known" in last:
        hint = f"connect to the network or correct {at.address}, {again}"
        return "name_not_resolved", f"{host} cannot be looked up", hint
    if errno.ECONNREFUSED in _numbers(chain) or "refused" in last:
        through = f" (through the proxy {proxy})" if (proxy := _proxy(host)) else ""
        hint = f"check {'the proxy' if proxy else at.address} and the firewall, {again}"
        return "connection_refused", f"{host}{through} refuses the connection", hint
    if _has(chain, httpx2.TimeoutException):
        return "timeout", f"{host} did not answer in {timeout_s:g} s", f"check the network, {again}"
    if _has(chain, httpx2.RemoteProtocolError, httpx2.ReadError, CutShortError):
        what = f"the connection to {host} was cut"
        return "connection_cut", what, f"check the network, {again}"
    if _has(chain, httpx2.TransportError, UnreachableError):
        return "unreachable", f"{host} cannot be reached: {last}", f"check the network, {again}"
    return None


@dataclass(frozen=True, slots=True)
class _Place:
    """The words for where a file comes from and goes to."""

    what: str
    host: str
    address: str
    """What has the host's address, to be corrected."""
    cache: str
    variable: str
    """What chooses the cache."""


def _place(source: HubSource | UrlSource) -> _Place:
    from huggingface_hub import constants

    if isinstance(source, HubSource):
        what = f"{source.repo_id}/{source.file}"
        return _Place(what, constants.ENDPOINT, "HF_ENDPOINT", constants.HF_HUB_CACHE, "HF_HOME")
    host = "/".join(source.url.split("/")[:3])
    return _Place(source.url, host, "the url in its row", str(url_cache(source).parents[1]), CACHE_VARIABLE)


def _proxy(url: str) -> str | None:
    """The proxy that requests to `url` go through, without its password."""
    from urllib.parse import urlsplit
    from urllib.request import getproxies, proxy_bypass

    parts, proxies = urlsplit(url), getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all")
    if found is None or proxy_bypass(parts.netloc):
        return None
    return found.rsplit("@", 1)[-1]
