"""The only writer to stdout and stderr: stdout carries data, stderr everything else.

Messages go through `harmless` (nsnet_cli/text.py): a file name in them cannot break a line or steer the terminal.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import IO, TYPE_CHECKING

from nsnet_cli.cli.progress import PlainDownload, PlainProgress
from nsnet_cli.cli.streams import write_all
from nsnet_cli.errors import EXIT_UNEXPECTED, OutputError
from nsnet_cli.progress import Progress, show_with
from nsnet_cli.text import harmless

if TYPE_CHECKING:
    from nsnet_cli.cli.live_progress import LiveProgress


class ReaderGone(Exception):  # noqa: N818
    """The reader of stdout has gone (`| head`). Not an OSError, because typer handles those."""


class Console:
    """Where a command writes. `quiet` shows only errors; `verbose` adds detail.

    The newest Console also shows the library's messages and progress.
    """

    def __init__(self, quiet: bool = False, verbose: bool = False) -> None:
        self.quiet, self.verbose = quiet, verbose and not quiet
        self.interactive = not quiet and _is_terminal(sys.stderr) and os.environ.get("TERM") != "dumb"
        self._live: LiveProgress | None = None
        _Handler.install(self)
        show_with(self._show)

    # -- stdout

    def data(self, text: str, end: str = "\n") -> None:
        """Writes text to stdout at once, as UTF-8 whatever the locale is."""
        self.data_bytes((text + end).encode("utf-8", "surrogateescape"))

    def data_bytes(self, data: bytes) -> None:
        with self._paused() if self.data_is_terminal else nullcontext():
            try:
                write_all(sys.stdout, data)
            except BrokenPipeError as error:
                raise ReaderGone from error
            except OSError as error:
                refused = OutputError(f"cannot write to stdout: {error.strerror}", "finished results are kept")
                refused.exit_code = EXIT_UNEXPECTED
                raise refused from error

    @property
    def data_is_terminal(self) -> bool:
        return _is_terminal(sys.stdout)

    @property
    def color(self) -> bool:
        """Whether data may be coloured: stdout is a terminal, and NO_COLOR is not set."""
        return self.data_is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    # -- stderr

    def info(self, message: str) -> None:
        """A message for the user; hidden by --quiet."""
        if not self.quiet:
            self._write(message)

    def detail(self, message: str) -> None:
        """A message that only --verbose shows."""
        if self.verbose:
            self._write(message)

    def warn(self, message: str) -> None:
        if not self.quiet:
            self._write(f"warning: {message}")

    def error(self, message: str) -> None:
        """Always shown."""
        self._write(f"error: {message}")

    def _write(self, message: str) -> None:
        """Writes one line, whatever characters the message has."""
        with self._paused(), suppress(OSError, ValueError):  # if stderr is gone, the work goes on
            write_all(sys.stderr, (harmless(message) + "\n").encode("utf-8", "backslashreplace"))

    @contextmanager
    def _paused(self) -> Iterator[None]:
        """Takes the progress bar off the terminal while a line is written."""
        live = self._top_bar()
        if live is None:
            yield
            return
        live.pause()
        try:
            yield
        finally:
            live.resume()

    def _top_bar(self) -> LiveProgress | None:
        while self._live is not None and self._live.closed:
            self._live = self._live.over
        return self._live

    def _show(self, label: str, total: int | None, unit: str) -> Progress:
        """Shows progress: a bar on a terminal, plain lines elsewhere, nothing with --quiet."""
        if self.quiet:
            return Progress()
        download = unit == "bytes"
        if self.interactive and not (download and _hub_bars_unwanted()):
            from nsnet_cli.cli.live_progress import LiveProgress

            self._live = LiveProgress(sys.stderr, label, total, unit, over=self._top_bar())
            return self._live
        return PlainDownload(self.info, label, total) if download else PlainProgress(self.info, label, total, unit)


class _Handler(logging.Handler):
    """Shows the messages of the library (loggers named "nsnet_cli...") on the newest Console."""

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
        logger.propagate = False  # other libraries add handlers to the root logger: each line would come twice
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


def _hub_bars_unwanted() -> bool:
    return os.environ.get("HF_HUB_DISABLE_PROGRESS_BARS", "").upper() in ("1", "ON", "YES", "TRUE")


def _is_terminal(stream: IO[str]) -> bool:
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False
