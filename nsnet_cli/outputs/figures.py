"""Figures of measurements, drawn with matplotlib: where they go and how they are written."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from nsnet_cli.errors import OutputError
from nsnet_cli.outputs.save import check_target, save

DPI = 120


def figure_target(path: Path) -> Path:
    """Where a figure goes; a name without an ending gets .png. Raises OutputError if the file must not be replaced."""
    if not path.suffix:
        path = path.with_name(path.name.rstrip(".") + ".png")
    check_target(path)
    return path


def subplots(*grid: int, **options: Any) -> Any:
    """Returns a figure and its axes, as matplotlib's subplots does. Nothing is shown on a screen."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot.subplots(*grid, **options)


def save_figure(figure: Any, path: Path) -> None:
    """Writes a figure in the format of the suffix, and closes it. Raises OutputError."""
    from matplotlib import pyplot

    out = io.BytesIO()
    try:
        figure.tight_layout()
        figure.savefig(out, format=path.suffix[1:], dpi=DPI)
    except ValueError as error:
        raise OutputError(f"cannot write the plot {path}: {error}", "end its name in .png, .svg or .pdf") from error
    finally:
        pyplot.close(figure)
    save(path, out.getvalue())
