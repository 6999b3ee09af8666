"""A report as a table, as CSV and as a plot."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from math import isfinite
from pathlib import Path

from nsnet_cli.evaluation.evaluate import Report, Row, row_dict
from nsnet_cli.outputs.figures import save_figure, subplots

COLUMNS = ("policy", "K", "top-1", "top-5", "mAP", "AUC", "AP", "preview", "recognised", "GFLOPs", "seconds")
CERTAIN_COLUMNS = ("policy", "K", "shown", "precision", "coverage", "all tags", "all labels", "ECE", "IoU")


def table(report: Report, width: int | None = None) -> str:
    """For people: one line per policy and K."""
    return _grid(COLUMNS, [_cells(row) for row in report.rows], width)


def certain_table(report: Report, width: int | None = None) -> str | None:
    """For people: the certain tags, one line per policy and K that could be judged. None if none could."""
    rows = [row for row in report.rows if row.certain]
    if not rows or rows[0].certain is None:
        return None
    head = f"certain tags at --precision {rows[0].certain.promise.precision:g}"
    return f"{head}\n{_grid(CERTAIN_COLUMNS, [_certain_cells(row) for row in rows], width)}"


def _grid(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int | None) -> str:
    from rich.console import Console
    from rich.table import Table

    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        grid.add_column(name, justify="left" if name == "policy" else "right", no_wrap=True)
    for row in rows:
        grid.add_row(*row)
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
    yield from _protocol(report)
    yield "random: mean of 5 draws; GFLOPs: a multiply-add counts as one"
    if report.costs:
        yield (
            "seconds: frames per video times the cost of one frame, measured in this run on"
            f" {report.costs.videos} of the videos"
        )

    if any(row.certain for row in report.rows):
        yield (
            "a certain tag is right if it is a label or stands over one; precision: right first tags of those shown,"
            " ± a standard error; coverage: right first tags of all videos"
        )
        yield "all tags: the precision of all certain tags; all labels: the share that a certain tag is or stands over"
        yield "ECE: mean distance of probability and share right; IoU: spans of right certain tags against the segments"


def _protocol(report: Report) -> Iterator[str]:
    """What must be known to compare with published figures on a benchmark."""
    if report.benchmark is None or report.classes is None:
        return
    if report.splits > 1:
        yield f"each figure is the mean over {report.splits} splits"
    best = report.rows[0]
    if report.share_shown == 1:
        yield f"mAP: mean over all {report.classes} classes"
    else:
        of_all = 100 * best.map * report.share_shown
        yield (
            f"mAP: mean over the {report.classes_shown} of {report.classes} classes that these videos show; with 0 for"
            f" the others, as AR-Net counts, that of {' K='.join(_names(best))} is {of_all:.1f}"
            f" ({of_all - 100 * best.map:+.1f})"
        )
    if report.multi_label:
        yield "mAP is over sigmoid scores, papers take softmax: train with --single-label to compare"
    yield "GFLOPs and seconds are those of all that runs: decoding, preview network, sampler and recogniser"


def _certain_cells(row: Row) -> list[str]:
    assert row.certain is not None
    found = row.certain.figures()

    def share(name: str) -> str:
        return "" if found[name] is None else f"{100 * (found[name] or 0):.1f}"

    error = f" ± {share('precision_error')}" if found["precision_error"] is not None else ""
    iou = row.certain.span_iou
    return [
        *_names(row),
        share("shown"),
        share("precision") + error,
        *(share(name) for name in ("coverage", "tag_precision", "tag_coverage")),
        f"{row.certain.calibration_error:.3f}",
        f"{iou:.3f}" if isfinite(iou) else "",
    ]


def _names(row: Row) -> list[str]:
    return [row.policy, "all" if row.k is None else str(row.k)]


def _cells(row: Row) -> list[str]:
    found = row.saliency
    return [
        *_names(row),
        *(f"{100 * value:.1f}" for value in (row.top1, row.top5, row.map)),
        *((f"{found.roc_auc:.3f}", f"{found.average_precision:.3f}") if found else ("", "")),
        f"{row.preview_frames:.1f}",
        f"{row.recognised_frames:.1f}",
        f"{row.gflops.total:.2f}",
        f"{row.seconds.total:.3f}" if row.seconds else "",
    ]


def csv_text(report: Report) -> str:
    """One line per policy and K, with columns per stage, and with those of certain tags if any were measured."""
    out = io.StringIO()
    lines = [_flat(row) for row in report.rows]
    names = dict.fromkeys(key for line in lines for key in line)
    writer = csv.DictWriter(out, fieldnames=list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


def _flat(row: Row) -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in row_dict(row).items():
        if key in ("gflops", "seconds", "certain"):
            flat |= {f"{key}_{stage}": number for stage, number in (value or {}).items()}
        else:
            flat[key] = value
    return flat


def plot(report: Report, path: Path) -> None:
    """Draws accuracy against GFLOPs and against seconds per video, in the format of the suffix. Raises OutputError.

    Accuracy is top-1, or what a benchmark's papers report.
    """
    metric = report.benchmark.metric if report.benchmark else "top1"
    costs = {"GFLOPs per video": lambda row: row.gflops.total}
    if report.costs:
        costs["seconds per video"] = lambda row: row.seconds.total if row.seconds else float("nan")
    figure, axes = subplots(1, len(costs), figsize=(6.4 * len(costs), 4.8), sharey=True, squeeze=False)
    for axis, (name, of) in zip(axes[0], costs.items(), strict=True):
        _panel(axis, report, of, metric)
        axis.set_xlabel(name)
    axes[0][0].set_ylabel("mAP, %" if metric == "map" else "top-1, %")
    axes[0][0].legend(fontsize=8, loc="best")
    figure.suptitle(f"{report.checkpoint}: {report.videos} videos", fontsize=11)
    save_figure(figure, path)


def _panel(axis, report: Report, cost, metric: str) -> None:  # type: ignore[no-untyped-def]
    """One line per policy, one dot per K with the K written beside it."""
    for policy in dict.fromkeys(row.policy for row in report.rows):
        rows = [row for row in report.rows if row.policy == policy]
        x, y = [cost(row) for row in rows], [100 * getattr(row, metric) for row in rows]
        style = {"nsnet": "-o", "oracle": "--^", "dense": "s"}.get(policy, "-.")
        axis.plot(x, y, style, label=policy, linewidth=2.2 if policy == "nsnet" else 1.1, markersize=5)
        for row, a, b in zip(rows, x, y, strict=True):
            if policy in ("nsnet", "uniform") and row.k:
                axis.annotate(f"K={row.k}", (a, b), textcoords="offset points", xytext=(4, 4), fontsize=7)
    axis.set_xscale("log")
    axis.grid(alpha=0.3)
