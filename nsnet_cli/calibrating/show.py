"""What was measured as a table, as a section of the model card and as a picture."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

from nsnet_cli.calibrating.calibrate import LEAST_SHOWN, LEAST_SOURCES, Measured
from nsnet_cli.calibrating.reliability import Promise
from nsnet_cli.outputs.figures import save_figure, subplots

COLUMNS = ("promised", "precision", "error", "coverage", "per tag", "shown")
HEADING = "## Calibration"


def table(measured: Measured, width: int | None = None) -> str:
    """For people: one line per promised precision, then one about the videos."""
    from rich.console import Console
    from rich.table import Table

    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name in COLUMNS:
        grid.add_column(name, justify="right", no_wrap=True)
    for one in measured.promises:
        grid.add_row(*_cells(one))
    out = io.StringIO()
    Console(file=out, width=width or 100, color_system=None).print(grid)
    lines = [out.getvalue().rstrip("\n")] if measured.promises else []
    return "\n".join([*lines, *filter(None, [error_line(measured)]), about(measured)])


def _cells(one: Promise) -> list[str]:
    shares = (one.precision_measured, one.error, one.coverage, one.tag_precision)
    return [f"{one.precision:g}", *("" if share is None else f"{share:.3f}" for share in shares), str(one.shown)]


def error_line(measured: Measured) -> str:
    if measured.calibration_error is None:
        return ""
    nodes = sum(one.count for one in measured.bins)
    return f"expected calibration error {measured.calibration_error:.3f} over {nodes} tags"


def about(measured: Measured) -> str:
    made = f", and {measured.made} made videos (fitted, not measured)" if measured.made else ""
    return f"{measured.videos} videos, {measured.sources} sources, {measured.right_tags} right tags{made}"


def warnings(measured: Measured) -> Iterator[str]:
    """Which promises these videos are too few to check."""
    if not measured.promises:
        yield f"nothing could be measured: no source could be left out of the fit; at least {LEAST_SOURCES} are needed"
    elif measured.sources < LEAST_SOURCES:
        yield (
            f"{measured.sources} sources are too few to check any promised precision: at least {LEAST_SOURCES} are"
            " needed (clips of one recording are one source)"
        )
    elif few := measured.too_small_for:
        named = ", ".join(f"{precision:g}" for precision in few)
        yield (
            f"too few videos to check --precision {named}: fewer than {LEAST_SHOWN} of them show a judged tag that is"
            " that certain"
        )


def notes() -> Iterator[str]:
    """What a reader of the table should know."""
    yield (
        "cross-validated by source; precision: of the first certain tags; error: its standard error; coverage: right"
        " first tags per video with something to name; per tag: precision of all certain tags"
    )


def card_section(measured: Measured, command: str) -> str:
    """Markdown for README.md of a checkpoint, with a heading."""
    parts = [
        HEADING,
        f"Probabilities were fitted by `nsnet calibrate` to {about(measured)}. The figures are cross-validated by"
        " source: no video is judged by a calibration that was fitted to its source.",
    ]
    if measured.promises:
        rows = [f"| {' | '.join(_cells(one))} |" for one in measured.promises]
        head = [f"| {' | '.join(COLUMNS)} |", f"|{' --- |' * len(COLUMNS)}"]
        parts += ["\n".join([*head, *rows]), " ".join(notes()).capitalize() + "."]
    parts += [f"{text[0].upper()}{text[1:]}." for text in filter(None, [error_line(measured), *warnings(measured)])]
    if command:
        parts.append(f"```\n{command}\n```")
    return "\n\n".join(parts) + "\n"


def with_section(card: str, section: str) -> str:
    """The card with this section, in place of an older one or at its end."""
    lines = card.splitlines(keepends=True)
    starts = [n for n, line in enumerate(lines) if line.startswith("## ")]
    first = next((n for n in starts if lines[n].strip() == HEADING), None)
    if first is None:
        return card.rstrip("\n") + "\n\n" + section
    after = next((n for n in starts if n > first), len(lines))
    rest = "".join(lines[after:])
    return "".join(lines[:first]) + section + ("\n" + rest if rest else "")


def plot(measured: Measured, name: str, path: Path) -> None:
    """Draws how often tags of a probability are right, in the format of the suffix. Raises OutputError."""
    figure, axis = subplots(figsize=(5.2, 5.2))
    axis.plot([0, 1], [0, 1], "--", color="grey", linewidth=1, label="as often as they say")
    bins = measured.bins
    most = max((one.count for one in bins), default=1)
    axis.plot([one.probability for one in bins], [one.right for one in bins], "-", color="tab:blue", linewidth=1.2)
    axis.scatter(
        [one.probability for one in bins],
        [one.right for one in bins],
        s=[20 + 40 * one.count / most for one in bins],
        color="tab:blue",
        label="tags, in bins of equal number",
    )
    axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="probability", ylabel="share that is right")
    error = "" if measured.calibration_error is None else f", calibration error {measured.calibration_error:.3f}"
    axis.set_title(f"{name}: {measured.videos} videos{error}", fontsize=10)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8, loc="upper left")
    save_figure(figure, path)
