"""The benchmarks that papers report on: what is measured on which videos. How they are read stands in benchmark.py."""

from __future__ import annotations

from typing import Literal

from nsnet_cli.records import dataclass

Measured = Literal["val", "test"]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One benchmark, as its papers measure it."""

    name: str
    """For messages."""
    measured: Measured
    """The split that figures are reported on. Training never sees it."""
    metric: Literal["map", "top1"]
    folds: tuple[str, ...] = ()
    """Its ways to split train from test, if it has several. The figure is the mean over them."""


ACTIVITYNET = Benchmark("ActivityNet v1.3", "val", "map")
FCVID = Benchmark("FCVID", "test", "map")
MINI_KINETICS = Benchmark("Mini-Kinetics", "val", "top1")
UCF101 = Benchmark("UCF101", "test", "top1", ("1", "2", "3"))


def trained_on(source: object, fold: str) -> str:
    """Returns how a checkpoint names the labels that it was trained on."""
    return f"{source} split {fold}" if fold else str(source)
