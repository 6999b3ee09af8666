"""The `nsnet` program: its commands, and the one place that turns exceptions into messages and exit codes.

How to add a command (the convention for every file in this folder):

- `nsnet_cli/cli/<name>.py` has `app = new_app()` (from nsnet_cli.cli.options) and functions under
  `@app.command(cls=Command)`. One function makes a command, several make sub-commands (`nsnet models list`). COMMANDS
  below has its line in `nsnet --help`.
- The module is imported only when its command runs. It imports heavy libraries (torch, av, openvino, matplotlib) inside
  functions.
- A command returns its exit code (None is 0) or raises an NsnetError. It never prints: data goes through
  `Console.data`, everything else through the Console's other methods. Library code uses `logging` (loggers named
  "nsnet_cli..."; INFO is shown, DEBUG with --verbose) and nsnet_cli.progress.
- Shared options come from nsnet_cli/cli/options.py, which alone defines their default, range, help and variable.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import Annotated, Any, TextIO

import typer
from typer.core import TyperGroup

from nsnet_cli import __version__
from nsnet_cli.cli import signals
from nsnet_cli.cli.signals import Terminated
from nsnet_cli.cli.streams import buffer_stdout, write_all
from nsnet_cli.errors import (
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_TERMINATED,
    EXIT_UNEXPECTED,
    EXIT_USAGE,
    NsnetError,
    UsageError,
)

EXIT_BROKEN_PIPE = 141
"""What a shell reports for a program that SIGPIPE ended: the reader of stdout has gone."""

COMMANDS = {
    "tag": "Tag videos: files, folders, globs or lists.",
    "find": "Find moments in tagged videos: by words, or by a picture.",
    "explain": "Show why a video got its tags: its saliency timeline.",
    "frames": "Write or list the salient frames of videos.",
    "export": "Hand kept results to editors, players, data and label tools.",
    "merge": "Make one file of the rows of many runs.",
    "train": "Train a sampler and your own tags on your videos.",
    "adapt": "Adapt a sampler to your footage, without labels.",
    "calibrate": "Fit how likely tags are right to videos that a person has judged.",
    "evaluate": "Measure accuracy against cost on labelled videos.",
    "models": "List, download, check and share checkpoints.",
}

UsageMistake: type[Exception] = typer.BadParameter.__mro__[2]  # type: ignore[assignment]
"""Click's ClickException, wherever this version of typer keeps it."""


class LazyGroup(TyperGroup):
    """Imports a command's module when the command runs; `nsnet --help` needs only the table above."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"nsnet_cli.cli.{cmd_name}")
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = args[0] if args else ""
        if name not in COMMANDS and not name.startswith("-"):
            hint = f"did you mean `nsnet tag {name}`?" if os.path.exists(name) else "see nsnet --help"  # noqa: PTH110
            raise UsageError(f"no command named {name!r}", hint)
        return super().resolve_command(ctx, args)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"nsnet {__version__}")
        raise typer.Exit


program = typer.Typer(
    name="nsnet",
    cls=LazyGroup,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@program.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Tag video files: look at many frames cheaply, suppress the non-salient ones, recognise the few that are left.

    See nsnet COMMAND --help for the options of a command.
    """


def run(args: list[str] | None = None) -> int:
    """Runs one command line (default: sys.argv) and returns its exit code. Raises nothing that a user can cause."""
    signals.install()
    _replace_closed_streams()
    buffer_stdout()
    try:
        group = typer.main.get_command(program)
        code = group.main(args, prog_name="nsnet", standalone_mode=False)
        sys.stdout.flush()
        if code == EXIT_INTERRUPTED:  # typer turns KeyboardInterrupt into an exit code
            raise KeyboardInterrupt
        return code if isinstance(code, int) else EXIT_OK
    except BaseException as error:
        return _report(error)


def _replace_closed_streams() -> None:
    """Keeps the numbers of streams that the caller closed (`>&-`), so that no file opened later gets them.

    Writing to a closed stdout then fails.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_WRONLY if name == "stderr" else os.O_RDONLY)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            setattr(sys, name, os.fdopen(number, "r" if name == "stdin" else "w", encoding="utf-8"))


def _report(error: BaseException) -> int:
    """Message, next step and exit code for an exception. The first match wins."""
    debug = os.environ.get("NSNET_DEBUG", "") not in ("", "0")
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else EXIT_UNEXPECTED
    from nsnet_cli.cli.console import ReaderGone

    if isinstance(error, (ReaderGone, BrokenPipeError)):
        _silence(sys.stdout)
        return EXIT_BROKEN_PIPE
    if debug and not isinstance(error, UsageMistake):
        import traceback

        traceback.print_exception(error)
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        return _say("interrupted", None, EXIT_INTERRUPTED)
    if isinstance(error, Terminated):
        return _say("terminated", None, EXIT_TERMINATED)
    if isinstance(error, UsageMistake):
        return _usage(error)
    if isinstance(error, NsnetError):
        return _say(error.message, error.hint, error.exit_code)
    if isinstance(error, MemoryError):
        return _say("out of memory", "lower --jobs or --preview", EXIT_UNEXPECTED)
    if isinstance(error, OSError):
        return _say(_os_error(error), "NSNET_DEBUG=1 shows where", EXIT_UNEXPECTED)
    if isinstance(error, ImportError):
        return _say(f"cannot import: {error}", "reinstall: pip install --force-reinstall nsnet", EXIT_UNEXPECTED)
    return _say(
        f"unexpected {type(error).__name__}: {error}", "this is a bug; NSNET_DEBUG=1 shows where", EXIT_UNEXPECTED
    )


def _usage(error: Exception) -> int:
    """Click's complaint about options, in our two lines. Plain `nsnet` prints the help instead."""
    ctx = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError" and ctx is not None:
        write_all(sys.stderr, (ctx.get_help() + "\n").encode())
        return EXIT_USAGE
    message = error.format_message()  # type: ignore[attr-defined]
    where = ctx.command_path if ctx is not None else "nsnet"
    return _say(message.rstrip("."), f"see {where} --help", EXIT_USAGE)


def _os_error(error: OSError) -> str:
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}" if error.filename else reason


def _say(message: str, hint: str | None, code: int) -> int:
    from nsnet_cli.text import harmless

    lines = [f"nsnet: {harmless(message)}"] + ([f"  {harmless(hint)}"] if hint else [])
    with suppress(OSError, ValueError):  # if stderr is gone, the exit code still tells
        write_all(sys.stderr, ("\n".join(lines) + "\n").encode("utf-8", "backslashreplace"))
    return code


def _silence(stream: TextIO) -> None:
    """Points the stream at /dev/null, so that Python's flush at exit does not complain."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
