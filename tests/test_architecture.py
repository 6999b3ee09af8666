"""The shape of the code: imports go one way and without circles; modules, functions and lines are short."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "nsnet_cli"
LONGEST_MODULE, LONGEST_FUNCTION, LONGEST_LINE = 330, 60, 120

LAYERS = (
    ("records",),
    ("errors", "text", "cores", "progress", "stopwatch", "calibration"),
    ("bounded", "atomic", "selection", "sniffing", "search"),
    ("policies", "media"),
    ("types",),
    ("hierarchy", "looking", "lists", "kept", "spans", "storage"),
    ("inputs", "weights", "why", "words", "manifests", "fingerprint"),
    ("render",),
    ("reading", "video", "nets", "outputs"),
    ("startup", "stages"),
    ("presence", "previewing", "viewing"),
    ("answer",),
    ("stopping", "moments"),
    ("tagger",),
    ("index",),
    ("run",),
    ("labelled",),
    ("calibrating",),
    ("evaluation",),
    ("training",),
    ("adapting",),
    ("cli",),
)
"""From the bottom up: a module may import from layers below its own, and inside its own package."""


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


def imports(path: Path, known: dict[str, Path]) -> set[str]:
    """The nsnet modules that a file imports anywhere: at its top, in functions, or only for types."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "nsnet_cli":
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in known else str(node.module))
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "nsnet_cli"}
    return found


def part(module: str) -> str:
    """The top-level part of the package that a module belongs to."""
    return module.split(".")[1] if "." in module else ""


def graph() -> dict[str, set[str]]:
    """Without `nsnet_cli` itself: it imports lazily, and every module may read its version."""
    known = modules()
    return {name: imports(path, known) - {name, "nsnet_cli"} for name, path in known.items() if name != "nsnet_cli"}


def circles(edges: dict[str, set[str]]) -> Iterator[list[str]]:
    """Every circle that a depth-first walk finds."""
    done: set[str] = set()

    def walk(name: str, way: list[str]) -> Iterator[list[str]]:
        if name in way:
            yield [*way[way.index(name) :], name]
        elif name not in done:
            for other in sorted(edges.get(name, ())):
                yield from walk(other, [*way, name])
            done.add(name)

    for name in sorted(edges):
        yield from walk(name, [])


def test_there_are_no_import_circles():
    assert [" -> ".join(circle) for circle in circles(graph())] == []


def test_a_circle_would_be_found():
    assert list(circles({"a": {"b"}, "b": {"c"}, "c": {"a"}})) == [["a", "b", "c", "a"]]


def test_arrows_point_down():
    height = {name: level for level, names in enumerate(LAYERS) for name in names}
    wrong = []
    for module, targets in graph().items():
        here = part(module)
        for target in targets:
            there = part(target)
            if here in ("", "__main__") or there in ("", here):  # nsnet_cli itself, and its version
                continue
            if here not in height or there not in height or height[there] >= height[here]:
                wrong.append(f"{module} -> {target}")
    assert wrong == []


def test_modules_and_functions_are_short():
    long = []
    for name, path in modules().items():
        text = path.read_text(encoding="utf-8")
        if text.count("\n") > LONGEST_MODULE:
            long.append(f"{name}: {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno + 1 > LONGEST_FUNCTION:
                long.append(f"{name}.{node.name}: {(node.end_lineno or 0) - node.lineno + 1} lines")
    assert long == []


def test_lines_are_short():
    files = [*PACKAGE.rglob("*.py"), *ROOT.glob("tests/*.py"), *ROOT.glob("benchmarks/*.py"), *ROOT.glob("tools/*.py")]
    files += [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*")]
    long = []
    for path in files:
        if path.is_file() and path.suffix in (".py", ".md", ".sh"):
            lines = path.read_text(encoding="utf-8").splitlines()
            long += [f"{path.relative_to(ROOT)}:{i}" for i, line in enumerate(lines, 1) if len(line) > LONGEST_LINE]
    assert long == []
