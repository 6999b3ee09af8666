"""Downloads a file by its https address into nsnet's cache, and checks its bytes.

It does what `weights/download.py` does for the Hub: one process at a time, a watch over the transfer, a transfer that
goes on where it was cut, and a file that is there whole or not at all.
"""

from __future__ import annotations

import logging
import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from nsnet_cli import __version__
from nsnet_cli.atomic import give_name
from nsnet_cli.errors import WeightsError
from nsnet_cli.text import megabytes
from nsnet_cli.weights.download import ATTEMPTS, TransferWatch, check_space, client, exclusive
from nsnet_cli.weights.faults import CutShortError, NotHttpsError, StalledError, StatusError, weights_error
from nsnet_cli.weights.files import url_cache, url_file
from nsnet_cli.weights.folders import CACHE_VARIABLE
from nsnet_cli.weights.rows import UrlSource
from nsnet_cli.weights.schema import URL
from nsnet_cli.weights.verify import check_url

logger = logging.getLogger(__name__)

PIECE_BYTES = 1 << 18


def fetch_url(source: UrlSource, name: str) -> Path:
    """The checked file of `source` in nsnet's cache, downloaded if it is missing.

    Raises WeightsError, with a kind from faults.KINDS. What came before an interruption is kept for the next call.
    """
    from huggingface_hub import constants
    from huggingface_hub.errors import OfflineModeIsEnabled

    target = url_cache(source)
    try:
        if constants.is_offline_mode():
            raise OfflineModeIsEnabled("HF_HUB_OFFLINE")
        with exclusive(target.with_name(f".{target.name}.lock"), target.name):
            if url_file(source) is None:
                part = target.with_name(f".{target.name}.part")
                _download(source, name, part)
                check_url(source, name, part, anew=True)
                give_name(part, target)
            check_url(source, name, target)
    except WeightsError:
        raise
    except Exception as error:
        raise weights_error(error, source, name, constants.HF_HUB_DOWNLOAD_TIMEOUT) from error
    return target


def _download(source: UrlSource, name: str, part: Path) -> None:
    import httpx2
    from huggingface_hub import constants

    with ExitStack() as shown:
        label = f"{name} ({source.host})"
        watch = TransferWatch(shown, label, source.size_bytes, constants.HF_HUB_DOWNLOAD_TIMEOUT)
        with client():
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    _transfer(source, name, part, watch)
                    return
                except httpx2.ReadTimeout as error:
                    if not watch.done:
                        raise
                    silent_s = constants.HF_HUB_DOWNLOAD_TIMEOUT
                    raise StalledError(f"nothing came for {silent_s:.0f} s after {megabytes(watch.done)}") from error
                except (httpx2.ReadError, httpx2.RemoteProtocolError, CutShortError):
                    if attempt == ATTEMPTS or not (part.exists() and part.stat().st_size):
                        raise
                    logger.info("%s: connection lost after %s, resuming", label, megabytes(part.stat().st_size))
                    time.sleep(1)


def _transfer(source: UrlSource, name: str, part: Path, watch: TransferWatch) -> None:
    """One request: appends to what is here already, or begins anew where the server does not resume."""
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": f"nsnet/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    timeout_s = constants.HF_HUB_DOWNLOAD_TIMEOUT
    with get_session().stream("GET", source.url, headers=headers, timeout=timeout_s, follow_redirects=True) as answer:
        if not str(answer.url).startswith("https://") and not URL.fullmatch(str(answer.url)):
            raise NotHttpsError(str(answer.url))
        if answer.status_code == 416:  # more is here than the file has
            part.unlink()
            raise CutShortError
        if answer.status_code not in (200, 206):
            raise StatusError(answer.status_code, answer.headers.get("Retry-After"))
        if answer.status_code == 200:
            have = 0
        total = _total(answer, have)
        watch.total, watch.done = total or watch.total, have
        check_space(part.parent, None if watch.total is None else watch.total - have, name, CACHE_VARIABLE)
        with part.open("ab" if have else "wb") as handle:
            for piece in answer.iter_raw(PIECE_BYTES):
                handle.write(piece)
                watch.update(len(piece))
            handle.flush()
            os.fsync(handle.fileno())
        if total is not None and part.stat().st_size < total:
            raise CutShortError


def _total(answer: Any, have: int) -> int | None:
    """The size of the whole file, if the server tells it."""
    length = answer.headers.get("Content-Length")
    return have + int(length) if length is not None and length.isdigit() else None
