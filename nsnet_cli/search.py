"""Decides which folder entries to search: not hidden ones, not system folders, not what the user excludes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nsnet_cli.errors import UsageError

SYSTEM_FOLDERS = frozenset(
    (
        "@eadir", "#recycle", "@recycle", "#snapshot", "$recycle.bin", ".thumbnails", "lost+found",
        "system volume information",
    )
)  # fmt: skip
"""Thumbnails, trash and copies of file managers and network storage. Case is ignored; `.Trash*` counts too."""
OWN_FOLDER = ".nsnet-tmp"


class Search:
    """Decides which folder entries to search. Raises UsageError for an invalid pattern."""

    def __init__(self, exclude: Sequence[str] = (), hidden: bool = False) -> None:
        """`exclude`: patterns in .gitignore syntax, relative to the given folder.

        `hidden`: also search hidden entries (names that begin with a dot) and system folders.
        """
        self.hidden = hidden
        self._spec: Any = None
        if exclude:
            import pathspec

            try:
                self._spec = pathspec.GitIgnoreSpec.from_lines(exclude)
            except ValueError as error:
                raise UsageError(f"--exclude {', '.join(exclude)}: {error}", "use the syntax of .gitignore") from error

    def skips(self, name: str) -> bool:
        """Whether an entry of a folder is left out by its name."""
        return name == OWN_FOLDER or not (self.hidden or not (name.startswith(".") or is_system(name)))

    def excludes(self, relative: str, folder: bool) -> bool:
        return self._spec is not None and self._spec.match_file(relative + "/" * folder)


def is_system(name: str) -> bool:
    return name.casefold() in SYSTEM_FOLDERS or name.startswith(".Trash")
