"""OpenVINO without its telemetry.

Each import of OpenVINO reports itself to Google Analytics, through a fork of this process. It does without where the
package that reports is missing. So that package is made to look missing, but only while OpenVINO is imported: the
program that uses nsnet keeps its modules as they are.
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
    """Inside this block an import of OpenVINO, or of its converter, finds nothing to report with. Threads may share it.

    The first thread that comes in takes the package away, the last one that leaves puts it back.
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
