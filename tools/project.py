"""The dependencies in pyproject.toml, for the other scripts here and for .ci/run.

As a script it prints one requirement per line, for `pip install -r`:

    python tools/project.py --group test --without torch,torchvision
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NAME = re.compile(r"[A-Za-z0-9._-]+")


def table() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def dependencies() -> list[str]:
    """What `pip install nsnet` installs with nsnet, as written there."""
    return list(table()["project"]["dependencies"])


def group(name: str) -> list[str]:
    """A dependency group, with the groups that it includes."""
    found: list[str] = []
    for entry in table()["dependency-groups"][name]:
        found += [entry] if isinstance(entry, str) else group(entry["include-group"])
    return found


def name_of(requirement: str) -> str:
    match = NAME.match(requirement)
    assert match, requirement
    return match[0].lower().replace("_", "-").replace(".", "-")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--group", action="append", default=[], help="also this dependency group")
    parser.add_argument("--only", default="", help="only these names, comma-separated")
    parser.add_argument("--without", default="", help="all but these names, comma-separated")
    args = parser.parse_args()
    only, without = (set(filter(None, names.split(","))) for names in (args.only, args.without))
    requirements = dependencies() + [requirement for name in args.group for requirement in group(name)]
    unknown = (only | without) - {name_of(requirement) for requirement in requirements}
    if unknown:
        sys.exit(f"not in pyproject.toml: {', '.join(sorted(unknown))}")
    for requirement in requirements:
        name = name_of(requirement)
        if name not in without and (not only or name in only):
            sys.stdout.write(f"{requirement}\n")


if __name__ == "__main__":
    main()
