"""The options that commands share, in one table: flags, default, range, help and environment variable.

A flag beats the NSNET_* environment, which beats the default. A command names the options it takes:

    @app.command(cls=Command)
    @shared(*TAGGING, *TALKING)
    def explain(video: ..., *, shared: Shared) -> None:
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer
from typer.core import TyperCommand

from nsnet_cli.cli.console import Console
from nsnet_cli.media import Decoder
from nsnet_cli.policies import POLICIES
from nsnet_cli.records import dataclass
from nsnet_cli.types import IndexFrames, TagOptions

if TYPE_CHECKING:
    from nsnet_cli.run.opening import Asked
    from nsnet_cli.weights.wordlist import WordList

SAMPLING, RUNNING, OUTPUT = "Sampling", "Running", "Output"
_TAG = TagOptions()


@dataclass(frozen=True, slots=True)
class OptionRow:
    """One shared option: its flags, its environment variable, and the values it takes."""

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
        "A name from `nsnet models list`, a checkpoint folder, or hub:owner/name@revision.",
        SAMPLING,
        "NSNET_CHECKPOINT",
        metavar="NAME",
    ),
    "tags": OptionRow(
        ("--tags",),
        None,
        'Words of your own to look for, as in "a birthday cake, kite surfing". Needs nsnet[words] and a checkpoint for'
        " any words, such as siglip2-b32.",
        SAMPLING,
        "NSNET_TAGS",
        metavar="WORDS",
    ),
    "tags_file": OptionRow(
        ("--tags-file",),
        None,
        "As --tags, from a file with one entry per line; # begins a comment. [default: words that come with nsnet]",
        SAMPLING,
        "NSNET_TAGS_FILE",
        metavar="FILE",
    ),
    "prompts": OptionRow(
        ("--prompts",),
        None,
        "What each word is put into, in place of {}, before it is read: a file with one prompt per line.",
        SAMPLING,
        "NSNET_PROMPTS",
        metavar="FILE",
    ),
    "policy": OptionRow(
        ("--policy",),
        _TAG.policy,
        "How frames are chosen. " + "; ".join(f"{row.name}: {row.help}" for row in POLICIES.values()) + ".",
        SAMPLING,
        "NSNET_POLICY",
    ),
    "frames": OptionRow(
        ("--frames", "-K"),
        None,
        "K, the salient frames (or clips around them) to recognise per video. [default: the checkpoint's, 4]",
        SAMPLING,
        "NSNET_FRAMES",
        1,
        1024,
        metavar="K",
    ),
    "preview": OptionRow(
        ("--preview", "-T"),
        None,
        "T, the most frames to preview per video. [default: the checkpoint's, 128]",
        SAMPLING,
        "NSNET_PREVIEW",
        1,
        4096,
        metavar="T",
    ),
    "budget": OptionRow(
        ("--budget",),
        None,
        "Recognise more frames while the tags still change, within a limit per video: 2s (seconds), 5% (of the cost"
        " of --policy dense) or 8 (frames).",
        SAMPLING,
        "NSNET_BUDGET",
        metavar="2s|5%|8",
    ),
    "seed": OptionRow(("--seed",), _TAG.seed, "Seed of --policy random.", SAMPLING, "NSNET_SEED", 0, 2**31 - 1, "N"),
    "top_k": OptionRow(("--top-k", "-k"), _TAG.top_k, "Most tags per video.", OUTPUT, "NSNET_TOP_K", 1, 1000, "N"),
    "threshold": OptionRow(
        ("--threshold",), _TAG.threshold, "Leave out tags with a lower score.", OUTPUT, "NSNET_THRESHOLD", 0.0, 1.0, "X"
    ),
    "precision": OptionRow(
        ("--precision",),
        _TAG.precision,
        "The share of certain tags that should be right, on footage like that of the calibration. Less likely tags are"
        " guesses; 0: guesses only.",
        OUTPUT,
        "NSNET_PRECISION",
        0.0,
        1.0,
        "P",
    ),
    "index_frames": OptionRow(
        ("--index-frames",),
        "salient",
        "The frames in which `nsnet find` finds any words later, with -o and a checkpoint for any words. all: all"
        " preview frames, which takes longer.",
        OUTPUT,
        "NSNET_INDEX_FRAMES",
    ),
    "device": OptionRow(
        ("--device",),
        "auto",
        "Where the networks run: auto, cpu, torch-cpu, cuda or mps.",
        RUNNING,
        "NSNET_DEVICE",
        metavar="NAME",
    ),
    "fast": OptionRow(
        ("--fast",),
        False,
        "Compute with less precision on the CPU: in bf16 if it can, else the preview in 8 bits.",
        RUNNING,
        "NSNET_FAST",
    ),
    "decoder": OptionRow(("--decoder",), _TAG.decoder, "The library that decodes videos.", RUNNING, "NSNET_DECODER"),
    "jobs": OptionRow(
        ("--jobs", "-j"), 0, "Videos to work on at the same time; 0: one per core.", RUNNING, "NSNET_JOBS", 0, 256, "N"
    ),
    "timeout": OptionRow(
        ("--timeout",),
        0.0,
        "Most seconds for decoding one video; 0: a limit that grows with its length.",
        RUNNING,
        "NSNET_TIMEOUT",
        0.0,
        metavar="SECONDS",
    ),
    "quiet": OptionRow(("--quiet", "-q"), False, "Only errors on stderr.", RUNNING, "NSNET_QUIET"),
    "verbose": OptionRow(("--verbose", "-v"), False, "More detail on stderr.", RUNNING, "NSNET_VERBOSE"),
}


def option(name: str, **more: Any) -> Any:
    """The typer option for a row of OPTIONS. `more` overrides parts of it, such as the help text."""
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
    """The values of the shared options. An option that the command does not take has its default."""

    checkpoint: str = OPTIONS["checkpoint"].default
    tags: str | None = OPTIONS["tags"].default
    tags_file: str | None = OPTIONS["tags_file"].default
    prompts: str | None = OPTIONS["prompts"].default
    index_frames: IndexFrames = OPTIONS["index_frames"].default
    policy: PolicyName = OPTIONS["policy"].default
    frames: int | None = OPTIONS["frames"].default
    preview: int | None = OPTIONS["preview"].default
    budget: str | None = OPTIONS["budget"].default
    seed: int = OPTIONS["seed"].default
    top_k: int = OPTIONS["top_k"].default
    threshold: float = OPTIONS["threshold"].default
    precision: float = OPTIONS["precision"].default
    device: str = OPTIONS["device"].default
    fast: bool = OPTIONS["fast"].default
    decoder: Decoder = OPTIONS["decoder"].default
    jobs: int = OPTIONS["jobs"].default
    timeout: float = OPTIONS["timeout"].default
    quiet: bool = OPTIONS["quiet"].default
    verbose: bool = OPTIONS["verbose"].default

    @property
    def timeout_s(self) -> float | None:
        return self.timeout or None

    def words(self) -> WordList | None:
        """The words that a user names; None: none. Raises UsageError."""
        from nsnet_cli.weights.wordlist import asked_words

        return asked_words(self.tags, self.tags_file, self.prompts)

    def console(self) -> Console:
        return Console(self.quiet, self.verbose)

    def asked(self) -> Asked:
        """The options that a tagger is opened with. Raises UsageError if the budget cannot be read."""
        from nsnet_cli.run.opening import Asked

        values = {field.name: getattr(self, field.name) for field in fields(Asked) if field.name != "words"}
        return Asked(**{**values, "budget": check_budget(self.budget), "words": self.words()})


TAGGING = ("checkpoint", "policy", "frames", "preview", "budget", "seed", "device", "fast", "decoder", "timeout")
"""The options of every command that tags videos."""
WORDS = ("tags", "tags_file", "prompts")
"""What a checkpoint for any words looks for."""
TALKING = ("quiet", "verbose")


def shared(*names: str, **changes: dict[str, Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Gives a command these shared options; it gets their values as one argument, `shared: Shared`.

    `changes` names further options and what differs for this command, such as another help text.
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
    """The budget (`2s`, `5%` or `8`) in its normal form, or None. Raises UsageError."""
    if not budget:
        return None
    from nsnet_cli.selection import Budget as Parsed  # imports numpy

    return str(Parsed.parse(budget))


# ---- what every command is made of -----------------------------------------------------------------------------------


class Command(TyperCommand):
    """A command whose help lists options under headings, in plain text (importing rich costs 0.1 s)."""

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
    """The typer app of a command module: plain help, no completion options, exceptions left to cli/app.py."""
    defaults: dict[str, Any] = {
        "add_completion": False,
        "rich_markup_mode": None,
        "pretty_exceptions_enable": False,
        "context_settings": {"help_option_names": ["-h", "--help"], "max_content_width": 110},
    }
    return typer.Typer(**{**defaults, **settings})
