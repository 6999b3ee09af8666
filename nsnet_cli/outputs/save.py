"""One file written whole or not at all, its folder made where it is missing."""

from __future__ import annotations

from pathlib import Path

from nsnet_cli.errors import EXIT_UNEXPECTED, OutputError
from nsnet_cli.outputs.store import FATAL, write_atomic


def save(path: Path, data: bytes) -> None:
    """Write `data` to `path`. Raises OutputError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, data)
    except OSError as error:
        refused = OutputError(f"cannot write {path}: {error.strerror or error}", "choose another place")
        if error.errno in FATAL:  # the disk, not what was asked for
            refused.exit_code = EXIT_UNEXPECTED
        raise refused from error
