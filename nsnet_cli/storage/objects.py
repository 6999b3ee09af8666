"""Small objects in a store, whole: results, and what is kept beside them."""

from __future__ import annotations

import concurrent.futures
from typing import Any

from nsnet_cli.errors import UsageError
from nsnet_cli.storage import stores
from nsnet_cli.storage.faults import Fault
from nsnet_cli.storage.urls import Url

UPLOAD_S = 120.0


def check_writable(root: Url) -> None:
    """Raises UsageError if objects cannot be written there."""
    if root.web:
        raise UsageError(f"{root}: a web server keeps no results", "give s3://, or a local folder")
    stores.filesystem(root)


def sizes(root: Url) -> dict[str, int]:
    """The sizes of all objects below a URL, by their name below it. Raises Fault."""
    try:
        found = stores.listed(root)
    except Fault as fault:
        if fault.kind == "not_found":
            return {}
        raise
    return {below: stat.size_bytes or 0 for _, below, stat in found}


def get(url: Url) -> concurrent.futures.Future[bytes]:
    """Starts to read an object. The future raises Fault."""
    return stores.run(stores.tried(lambda: stores.whole(url)))


def put(url: Url, data: bytes, replace: bool = True) -> None:
    """Writes an object in one step. Raises Fault; FileExistsError if `replace` is False and it is there.

    Stores that cannot tell whether it is there by then (they refuse the condition) replace it. What took a look at a
    video to make is worth a second try, whatever the store says.
    """
    for last in (False, True):
        try:
            return stores.run(stores.tried(lambda: stores.put(url, data, replace), UPLOAD_S, UPLOAD_S)).result()
        except Fault as fault:
            if not replace and fault.kind == "changed":
                raise FileExistsError(str(url)) from None
            if last:
                raise


def remove(url: Url) -> None:
    """Removes an object. Where that is not allowed, it stays."""

    async def gone() -> Any:
        return await stores.remove(url)

    try:
        stores.run(stores.tried(gone)).result()
    except Fault:
        return
