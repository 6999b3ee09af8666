"""Text for people and for programs, whatever a file is called. Pure functions on the standard library alone.

File names may hold anything but NUL and '/': control characters, quotes, bytes that are no UTF-8. Two spellings keep
both people and programs safe:

- `printable(text)`, for people (table, CSV): a backslash is doubled, control characters and bytes that are no UTF-8
  become escapes (`\\n`, `\\x1b`, `\\xff`): such a name neither breaks a line nor steers the terminal. `unprintable`
  undoes it. `harmless(text)` is the same for whole messages, backslashes left alone.
- `spreadsheet_cell(text)`, for CSV: what a spreadsheet would take for a formula begins with an apostrophe.
- `json_text(object)`, for programs: JSON in UTF-8, with those same characters as `\\uXXXX`. A byte 0xNN that is no
  UTF-8 is `\\udcNN` (PEP 383): Python's `os.fsencode(json.loads(line)["path"])` is the exact name again.
"""

from __future__ import annotations

import json
import re
from typing import Any

UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, line separators, direction overrides and lone surrogates."""
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(text: str) -> str:
    """`text` on one line that is safe on any terminal; ordinary names come back unchanged."""
    return harmless(text.replace("\\", "\\\\"))


def harmless(text: str) -> str:
    """A message on one line that is safe on any terminal."""
    return UNSAFE.sub(_escape, text)


def unprintable(text: str) -> str:
    """The exact name that `printable` wrote."""

    def back(match: re.Match[str]) -> str:
        code = match[1]
        if code[0] in "xu" and len(code) > 1:
            number = int(code[1:], 16)
            return chr(0xDC00 + number) if code[0] == "x" and number >= 0xA0 else chr(number)
        return {"n": "\n", "r": "\r", "t": "\t"}.get(code, code)

    return re.sub(r"\\(x[0-9a-f]{2}|u[0-9a-f]{4}|.)", back, text)


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    code = ord(char)
    if char in _SHORT:
        return _SHORT[char]
    if 0xDCA0 <= code <= 0xDCFF:  # a byte that is no UTF-8, as PEP 383 spells it
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0xA0 else f"\\u{code:04x}"


FORMULA = re.compile("[=+@'\\-\uff1d\uff0b\uff0d\uff20]")
"""What a formula begins with, wide characters included, and the apostrophe itself."""
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def spreadsheet_cell(text: str) -> str:
    """A cell of a CSV file that no spreadsheet takes for a formula: '=1+1' -> "'=1+1". Numbers stay numbers.

    `text` went through `printable`. `spreadsheet_text` undoes it.
    """
    return f"'{text}" if FORMULA.match(text) and not NUMBER.fullmatch(text) else text


def spreadsheet_text(cell: str) -> str:
    """What `spreadsheet_cell` was given: one apostrophe at the beginning goes."""
    return cell.removeprefix("'")


def json_text(value: Any, indent: int | None = None) -> str:
    """JSON (without a newline at its end) that any UTF-8 reader and any terminal can take. NaN raises ValueError."""
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
    """7 s, 3 min 20 s, 2 h 05 min: a time left to read at a glance."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
