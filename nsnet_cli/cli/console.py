"""The one output sink: stdout carries data, stderr everything else; no other file writes to either.

Messages go through `harmless` (nsnet_cli/text.py): no file name in them can break a line or steer the terminal.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import IO, Any

from nsnet_cli.cli.progress import PlainProgress, Progress
from nsnet_cli.cli.streams import write_all
from nsnet_cli.errors import EXIT_UNEXPECTED, OutputError
from nsnet_cli.text import harmless


class ReaderGone(Exception):  # noqa: N818
    """Whoever read our stdout has gone (`| head`). No OSError, which typer would answer."""


class Console:
    """Where a command speaks. `quiet` leaves errors only; `verbose` adds detail."""

    def __init__(self, quiet: bool = False, verbose: bool = False) -> None:
        self.quiet, self.verbose = quiet, verbose and not quiet
        self.interactive = not quiet and _is_terminal(sys.stderr) and os.environ.get("TERM") != "dumb"
        self._live: Any = None
        _Handler.install(self)

    # -- stdout

    def data(self, text: str, end: str = "\n") -> None:
        """Text for stdout, as UTF-8 whatever the locale says, at once."""
        self.data_bytes((text + end).encode("utf-8", "surrogateescape"))

    def data_bytes(self, data: bytes) -> None:
        with self._paused() if self.data_is_terminal else nullcontext():
            try:
                write_all(sys.stdout, data)
            except BrokenPipeError as error:
                raise ReaderGone from error
            except OSError as error:
                refused = OutputError(f"cannot write to stdout: {error.strerror}", "finished results stay")
                refused.exit_code = EXIT_UNEXPECTED
                raise refused from error

    @property
    def data_is_terminal(self) -> bool:
        return _is_terminal(sys.stdout)

    @property
    def color(self) -> bool:
        """Whether data may be coloured: a terminal, and NO_COLOR not set."""
        return self.data_is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    # -- stderr

    def info(self, message: str) -> None:
        """What the user would like to know; not with --quiet."""
        if not self.quiet:
            self._write(message)

    def detail(self, message: str) -> None:
        """With --verbose alone."""
        if self.verbose:
            self._write(message)

    def warn(self, message: str) -> None:
        if not self.quiet:
            self._write(f"warning: {message}")

    def error(self, message: str) -> None:
        """Always said."""
        self._write(f"error: {message}")

    def _write(self, message: str) -> None:
        """One line, whatever stands in it."""
        with self._paused(), suppress(OSError, ValueError):  # where nobody listens, the work goes on
            write_all(sys.stderr, (harmless(message) + "\n").encode("utf-8", "backslashreplace"))

    @contextmanager
    def _paused(self) -> Iterator[None]:
        """Lift a live progress bar off the terminal while a line is written."""
        live = self._live
        if live is None:
            yield
            return
        live.pause()
        try:
            yield
        finally:
            live.resume()

    @contextmanager
    def progress(self, label: str, total: int | None, unit: str = "files") -> Iterator[Progress]:
        """A bar on a terminal, a plain line every 10 s elsewhere, nothing with --quiet; other lines stay whole."""
        bar: Progress
        if self.quiet:
            bar = Progress()
        elif self.interactive:
            from nsnet_cli.cli.live_progress import LiveProgress

            bar = LiveProgress(sys.stderr, label, total, unit)
        else:
            bar = PlainProgress(self.info, label, total, unit)
        previous, self._live = self._live, bar if self.interactive else None
        try:
            yield bar
        finally:
            bar.close()
            self._live = previous


class _Handler(logging.Handler):
    """The rooms below speak through logging; the newest Console is where it comes out."""

    def __init__(self) -> None:
        super().__init__()
        self.console: Console | None = None

    @classmethod
    def install(cls, console: Console) -> None:
        logger = logging.getLogger("nsnet_cli")
        handler = next((h for h in logger.handlers if isinstance(h, cls)), None)
        if handler is None:
            handler = cls()
            logger.addHandler(handler)
        handler.console = console
        logger.propagate = False  # libraries give the root logger handlers of their own: each line would come twice
        logger.setLevel(logging.DEBUG if console.verbose else logging.INFO)

    def emit(self, record: logging.LogRecord) -> None:
        if self.console is None:
            return
        message = record.getMessage()
        if record.levelno >= logging.ERROR:
            self.console.error(message)
        elif record.levelno >= logging.WARNING:
            self.console.warn(message)
        elif record.levelno >= logging.INFO:
            self.console.info(message)
        else:
            self.console.detail(message)


def _is_terminal(stream: IO[str]) -> bool:
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False
