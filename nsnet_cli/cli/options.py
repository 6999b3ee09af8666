"""The options that commands share: one table owns each one's default, range, help and environment variable.

Flag > NSNET_* environment > default. A command takes those that it names:

    @app.command(cls=Command)
    @shared(*TAGGING, *TALKING)
    def explain(video: ..., *, shared: Shared) -> None:
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer
from typer.core import TyperCommand

from nsnet_cli.cli.console import Console
from nsnet_cli.media import Decoder
from nsnet_cli.policies import POLICIES
from nsnet_cli.types import TagOptions

if TYPE_CHECKING:
    from nsnet_cli.run.opening import Asked

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


if TYPE_CHECKING:
    PolicyName = str
else:
    PolicyName = Literal[tuple(POLICIES)]


@dataclass(frozen=True, slots=True)
class Shared:
    """The values of the shared options. A command that does not take one has its default."""

    checkpoint: str = OPTIONS["checkpoint"].default
    policy: PolicyName = OPTIONS["policy"].default
    frames: int | None = OPTIONS["frames"].default
    preview: int | None = OPTIONS["preview"].default
    budget: str | None = OPTIONS["budget"].default
    seed: int = OPTIONS["seed"].default
    top_k: int = OPTIONS["top_k"].default
    threshold: float = OPTIONS["threshold"].default
    device: str = OPTIONS["device"].default
    decoder: Decoder = OPTIONS["decoder"].default
    jobs: int = OPTIONS["jobs"].default
    timeout: float = OPTIONS["timeout"].default
    quiet: bool = OPTIONS["quiet"].default
    verbose: bool = OPTIONS["verbose"].default

    @property
    def timeout_s(self) -> float | None:
        return self.timeout or None

    def console(self) -> Console:
        return Console(self.quiet, self.verbose)

    def asked(self) -> Asked:
        """What a tagger is opened with. Raises UsageError for a budget that cannot be read."""
        from nsnet_cli.run.opening import Asked

        values = {field.name: getattr(self, field.name) for field in fields(Asked)}
        return Asked(**{**values, "budget": check_budget(self.budget)})


TAGGING = ("checkpoint", "policy", "frames", "preview", "budget", "seed", "device", "decoder", "timeout")
"""The options of every command that tags videos."""
TALKING = ("quiet", "verbose")


def shared(*names: str, **changes: dict[str, Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command these shared options; it gets their values as one argument, `shared: Shared`.

    `changes` are options too, with what is different about them here (another help text).
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        hints = get_type_hints(command, include_extras=True)
        kinds = get_type_hints(Shared)
        own = [p.replace(annotation=hints[p.name]) for p in inspect.signature(command).parameters.values()]
        more = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=OPTIONS[name].default,
                annotation=Annotated[kinds[name], option(name, **changes.get(name, {}))],
            )
            for name in (*names, *changes)
        ]
        parameters = [p for p in own if p.name != "shared"] + more

        def called(**values: Any) -> Any:
            taken = {p.name: values.pop(p.name) for p in more}
            return command(**values, shared=Shared(**taken))

        called.__name__, called.__doc__, called.__module__ = command.__name__, command.__doc__, command.__module__
        called.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": hints.get("return")}
        called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return called

    return decorate


def check_budget(budget: str | None) -> str | None:
    """`2s`, `5%` or `8` in its one spelling; None where there is none. Raises UsageError."""
    if not budget:
        return None
    from nsnet_cli.selection import Budget as Parsed  # numpy comes with it

    return str(Parsed.parse(budget))


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
