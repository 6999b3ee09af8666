"""File names of clips: from the name of the video and the span, fit for any file system. Pure functions."""

from __future__ import annotations

import math
from pathlib import Path

from nsnet_cli.outputs.names import fit_name, spelled


def clip_name(video: Path, start_s: float, end_s: float, ending: str, number: int = 1) -> str:
    """Returns 'clip-0m12.5s-0m18.0s.mp4' for 12.5 to 18 s of clip.mov; 'clip-0m12.5s-0m18.0s-2.mp4' for number 2."""
    again = f"-{number}" if number > 1 else ""
    return fit_name(spelled(video.stem), f"-{moment(start_s)}-{moment(end_s)}{again}{ending}")


def moment(at_s: float) -> str:
    """Writes a time for a file name: 0m12.5s, 1h02m03.5s."""
    tenths = max(0, math.floor(10 * at_s + 0.5))
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{tenths // 10:02d}.{tenths % 10}s" if hours or minutes else f"{tenths / 10:.1f}s"
    return f"{hours}h{minutes:02d}m{seconds}" if hours else f"{minutes}m{seconds}"
