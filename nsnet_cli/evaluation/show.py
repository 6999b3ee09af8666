"""A report as a table, as CSV and as a plot."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from nsnet_cli.errors import OutputError
from nsnet_cli.evaluation.evaluate import Report, Row, row_dict
from nsnet_cli.outputs.save import check_target, save

COLUMNS = ("policy", "K", "top-1", "top-5", "mAP", "AUC", "AP", "preview", "recognised", "GFLOPs", "seconds")


def table(report: Report, width: int | None = None) -> str:
    """For people: one line per policy and K."""
    from rich.console import Console
    from rich.table import Table

    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name in COLUMNS:
        grid.add_column(name, justify="left" if name == "policy" else "right", no_wrap=True)
    for row in report.rows:
        grid.add_row(*_cells(row))
    out = io.StringIO()
    Console(file=out, width=width or 120, color_system=None).print(grid)
    return out.getvalue().rstrip("\n")


def notes(report: Report) -> Iterator[str]:
    """What a reader of the table should know."""
    if report.videos_with_segments:
        yield (
            f"{report.coverage:.1%} of the {report.videos_with_segments} videos with segments have a preview frame in"
            " one; AUC and AP: saliency against the segments, over all preview frames"
        )
    yield "random: mean of 5 draws; GFLOPs: a multiply-add counts as one"
    if report.costs:
        yield (
            "seconds: frames per video times the cost of one frame, measured in this run on"
            f" {report.costs.videos} of the videos"
        )


def _cells(row: Row) -> list[str]:
    found = row.saliency
    return [
        row.policy,
        "all" if row.k is None else str(row.k),
        *(f"{100 * value:.1f}" for value in (row.top1, row.top5, row.map)),
        *((f"{found.roc_auc:.3f}", f"{found.average_precision:.3f}") if found else ("", "")),
        f"{row.preview_frames:.1f}",
        f"{row.recognised_frames:.1f}",
        f"{row.gflops.total:.2f}",
        f"{row.seconds.total:.3f}" if row.seconds else "",
    ]


def csv_text(report: Report) -> str:
    """One line per policy and K, with columns per stage."""
    out = io.StringIO()
    writer: csv.DictWriter[str] | None = None
    for row in report.rows:
        flat: dict[str, object] = {}
        for key, value in row_dict(row).items():
            if key in ("gflops", "seconds"):
                flat |= {f"{key}_{stage}": number for stage, number in (value or {}).items()}
            else:
                flat[key] = value
        if writer is None:
            writer = csv.DictWriter(out, fieldnames=list(flat), lineterminator="\n")
            writer.writeheader()
        writer.writerow(flat)
    return out.getvalue()


def plot_target(path: Path) -> Path:
    """Where the plot goes; a name without an ending gets .png. Raises OutputError if the file must not be replaced."""
    if not path.suffix:
        path = path.with_name(path.name.rstrip(".") + ".png")
    check_target(path)
    return path


def plot(report: Report, path: Path) -> None:
    """Draws top-1 against GFLOPs and against seconds per video, in the format of the suffix. Raises OutputError."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    costs = {"GFLOPs per video": lambda row: row.gflops.total}
    if report.costs:
        costs["seconds per video"] = lambda row: row.seconds.total if row.seconds else float("nan")
    figure, axes = plt.subplots(1, len(costs), figsize=(6.4 * len(costs), 4.8), sharey=True, squeeze=False)
    for axis, (name, of) in zip(axes[0], costs.items(), strict=True):
        _panel(axis, report, of)
        axis.set_xlabel(name)
    axes[0][0].set_ylabel("top-1, %")
    axes[0][0].legend(fontsize=8, loc="best")
    figure.suptitle(f"{report.checkpoint}: {report.videos} videos", fontsize=11)
    figure.tight_layout()
    out = io.BytesIO()
    try:
        figure.savefig(out, format=path.suffix[1:], dpi=120)
    except ValueError as error:
        raise OutputError(f"cannot write the plot {path}: {error}", "end its name in .png, .svg or .pdf") from error
    finally:
        plt.close(figure)
    save(path, out.getvalue())


def _panel(axis, report: Report, cost) -> None:  # type: ignore[no-untyped-def]
    """One line per policy, one dot per K with the K written beside it."""
    for policy in dict.fromkeys(row.policy for row in report.rows):
        rows = [row for row in report.rows if row.policy == policy]
        x, y = [cost(row) for row in rows], [100 * row.top1 for row in rows]
        style = {"nsnet": "-o", "oracle": "--^", "dense": "s"}.get(policy, "-.")
        axis.plot(x, y, style, label=policy, linewidth=2.2 if policy == "nsnet" else 1.1, markersize=5)
        for row, a, b in zip(rows, x, y, strict=True):
            if policy in ("nsnet", "uniform") and row.k:
                axis.annotate(f"K={row.k}", (a, b), textcoords="offset points", xytext=(4, 4), fontsize=7)
    axis.set_xscale("log")
    axis.grid(alpha=0.3)
