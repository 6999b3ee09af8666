"""SIGINT and SIGTERM as exceptions in the main thread, delayed while a result is being written."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from nsnet_cli.errors import EXIT_INTERRUPTED, EXIT_TERMINATED, EXIT_UNEXPECTED, NsnetError


class Terminated(BaseException):
    """SIGTERM arrived. Like KeyboardInterrupt, `except Exception` does not catch it."""


_holding = False
_pending: BaseException | None = None


def install() -> None:
    """Handles both signals. Does nothing outside the main thread: the program that called us handles its own."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, _answer)
        signal.signal(signal.SIGTERM, _answer)


def _answer(number: int, frame: object) -> None:
    global _pending
    error = Terminated() if number == signal.SIGTERM else KeyboardInterrupt()
    if _holding and _pending is None:
        _pending = error
        return
    raise error


@contextmanager
def held() -> Iterator[None]:
    """Signals wait until the block ends. A second signal does not wait.

    A signal mask would not help: another thread receives the signal, and Python still runs its handler in this thread.
    """
    global _holding, _pending
    _holding = True
    try:
        yield
    finally:
        _holding = False
        error, _pending = _pending, None
        if error is not None:
            raise error


def exit_code(error: BaseException) -> int:
    """The exit code of a program that `error` ends."""
    if isinstance(error, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    if isinstance(error, Terminated):
        return EXIT_TERMINATED
    return error.exit_code if isinstance(error, NsnetError) else EXIT_UNEXPECTED
