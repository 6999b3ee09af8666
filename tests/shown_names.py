"""The way back from a name that nsnet shows to the exact name of the file."""

from __future__ import annotations

import re


def unprintable(text: str) -> str:
    """The exact name that `printable` was given."""

    def back(match: re.Match[str]) -> str:
        code = match[1]
        if code[0] in "xu" and len(code) > 1:
            number = int(code[1:], 16)
            return chr(0xDC00 + number) if code[0] == "x" and number >= 0xA0 else chr(number)
        return {"n": "\n", "r": "\r", "t": "\t"}.get(code, code)

    return re.sub(r"\\(x[0-9a-f]{2}|u[0-9a-f]{4}|.)", back, text)


def spreadsheet_text(cell: str) -> str:
    """The text that `spreadsheet_cell` was given."""
    return cell.removeprefix("'")
