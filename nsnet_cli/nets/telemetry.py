"""Imports OpenVINO without its telemetry.

Each import of OpenVINO reports to Google Analytics, through a fork of this process, unless the package that reports is
missing. So that package is made to look missing, but only while OpenVINO is imported: the program that uses nsnet keeps
its modules as they are.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

REPORTS = "openvino_telemetry"
ABSENT = object()

_lock = threading.Lock()
_inside = 0
_before: ModuleType | object | None = None


@contextmanager
def no_telemetry() -> Iterator[None]:
    """Hides the package that reports while OpenVINO or its converter is imported. Threads may do so at the same time.

    The first thread that enters hides the package, the last one that leaves puts it back.
    """
    global _inside, _before
    with _lock:
        _inside += 1
        if _inside == 1:
            _before = sys.modules.get(REPORTS, ABSENT)
            sys.modules[REPORTS] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                sys.modules.pop(REPORTS, None)
                if _before is not ABSENT:
                    sys.modules[REPORTS] = _before  # type: ignore[assignment]
