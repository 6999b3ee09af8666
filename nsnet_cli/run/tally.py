"""Counts what became of the videos of a run, for one line at its end and for run.json."""

from __future__ import annotations

import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from nsnet_cli.stopwatch import spent
from nsnet_cli.storage.urls import shown
from nsnet_cli.text import clock
from nsnet_cli.types import SCHEMA_VERSION, VideoResult


@dataclass(slots=True)
class Tally:
    """What became of the videos."""

    started: float = field(default_factory=time.monotonic)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    videos: int = 0
    done: int = 0
    rendered: int = 0
    """Videos that were looked at before, and whose results were rendered anew with the options of this run."""
    skipped: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    """Files in folders that are not videos, by ending."""
    failed_before: Counter[str] = field(default_factory=Counter)
    """Skipped videos that failed in an earlier run, by kind of error."""

    def count(self, result: VideoResult) -> None:
        if result.error is None:
            self.done += 1
        else:
            self.failed[result.error.kind] += 1
        if (took := result.timings) is not None:
            spent("decoding", took.decode_s)
            spent("preview network", took.preview_s)
            spent("sampler", took.sampler_s)
            spent("recogniser", took.recognise_s)
            spent("videos from start to end", took.total_s)

    def count_rendered(self, result: VideoResult) -> None:
        if result.error is None:
            self.rendered += 1
        else:
            self.failed[result.error.kind] += 1

    def count_skipped(self, result: VideoResult) -> None:
        self.skipped += 1
        if result.error is not None:
            self.failed_before[result.error.kind] += 1

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    @property
    def not_reached(self) -> int:
        return self.videos - self.done - self.rendered - self.skipped - self.failed.total()

    @property
    def all_internal(self) -> bool:
        """Whether every video that was tried met a bug of ours: this program is broken, not a video."""
        return not self.done and not self.rendered and set(self.failed) == {"internal"}

    def summary(self) -> str:
        """Returns one line: how many, how long, what became of them, and why some failed."""
        parts = [f"{self.done} tagged"]
        if self.rendered:
            parts.append(f"{self.rendered} rendered anew (looked at before)")
        if self.skipped:
            before = f", {self.failed_before.total()} of them failed: --retry-failed" if self.failed_before else ""
            parts.append(f"{self.skipped} skipped (done before{before})")
        if self.failed:
            reasons = ", ".join(f"{count} {kind}" for kind, count in self.failed.most_common())
            parts.append(f"{self.failed.total()} failed ({reasons})")
        if self.not_reached:
            parts.append(f"{self.not_reached} not reached")
        plural = "video" if self.videos == 1 else "videos"
        took = f"{self.seconds:.1f} s" if self.seconds < 60 else clock(self.seconds)
        return f"{self.videos} {plural} in {took}: {', '.join(parts)}"

    def as_dict(self, code: int) -> dict[str, Any]:
        """Returns the content of run.json."""
        return {
            "schema_version": SCHEMA_VERSION,
            "command": [shown(argument) for argument in sys.argv],
            "started": self.started_at.isoformat(timespec="seconds"),
            "seconds": round(self.seconds, 3),
            "videos": self.videos,
            "done": self.done,
            "rendered": self.rendered,
            "skipped": self.skipped,
            "failed": (self.failed + self.failed_before).total(),
            "failed_by_reason": dict((self.failed + self.failed_before).most_common()),
            "failed_before": self.failed_before.total(),
            "not_reached": self.not_reached,
            "left_out": dict(self.left_out.most_common()),
            "exit_code": code,
        }
