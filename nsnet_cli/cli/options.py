"""The options that commands share: one table owns each one's default, range, help and environment variable.

Flag > NSNET_* environment > default. A command takes them as annotated types:

    def tag(top_k: TopK = OPTIONS["top_k"].default, ...)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from nsnet_cli.policies import POLICIES
from nsnet_cli.types import TagOptions

SAMPLING, RUNNING, OUTPUT = "Sampling", "Running", "Output"
_TAG = TagOptions()


@dataclass(frozen=True, slots=True)
class OptionRow:
    """One shared option: where it is said on the command line and in the environment, and what it may be."""

    flags: tuple[str, ...]
    default: Any
    help: str
    panel: str
    env: str | None = None
    min: float | None = None
    max: float | None = None
    metavar: str | None = None


OPTIONS: dict[str, OptionRow] = {
    "checkpoint": OptionRow(
        ("--checkpoint", "-c"),
        "imagenet-lite",
        "Checkpoint: a name of `nsnet models list`, a folder, or hub:owner/name@revision.",
        SAMPLING,
        "NSNET_CHECKPOINT",
        metavar="NAME",
    ),
    "policy": OptionRow(
        ("--policy",),
        _TAG.policy,
        "How frames are chosen: " + "; ".join(f"{row.name}: {row.help}" for row in POLICIES.values()) + ".",
        SAMPLING,
        "NSNET_POLICY",
    ),
    "frames": OptionRow(
        ("--frames", "-K"),
        None,
        "K: frames that the recogniser sees. [default: the checkpoint's, 4]",
        SAMPLING,
        "NSNET_FRAMES",
        1,
        1024,
        metavar="K",
    ),
    "preview": OptionRow(
        ("--preview", "-T"),
        None,
        "T: most frames that the preview looks at. [default: the checkpoint's, 128]",
        SAMPLING,
        "NSNET_PREVIEW",
        1,
        4096,
        metavar="T",
    ),
    "budget": OptionRow(
        ("--budget",),
        None,
        "Spend recogniser frames while the answer changes: 2s (seconds a video), 5% (of dense cost) or 8 (frames).",
        SAMPLING,
        "NSNET_BUDGET",
        metavar="2s|5%|8",
    ),
    "seed": OptionRow(
        ("--seed",), _TAG.seed, "Seed of the policy `random`.", SAMPLING, "NSNET_SEED", 0, 2**31 - 1, "N"
    ),
    "top_k": OptionRow(("--top-k", "-k"), _TAG.top_k, "Tags a video, at most.", OUTPUT, "NSNET_TOP_K", 1, 1000, "N"),
    "threshold": OptionRow(
        ("--threshold",), _TAG.threshold, "Leave out tags that score less.", OUTPUT, "NSNET_THRESHOLD", 0.0, 1.0, "X"
    ),
    "device": OptionRow(
        ("--device",),
        "auto",
        "auto, cpu, torch-cpu, cuda or mps.",
        RUNNING,
        "NSNET_DEVICE",
        metavar="NAME",
    ),
    "decoder": OptionRow(("--decoder",), _TAG.decoder, "What decodes the video.", RUNNING, "NSNET_DECODER"),
    "jobs": OptionRow(
        ("--jobs", "-j"), 0, "Videos worked on side by side; 0 follows the cores.", RUNNING, "NSNET_JOBS", 0, 256, "N"
    ),
    "timeout": OptionRow(
        ("--timeout",),
        0.0,
        "Seconds that decoding one video may take; 0 follows the video's length.",
        RUNNING,
        "NSNET_TIMEOUT",
        0.0,
        metavar="SECONDS",
    ),
    "quiet": OptionRow(("--quiet", "-q"), False, "Errors only on stderr.", RUNNING, "NSNET_QUIET"),
    "verbose": OptionRow(("--verbose", "-v"), False, "Say more on stderr.", RUNNING, "NSNET_VERBOSE"),
}


def option(name: str, **more: Any) -> Any:
    """The typer option of a row of OPTIONS. `more` overrides (a command may want another help text)."""
    row = OPTIONS[name]
    values: dict[str, Any] = {
        "help": row.help,
        "envvar": row.env,
        "rich_help_panel": row.panel,
        "metavar": row.metavar,
        "min": row.min,
        "max": row.max,
        "show_default": row.default is not None and row.default is not False,
        "show_envvar": True,
    }
    return typer.Option(*row.flags, **{**values, **more})


CheckpointName = Annotated[str, option("checkpoint")]
if TYPE_CHECKING:
    PolicyChoice = str
else:
    PolicyChoice = Literal[tuple(POLICIES)]
PolicyName = Annotated[PolicyChoice, option("policy")]
Frames = Annotated[int | None, option("frames")]
Preview = Annotated[int | None, option("preview")]
Budget = Annotated[str | None, option("budget")]
Seed = Annotated[int, option("seed")]
TopK = Annotated[int, option("top_k")]
Threshold = Annotated[float, option("threshold")]
Device = Annotated[str, option("device")]
Decoder = Annotated[Literal["auto", "pyav", "decord"], option("decoder")]
Jobs = Annotated[int, option("jobs")]
Timeout = Annotated[float, option("timeout")]
Quiet = Annotated[bool, option("quiet")]
Verbose = Annotated[bool, option("verbose")]


def check_budget(budget: str | None) -> str | None:
    """`2s`, `5%` or `8` in its one spelling; None where there is none. Raises UsageError."""
    if not budget:
        return None
    from nsnet_cli.selection import Budget as Parsed  # numpy comes with it

    return str(Parsed.parse(budget))


def tag_options(
    checkpoint: str, *, frames: int | None = None, preview: int | None = None, budget: str | None = None, **others: Any
) -> TagOptions:
    """The options of a run: what was asked, and the checkpoint's own number of frames where nothing was."""
    from nsnet_cli.weights.checkpoint import resolve_checkpoint

    row = resolve_checkpoint(checkpoint)
    return TagOptions(
        frames=frames or row.frames,
        preview=preview or max(row.preview_frames, frames or 0),
        budget=check_budget(budget),
        **others,
    )


# ---- how every command is made ---------------------------------------------------------------------------------------


class Command(TyperCommand):
    """A command whose help lists its options under their headings, in plain text (rich costs 0.1 s to import)."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                kind = "Arguments" if param.param_type_name == "argument" else "Options"
                heading = getattr(param, "rich_help_panel", None) or kind
                sections.setdefault(heading, []).append(record)
        for heading in sorted(sections, key=lambda h: (h == "Options", h != "Arguments")):
            with formatter.section(heading):
                formatter.write_dl(sections[heading])


def new_app(**settings: Any) -> typer.Typer:
    """A typer app as every command module has one: plain help, no completion options, exceptions left to cli/app.py."""
    defaults: dict[str, Any] = {
        "add_completion": False,
        "rich_markup_mode": None,
        "pretty_exceptions_enable": False,
        "context_settings": {"help_option_names": ["-h", "--help"], "max_content_width": 110},
    }
    return typer.Typer(**{**defaults, **settings})
