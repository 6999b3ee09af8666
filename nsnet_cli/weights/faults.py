"""Turns everything that can go wrong with the Hub into a WeightsError with thing, cause, next step and kind."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator

from nsnet_cli.errors import WeightsError
from nsnet_cli.weights.rows import HubSource

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


class UnreachableError(Exception):
    """Raised by the transfer watch in place of the client's 23 s of retries."""


def weights_error(
    error: BaseException, source: HubSource, name: str, timeout_s: float, *, verb: str = "download", again: str = PULL
) -> WeightsError:
    """The WeightsError to show for an `error` that a request or transfer of `source` raised.

    `again` is the command that repeats it, with NAME in place of `name`.
    """
    from huggingface_hub.errors import HfHubHTTPError

    chain = list(_chain(error))
    http = next((e for e in chain if isinstance(e, HfHubHTTPError)), None)
    kind, what, hint = _http(http, source) if http is not None else _transport(chain, source, timeout_s)
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


def _transport(chain: list[BaseException], source: HubSource, timeout_s: float) -> tuple[str, str, str]:
    """(kind, what, hint) for everything else: no network, no disk space, too slow."""
    import httpx2
    from huggingface_hub import constants, errors

    def has(*kinds: type[BaseException]) -> BaseException | None:
        return next((e for e in chain if isinstance(e, kinds)), None)

    host, again = constants.ENDPOINT, "then: nsnet models pull NAME"
    cache = f"{constants.HF_HUB_CACHE}"
    numbers = {e.errno for e in chain if isinstance(e, OSError)}
    last = str(chain[0]).strip().splitlines()[0] if str(chain[0]).strip() else type(chain[0]).__name__
    if has(errors.OfflineModeIsEnabled):
        return "offline", f"{source.repo_id} is not cached and HF_HUB_OFFLINE is set", f"unset HF_HUB_OFFLINE, {again}"
    if found := has(StalledError):
        return "stalled", str(found), f"check the network, {again}; HF_HUB_DOWNLOAD_TIMEOUT sets the limit in seconds"
    if numbers & {errno.ENOSPC, errno.EDQUOT}:
        return "no_space", f"the disk of {cache} is full", f"free some space or set HF_HOME to another disk, {again}"
    if numbers & {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR} and not has(httpx2.TransportError):
        return (
            "cache_not_writable",
            f"cannot write to {cache}: {last}",
            f"set HF_HOME to a folder that you can write to, {again}",
        )
    if has(httpx2.ProxyError):
        return "proxy", f"the proxy failed: {last}", f"check HTTPS_PROXY and NO_PROXY, {again}"
    if has(ssl.SSLError) or "CERTIFICATE" in last:
        hint = f"check HF_ENDPOINT, the clock, the proxy and SSL_CERT_FILE, {again}"
        return "tls", f"no secure connection to {host}: {last}", hint
    if has(socket.gaierror) or "name resolution" in last or "not known" in last:
        hint = f"connect to the network or correct HF_ENDPOINT, {again}"
        return "name_not_resolved", f"{host} cannot be looked up", hint
    if errno.ECONNREFUSED in numbers or "refused" in last:
        through = f" (through the proxy {proxy})" if (proxy := _proxy(host)) else ""
        hint = f"check {'the proxy' if proxy else 'HF_ENDPOINT'} and the firewall, {again}"
        return "connection_refused", f"{host}{through} refuses the connection", hint
    if has(httpx2.TimeoutException):
        return "timeout", f"{host} did not answer in {timeout_s:g} s", f"check the network, {again}"
    if has(httpx2.RemoteProtocolError, httpx2.ReadError):
        what = f"the connection to {host} was cut"
        return "connection_cut", what, f"check the network, {again}"
    if has(httpx2.TransportError, UnreachableError):
        return "unreachable", f"{host} cannot be reached: {last}", f"check the network, {again}"
    if has(errors.FileMetadataError):
        return "not_a_hub", f"{host} does not answer like a Hugging Face Hub", "correct or unset HF_ENDPOINT"
    if "Consistency check failed" in last:
        return "truncated", f"{source.file} is shorter than the Hub announced", f"try again: {again[6:]}"
    return (
        "download",
        f"{source.repo_id}/{source.file}: {last}",
        "try again: nsnet models pull NAME; NSNET_DEBUG=1 shows more",
    )


def _proxy(url: str) -> str | None:
    """The proxy that requests to `url` go through, without its password."""
    from urllib.parse import urlsplit
    from urllib.request import getproxies, proxy_bypass

    parts, proxies = urlsplit(url), getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all")
    if found is None or proxy_bypass(parts.netloc):
        return None
    return found.rsplit("@", 1)[-1]
