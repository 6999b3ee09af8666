"""Writes any file name safely, for people and for programs. Pure functions that need only the standard library.

A file name may hold anything but NUL and '/': control characters, quotes, bytes that are not UTF-8. So there are:

- `printable(text)`, for people (table, CSV): doubles backslashes and escapes control characters and bytes that are not
  UTF-8 (`\\n`, `\\x1b`, `\\xff`). Such a name can neither break a line nor control the terminal.
  `harmless(text)` does the same for whole messages, but leaves backslashes alone.
- `spreadsheet_cell(text)`, for CSV: puts an apostrophe before what a spreadsheet would take for a formula.
- `json_text(object)`, for programs: JSON in UTF-8, with the same characters as `\\uXXXX`. A byte 0xNN that is not
  UTF-8 is `\\udcNN` (PEP 383). In Python, `os.fsencode(json.loads(line)["path"])` gives the exact name.
"""

from __future__ import annotations

import json
import re
from typing import Any

UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, line separators, direction overrides and lone surrogates."""
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(text: str) -> str:
    """Returns `text` on one line that is safe on any terminal. Ordinary names do not change."""
    return harmless(text.replace("\\", "\\\\"))


def harmless(text: str) -> str:
    """Returns a message on one line that is safe on any terminal."""
    return UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    code = ord(char)
    if char in _SHORT:
        return _SHORT[char]
    if 0xDCA0 <= code <= 0xDCFF:  # a byte that is not UTF-8, as PEP 383 spells it
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0xA0 else f"\\u{code:04x}"


FORMULA = re.compile("[=+@'\\-\uff1d\uff0b\uff0d\uff20]")
"""Characters that begin a formula, wide ones included, and the apostrophe itself."""
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def spreadsheet_cell(text: str) -> str:
    """Returns a CSV cell that no spreadsheet takes for a formula: '=1+1' -> "'=1+1". Numbers do not change.

    `text` went through `printable`. Without its first apostrophe the cell is `text` again.
    """
    return f"'{text}" if FORMULA.match(text) and not NUMBER.fullmatch(text) else text


def json_text(value: Any, indent: int | None = None) -> str:
    """Returns JSON that is safe for any UTF-8 reader and terminal, without a final newline. NaN raises ValueError."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent, default=lambda scalar: scalar.item())
    return re.sub(UNSAFE, lambda m: m[0] if m[0] == "\n" else f"\\u{ord(m[0]):04x}", text)


def megabytes(size_bytes: int | None) -> str:
    """12345678 -> '12.3 MB' (powers of ten, as the Hub shows sizes)."""
    if size_bytes is None:
        return "size unknown"
    if size_bytes >= 1e9:
        return f"{size_bytes / 1e9:.1f} GB"
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 1e5 else f"{size_bytes / 1e3:.1f} kB"


def clock(seconds: float) -> str:
    """Writes a duration as 7 s, 3 min 20 s or 2 h 05 min."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
