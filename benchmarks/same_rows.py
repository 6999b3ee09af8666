"""Do two versions of nsnet give the same results? Keeps those of one and compares them with those of another.

    python benchmarks/same_rows.py keep OUT --data ../shared/data --composites ../build/composites-dev
    python benchmarks/same_rows.py compare OUT_BEFORE OUT_AFTER

It keeps the rows of `nsnet tag --json` over the real clips and 40 composites, those of `nsnet explain --json` over ten
videos, and the report of `nsnet evaluate --json`. Times differ from run to run and are not compared. `--python` names
the interpreter of another installed version.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDERS = ("workout", "fight", "clips", "ucf101-mini")
COMPOSITES, EXPLAINED = 40, 10
SECONDS = {"timings", "seconds", "measured", "fingerprint"}
"""Fields with times, or (fingerprint) the version."""


def keep(args: argparse.Namespace) -> None:
    args.out.mkdir(parents=True, exist_ok=True)
    videos = sorted(str(path) for path in args.composites.glob("*.mp4"))[:COMPOSITES]
    folders = [str(args.data / name) for name in FOLDERS if (args.data / name).is_dir()]
    nsnet(args.python, ["tag", *folders, *videos, "--json", "--quiet"], args.out / "tag.jsonl")
    rows = [json.loads(line) for line in (args.out / "tag.jsonl").read_text().splitlines()]
    fine = sorted(row["path"] for row in rows if row["status"] == "ok")
    explained = args.out / "explain.jsonl"
    explained.unlink(missing_ok=True)
    for path in fine[:: max(1, len(fine) // EXPLAINED)][:EXPLAINED]:
        nsnet(args.python, ["explain", path, "--json", "--quiet"], explained)
    labels = args.composites / "labels.csv"
    nsnet(args.python, ["evaluate", str(labels), "--frames", "4", "--json", "--quiet"], args.out / "evaluate.jsonl")
    print(f"{len(rows)} rows, {EXPLAINED} explained, 1 report in {args.out}")


def nsnet(python: str, arguments: list[str], out: Path) -> None:
    """Runs a command and writes what it prints to `out`. Exit code 3 means rows of bad videos."""
    with out.open("ab" if out.name.startswith("explain") else "wb") as handle:
        code = subprocess.run([python, "-m", "nsnet_cli", *arguments], stdout=handle).returncode
    if code not in (0, 3):
        sys.exit(f"nsnet {' '.join(arguments[:3])} ... ended with {code}")


def compare(args: argparse.Namespace) -> None:
    different = 0
    for name in ("tag.jsonl", "explain.jsonl", "evaluate.jsonl"):
        before, after = (rows(folder / name) for folder in (args.before, args.after))
        for key in sorted(before.keys() | after.keys()):
            for what in differences(before.get(key), after.get(key), ""):
                different += 1
                print(f"{name}: {key}: {what}")
        print(f"{name}: {len(before)} rows before, {len(after)} after")
    print("the same" if not different else f"{different} differences")
    sys.exit(1 if different else 0)


def rows(path: Path) -> dict[str, Any]:
    """Rows by video: their order in the file is that of finishing."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return {str(line.get("path", line.get("labels"))): line for line in lines}


def differences(one: Any, other: Any, where: str) -> Iterator[str]:
    """Every field in which two JSON values differ, without times."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted((one.keys() | other.keys()) - SECONDS):
            yield from differences(one.get(key), other.get(key), f"{where}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for i, (a, b) in enumerate(zip(one, other, strict=True)):
            yield from differences(a, b, f"{where}[{i}]")
    elif one != other:
        yield f"{where}: {json.dumps(one)[:80]} is now {json.dumps(other)[:80]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    first = commands.add_parser("keep")
    first.add_argument("out", type=Path)
    first.add_argument("--data", type=Path, required=True)
    first.add_argument("--composites", type=Path, required=True)
    first.add_argument("--python", default=sys.executable)
    first.set_defaults(run=keep)
    second = commands.add_parser("compare")
    second.add_argument("before", type=Path)
    second.add_argument("after", type=Path)
    second.set_defaults(run=compare)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
