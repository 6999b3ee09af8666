"""SIGINT and SIGTERM as exceptions in the main thread, held back while a result is put in its place."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from nsnet_cli.errors import EXIT_INTERRUPTED, EXIT_TERMINATED, EXIT_UNEXPECTED, NsnetError


class Terminated(BaseException):
    """SIGTERM arrived. Like KeyboardInterrupt, no `except Exception` swallows it."""


_holding = False
_pending: BaseException | None = None


def install() -> None:
    """Answer both signals; does nothing outside the main thread (a program that calls us has its own answers)."""
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
    """What is inside is done whole; a signal is answered after it. A second one is answered at once.

    (A signal mask would not do: another thread takes the signal, and Python runs its handler in this one all the same.)
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
    """What the program ends with when `error` ends it."""
    if isinstance(error, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    if isinstance(error, Terminated):
        return EXIT_TERMINATED
    return error.exit_code if isinstance(error, NsnetError) else EXIT_UNEXPECTED
