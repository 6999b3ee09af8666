"""The errors for files that cannot be written, each with the next step."""

from __future__ import annotations

import errno
from pathlib import Path

from nsnet_cli.errors import EXIT_UNEXPECTED, OutputError
from nsnet_cli.storage.urls import Place

FATAL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG)
"""Errors that the next file would have too: the run ends, and written files are kept."""


def taken(path: Place) -> OutputError:
    """The error for a result that cannot be kept at its path."""
    what = "a folder" if isinstance(path, Path) and path.is_dir() else "not a result of nsnet"
    return OutputError(f"cannot keep the result: {path} is {what}", "move it away, or choose another folder")


def refused(path: Path, error: OSError) -> OutputError:
    """The error for a file that cannot be written. Only a full disk has the exit code for unexpected errors (1)."""
    reason = error.strerror or str(error)
    failed = OutputError(f"cannot write {path}: {reason}", _next_step(error))
    if error.errno in FATAL:
        failed.exit_code = EXIT_UNEXPECTED  # type: ignore[misc]
        failed.kind = "disk_full" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else "output"
    return failed


def _next_step(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "free some space and run the same command again: finished results are kept"
    return "choose another folder"
