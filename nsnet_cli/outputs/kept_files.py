"""Files of what is kept beside results: where they are, and whether they are what the results name.

`clip.mp4.nsnet.json` has the size and the SHA-256 of `clip.mp4.nsnet`. What is inside is not read here, so that numpy
is not needed: see nsnet_cli.outputs.kept_results.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from nsnet_cli.errors import KeptError
from nsnet_cli.storage.urls import Url

MOST_BYTES = 32 << 20
P = TypeVar("P", Path, Url)
AGAIN = "tag the video again"


def kept_path(result: P) -> P:
    """The file beside a result: clip.mp4.nsnet.json -> clip.mp4.nsnet."""
    return result.with_suffix("")


def named(data: bytes) -> dict[str, Any]:
    """How a result names what is kept beside it: the field `kept` of its JSON."""
    return {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def kept_beside(result: Path, row: Mapping[str, Any]) -> bytes | None:
    """The bytes that the result `row` of the file `result` names, None if it names none. Raises KeptError.

    If it returns, they are the bytes that were written with the result. A crash between the two files, another video's
    file and a damaged one are told from that.
    """
    wanted = row.get("kept")
    if wanted is None:
        return None
    path = kept_path(result)
    try:
        size = path.stat().st_size
        if not isinstance(wanted, dict) or size != wanted.get("size_bytes") or size > MOST_BYTES:
            raise KeptError(f"{path} is not the file that its result names: it has {size:,} bytes", AGAIN)
        with path.open("rb") as file:
            data = file.read(size + 1)
    except OSError as error:
        raise KeptError(f"cannot read {path}: {error.strerror or error}", AGAIN) from error
    if named(data) != wanted:
        raise KeptError(f"{path} is not the file that its result names: another SHA-256", AGAIN)
    return data
