"""Which entries of folders are looked at: not the hidden ones, not the system's, not what the user excludes."""

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
"""Folders of file managers and network storage: thumbnails, trash, copies. Compared without case; `.Trash*` too."""
OWN_FOLDER = ".nsnet-tmp"


class Search:
    """Which entries of folders are looked at. Raises UsageError for a pattern that is none."""

    def __init__(self, exclude: Sequence[str] = (), hidden: bool = False) -> None:
        """`exclude`: patterns by the rules of .gitignore, from the folder given on. `hidden`: what is hidden (a name
        that begins with a dot) and the system's folders are looked at too."""
        self.hidden = hidden
        self._spec: Any = None
        if exclude:
            import pathspec

            try:
                self._spec = pathspec.GitIgnoreSpec.from_lines(exclude)
            except ValueError as error:
                raise UsageError(
                    f"--exclude {', '.join(exclude)}: {error}", "patterns are those of .gitignore"
                ) from error

    def skips(self, name: str) -> bool:
        """Whether an entry of a folder is left out by its name."""
        return name == OWN_FOLDER or not (self.hidden or not (name.startswith(".") or is_system(name)))

    def excludes(self, relative: str, folder: bool) -> bool:
        return self._spec is not None and self._spec.match_file(relative + "/" * folder)


def is_system(name: str) -> bool:
    return name.casefold() in SYSTEM_FOLDERS or name.startswith(".Trash")
