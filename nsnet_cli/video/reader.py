"""One open video: what it is, its preview, and later views of it at given times.

A VideoReader reads in this process (`open_video`) or in a process that can be killed (`DecodePool.open`). Imports
nothing that decodes: the program that tags needs the shape alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    import numpy as np

    from nsnet_cli.media import DecodeReport, FrameBatch, InputSpec, PlannedFrame, PreviewPlan, VideoInfo


class Closing:
    """A block that ends by calling `close`."""

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class VideoReader(Protocol):
    """One open video. Times count from the container's start. Use it in one thread, and close it."""

    @property
    def info(self) -> VideoInfo: ...

    @property
    def plan(self) -> PreviewPlan: ...

    @property
    def report(self) -> DecodeReport:
        """What the preview took, with what was read by `more`. Available once the preview is read to its end."""
        ...

    def preview(self) -> Iterator[FrameBatch]:
        """Yields the planned frames (N, S, S, 3) in batches, as they are decoded. Can be read once."""
        ...

    def more(self, frames: Sequence[PlannedFrame]) -> Iterator[FrameBatch]:
        """Yields these frames of `plan.later` as `preview` yields its own. Call it after the preview."""
        ...

    def views(self, at_s: Sequence[float] | np.ndarray, spec: InputSpec) -> FrameBatch:
        """Returns K views: pixels (K, F, S, S, 3), pts_s (K, F). Call it after the preview.

        `at_s` are times (K,), as `views.view_times` understands them, or the times of all frames (K, F).
        """
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
