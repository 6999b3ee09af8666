"""Writes docs/cli.md: every command and every option, from the program itself. tests/test_docs.py checks it.

python tools/make_cli_md.py
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import typer

from nsnet_cli.cli.app import COMMANDS

TARGET = Path(__file__).resolve().parents[1] / "docs" / "cli.md"
HEAD = """# Commands and options

Written by `python tools/make_cli_md.py`; do not edit. `nsnet COMMAND --help` says the same.

A flag wins over its environment variable, and the variable wins over the default. stdout carries data only; messages
go to stderr. Exit codes are in [errors.md](errors.md).
"""


def render() -> str:
    """The whole page."""
    parts = [HEAD]
    for name, summary in COMMANDS.items():
        command = typer.main.get_command(import_module(f"nsnet_cli.cli.{name}").app)
        parts += _command(f"nsnet {name}", command, summary)
    return "\n".join(parts)


def _command(path: str, command: Any, summary: str) -> Iterator[str]:
    children: dict[str, Any] = getattr(command, "commands", {})
    yield f"## {path}\n\n{summary if children else _prose(command.help)}\n"
    if children:
        for name, child in children.items():
            yield from (line.replace("## ", "### ", 1) for line in _command(f"{path} {name}", child, ""))
        return
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    usage = " ".join([path, "[OPTIONS]", *(_argument(p) for p in arguments)])
    yield f"    {usage}\n"
    if arguments:
        yield "\n".join(f"- `{_argument(p)}`: {_cell(p.help)}" for p in arguments) + "\n"
    panels: dict[str, list[Any]] = {}
    for param in command.params:
        if param.param_type_name != "argument" and not param.hidden:
            panels.setdefault(getattr(param, "rich_help_panel", None) or "Options", []).append(param)
    for panel in sorted(panels, key=lambda heading: (heading == "Options", heading)):
        yield f"{panel}:\n"
        yield "\n".join(_option(p) for p in panels[panel]) + "\n"


def _argument(param: Any) -> str:
    name = (param.metavar or param.name.upper()).rstrip(".")
    dots = "..." if param.nargs == -1 else ""
    return f"{name}{dots}" if param.required else f"[{name}]{dots}"


def _option(param: Any) -> str:
    flags = ", ".join(f"`{flag}`" for flag in (*param.opts, *param.secondary_opts))
    value = "" if param.is_flag else f" `{_value(param)}`"
    default = param.default if param.show_default and param.default not in (None, False, ()) else None
    facts = [_limits(param.type), f"default `{default}`" if default is not None else ""]
    facts.append(f"variable `{param.envvar}`" if param.envvar else "")
    known = "; ".join(fact for fact in facts if fact)
    text = f"{flags}{value}: {_cell(param.help)}" + (f" ({known})" if known else "")
    # a value such as `table|jsonl` must stay on one line
    return textwrap.fill(text, 118, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False)


def _value(param: Any) -> str:
    """What stands for a value. Written here, for releases of typer spell it differently."""
    if param.metavar or hasattr(param.type, "choices"):
        return str(param.metavar or "|".join(map(str, param.type.choices)))
    kind = param.type.name
    return next((sign for word, sign in (("int", "N"), ("float", "X"), ("path", "PATH")) if word in kind), "TEXT")


def _limits(kind: Any) -> str:
    low, high = getattr(kind, "min", None), getattr(kind, "max", None)
    if low is None and high is None:
        return ""
    return f"at least {low}" if high is None else f"{low} to {high}"


def _cell(text: str | None) -> str:
    return " ".join((text or "").split())


def _prose(text: str | None) -> str:
    return "\n".join(line.strip() for line in (text or "").strip().splitlines())


if __name__ == "__main__":
    TARGET.write_text(render(), encoding="utf-8")
    print(f"wrote {TARGET}")
