"""The mean over the splits of a benchmark that has several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np

from nsnet_cli.evaluation.evaluate import Report


def mean_report(reports: Sequence[Report], checkpoint: str) -> Report:
    """Returns one report with the mean of each figure; of one report: that report. `checkpoint`: the name to show.

    Certain tags are left out: their errors are not those of a mean.
    """
    first = reports[0]
    if len(reports) == 1:
        return first
    same = zip(*(report.rows for report in reports), strict=True)
    rows = [_mean([replace(row, certain=None) for row in each]) for each in same]
    costs = [report.costs for report in reports]
    return replace(
        first,
        checkpoint=checkpoint,
        checkpoint_hash=",".join(report.checkpoint_hash for report in reports),
        videos=sum(report.videos for report in reports),
        asked=sum(report.asked or 0 for report in reports),
        rows=tuple(rows),
        costs=_mean(costs),
        splits=len(reports),
    )


def _mean(values: Sequence[Any]) -> Any:
    """Returns the mean of numbers, or of each field of dataclasses. What is no number is the first one."""
    first = values[0]
    if is_dataclass(first) and not isinstance(first, type):
        of = {field.name: _mean([getattr(value, field.name) for value in values]) for field in fields(first)}
        return replace(first, **of)
    if isinstance(first, dict):
        return {key: _mean([value[key] for value in values]) for key in first}
    return float(np.mean(values)) if isinstance(first, float) else first
