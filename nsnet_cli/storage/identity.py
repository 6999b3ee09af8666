"""What tells one version of a video from another: size and time of a file, size and ETag (or time) in a store."""

from __future__ import annotations

from nsnet_cli.storage.urls import Place, Url
from nsnet_cli.types import Source


def identity(place: Place) -> Source:
    """Returns the identity of a video. Raises OSError for a file, VideoError for a URL that cannot be looked at.

    A URL that was found in a listing costs no request: its bytes are read only as the version that was listed.
    """
    if not isinstance(place, Url):
        status = place.stat()
        return Source(str(place), status.st_size, status.st_mtime_ns)
    if place.source is not None:
        return place.source
    from nsnet_cli.storage import stores
    from nsnet_cli.storage.faults import Fault

    stores.filesystem(place)
    try:
        return stores.run(stores.tried(lambda: stores.stat(place))).result().source(place)
    except Fault as fault:
        raise fault.error(place) from None
