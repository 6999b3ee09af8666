"""The errors of nsnet. Each names the thing, the value and the next step, and knows its exit code and its kind."""

from __future__ import annotations

EXIT_OK = 0
EXIT_UNEXPECTED = 1
EXIT_USAGE = 2
EXIT_SOME_FAILED = 3
EXIT_NO_INPUT = 4
EXIT_WEIGHTS = 5
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


class NsnetError(Exception):
    """Base of all errors that a user should see without a traceback.

    `kind` is a stable snake_case word for programs; `hint` is the next step, in a sentence.
    """

    exit_code = EXIT_UNEXPECTED
    kind = "error"

    def __init__(self, message: str, hint: str | None = None, kind: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if kind is not None:
            self.kind = kind

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message

    def __reduce__(self) -> tuple[object, ...]:
        # Errors are sent between processes: keep hint, kind and notes.
        return (type(self), (self.message, self.hint, self.kind), self.__dict__)


class UsageError(NsnetError):
    """An option or argument cannot be used as given."""

    exit_code = EXIT_USAGE
    kind = "usage"


class VideoError(NsnetError):
    """One video cannot be tagged. `kind` is one of VIDEO_ERROR_KINDS."""

    exit_code = EXIT_SOME_FAILED
    kind = "unreadable"


VIDEO_ERROR_KINDS = (
    "not_found",
    "is_directory",
    "permission_denied",
    "empty_file",
    "not_a_video",
    "no_video_stream",
    "no_frames",
    "truncated",
    "unsupported_codec",
    "too_large",
    "unsafe",
    "changed",
    "output",
    "timeout",
    "out_of_memory",
    "crashed",
    "internal",
    "unreadable",
    "store_busy",
    "store_timeout",
    "connection_cut",
    "range_refused",
)


STORE_KINDS = frozenset({"store_busy", "store_timeout", "connection_cut", "range_refused"})
"""Kinds whose cause is a store of videos, or the network on the way to it."""
LOST_KINDS = frozenset({"timeout", "out_of_memory", "crashed", "internal"}) | STORE_KINDS
"""Kinds whose cause is the machine, the moment or this program, not the file."""
PASSING_KINDS = LOST_KINDS | {"unreadable", "permission_denied"}
"""Kinds that may be over by the next run, which tries these videos again even without --retry-failed."""


class LostVideosError(NsnetError):
    """Too many videos failed for reasons outside their files: a result over the rest would mislead."""

    exit_code = EXIT_SOME_FAILED
    kind = "lost_videos"


class NoInputError(NsnetError):
    """No given path leads to a video."""

    exit_code = EXIT_NO_INPUT
    kind = "no_input"


class OutputError(NsnetError):
    """A result cannot be written to the given place."""

    exit_code = EXIT_USAGE
    kind = "output"


class KeptError(NsnetError):
    """What is kept beside a result is missing, damaged, or not what the result names."""

    exit_code = EXIT_SOME_FAILED
    kind = "kept"


class WeightsError(NsnetError):
    """A checkpoint or one of its files is unknown, missing, unreachable or not what its row says."""

    exit_code = EXIT_WEIGHTS
    kind = "weights"


class DeviceError(NsnetError):
    """The requested device is not available."""

    exit_code = EXIT_WEIGHTS
    kind = "device"
