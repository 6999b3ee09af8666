"""What decides what is seen in a video, and the fingerprint of that: results with the same one need no other look."""

from __future__ import annotations

import hashlib
import json

from nsnet_cli.records import dataclass
from nsnet_cli.storage.identity import identity
from nsnet_cli.storage.urls import Place, located
from nsnet_cli.types import ALGORITHM_VERSION, SCHEMA_VERSION, Source, TagOptions


@dataclass(frozen=True, slots=True)
class Way:
    """How videos are looked at: all that enters a fingerprint beside the file.

    Of the options these are the ones that decide how it is looked at. Those that only choose what is shown are not.
    """

    options: TagOptions
    checkpoint_hash: str
    engine: str
    precision: str
    projection: str | None
    embed_all: bool

    def fingerprint(self, path: str | Place) -> str:
        """Returns 16 hex digits, a hash of all that can change what is seen in a video.

        Raises OSError for a file, VideoError for a URL that cannot be looked at.
        """
        return self.of(identity(located(path)))

    def of(self, source: Source) -> str:
        """The fingerprint of a video whose identity is known."""
        how = [ALGORITHM_VERSION, self.engine, self.precision, SCHEMA_VERSION]
        how += ["all frames"] if self.embed_all else []
        version = source.etag or source.mtime_ns
        parts = [source.size_bytes, version, self.checkpoint_hash, self.options.looked(), self.projection, *how]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
