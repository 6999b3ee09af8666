"""The pages of docs/ say what is there: every command, field, kind of error and variable, and none that is not."""

from __future__ import annotations

import ast
import csv
import importlib
import importlib.util
import io
import json
import math
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import sample_results

from nsnet_cli import errors
from nsnet_cli.outputs import csvrows, index, jsonlines, page, pagedata, shown, vtt, xmp
from nsnet_cli.outputs.files import FileOutputs
from nsnet_cli.types import Sign, Source, Tag, TagOptions, VideoResult, Why

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
SOURCE = Source("/videos/clip.mp4", 640_000, 1_700_000_000_000_000_000)
TYPES: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "integer": (int,),
    "number": (int, float),
    "true or false": (bool,),
    "list": (list, tuple),
    "object": (dict,),
    "null": (type(None),),
}

WHY = Why((Sign("mean", 2.3, 0.9), Sign("leaves", 0.0, 0.0)), 1.2, -0.5, 1.0, "tabby", 4, 4, 0.91, 19, 24)
Values = dict[str, list[Any]]
"""What stands at each path of some JSON objects, as in `tags[].evidence[].pts_s`."""


# ---- what a page says ------------------------------------------------------------------------------------------------


def rows(name: str, heading: str) -> list[list[str]]:
    """The cells of the first table under a heading of a page, without its head."""
    text = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text, re.M | re.S)
    assert found, f"docs/{name}.md has no heading {heading!r}"
    table = re.search(r"^\|.*\n\| ---.*\n((?:\|.*\n)+)", found[1], re.M)
    assert table, f"docs/{name}.md has no table under {heading!r}"
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table[1].splitlines()]


def named(name: str, heading: str) -> list[str]:
    """The first column of such a table, its backticks taken off."""
    names = [row[0].strip("`") for row in rows(name, heading)]
    assert len(names) == len(set(names)), f"docs/{name}.md, {heading}: a row stands there twice"
    return names


# ---- what is there ---------------------------------------------------------------------------------------------------


def values(*objects: Any) -> Values:
    """Every path of the objects, and what stands there in each of them."""
    found: Values = {}

    def walk(value: Any, path: str) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                found.setdefault(f"{path}{key}", []).append(inner)
                walk(inner, f"{path}{key}.")
        elif isinstance(value, (list, tuple)):
            for inner in value:
                if isinstance(inner, dict):
                    walk(inner, f"{path.removesuffix('.')}[].")

    for item in objects:
        walk(json.loads(json.dumps(item)), "")
    return found


def results() -> list[VideoResult]:
    """Made by hand: a whole one, one that a budget ended, ones without anything certain, one that failed, and more."""
    whole = sample_results.sample()
    assert whole.sampling is not None
    settled = replace(whole, sampling=replace(whole.sampling, stopped="settled"))
    alone = replace(whole, sampling=replace(whole.sampling, interval_s=None))
    unsure = [sample_results.uncertain(), sample_results.of_clips(certain=0), sample_results.uncalibrated()]
    return [whole, settled, alone, *unsure, sample_results.unscored(), sample_results.failure()]


def kept() -> Values:
    shown, look = TagOptions().shown(), {"size_bytes": 1, "sha256": "0" * 64}
    rows = [jsonlines.to_dict(result, "0123456789abcdef", SOURCE, shown, look) for result in results()]
    rows.append(jsonlines.to_dict(results()[0], "0123456789abcdef", Source("/videos/clip.mp4"), shown, None))
    rows.append(jsonlines.to_dict(results()[0], "0123456789abcdef", replace(SOURCE, etag="1"), shown, None))
    return without(values(*rows), values(*map(jsonlines.to_dict, results())))


def explained() -> Values:
    from nsnet_cli.cli.explain import explained as explain_dict

    found = [result for result in results() if result.precision is not None]
    told = [replace(result, tags=tuple(replace(tag, why=WHY) for tag in result.tags)) for result in found]
    told += [replace(result, perhaps=replace(result.perhaps, why=WHY)) for result in found if result.perhaps]
    return without(values(*map(explain_dict, [*results(), *told])), values(*map(jsonlines.to_dict, results())))


def without(found: Values, known: Values) -> Values:
    return {path: value for path, value in found.items() if path not in known}


@cache
def evaluated() -> Any:
    """A report as `nsnet evaluate` makes it, of one policy that scores frames and one that does not."""
    from nsnet_cli.calibrating.reliability import promise
    from nsnet_cli.evaluation.certain import Certain
    from nsnet_cli.evaluation.evaluate import Report, Row, StageGflops
    from nsnet_cli.evaluation.policies import Localisation
    from nsnet_cli.evaluation.timing import MeasuredCosts, StageSeconds

    row = Row(
        policy="nsnet",
        k=4,
        top1=0.5,
        top5=0.75,
        map=0.7,
        saliency=Localisation(0.97, 0.84),
        preview_frames=42.1,
        recognised_frames=4.0,
        gflops=StageGflops(5.0, 0.1, 3.0),
        seconds=StageSeconds(0.1, 0.1, 0.01, 0.05),
    )
    shown = promise(0.8, [["right"], ["wrong", "right"]], [True, True], ["a", "b"])
    row = replace(row, certain=Certain(shown, 0.5, 0.04, 0.7, 2))
    none = replace(row, certain=Certain(promise(0.8, [[]], [True], ["a"]), 0.0, math.nan, math.nan, 0))
    dense = replace(row, policy="dense", k=None, saliency=None, certain=None)
    costs = MeasuredCosts(3, 0.1, {4: 0.05}, 0.002, 0.01, 0.01)
    return Report("labels.csv", "imagenet-lite", "0123456789abcdef", 120, 100, 1.0, (row, none, dense), costs, 121)


def evaluated_json() -> Values:
    from nsnet_cli.evaluation.evaluate import to_dict

    return values(to_dict(evaluated()), to_dict(replace(evaluated(), costs=None)))


def page_data() -> Values:
    """The data inside `explain --html`."""
    html = page.to_html(results()[0], video_url="clip.mp4")
    return values(json.loads(re.findall(r'id="data" type="application/json">(.*?)</script>', html, re.S)[0]))


def report_data() -> Values:
    """The page's data, with rows as objects: the page has the names of their fields only once."""
    numbers = pagedata.TagNumbers()
    numbers.of(Tag("n02084071", "dog", 0.9))  # known to WordNet, so that there are irregular plurals
    records = [index.to_record(result, Path(), numbers) for result in results()]
    data = pagedata.packed(records, numbers)
    assert data["fields"] == list(records[0])
    return values(data | {"rows": records})


def calibrated() -> Values:
    """What `nsnet calibrate --json` prints, of videos that are judged and of videos of a single source."""
    from nsnet_cli.calibrating.calibrate import Measured, summary
    from nsnet_cli.calibrating.reliability import Bin, promise

    shown = promise(0.8, [["right"], ["wrong", "right"]], [True, True], ["a", "b"])
    none = promise(0.9, [[]], [False], ["a"])
    some = Measured(2, 2, 3, 1, (shown, none), 0.04, (Bin(0.7, 0.5, 2),))
    nothing = Measured(2, 1, 3, 0, (), None, ())
    return values(*({"schema_version": 1, "checkpoint": "my-tags", **summary(each)} for each in (some, nothing)))


FIELDS: dict[str, Callable[[], Values]] = {
    "tag --json": lambda: values(*map(jsonlines.to_dict, [*results(), replace(results()[0], columns={})])),
    "Kept results": kept,
    "explain --json": explained,
    "evaluate --json": evaluated_json,
    "calibrate --json": calibrated,
    "Report page": report_data,
    "Explain page": page_data,
}
"""Of each heading of output.md whose fields come from a writer."""


def check_fields(heading: str, found: Values) -> None:
    versions = [row[3] for row in rows("output", heading) if row[0] == "`schema_version`"]
    assert versions == [str(version) for version in found.get("schema_version", [])[:1]]
    documented = {row[0].strip("`"): row[1] for row in rows("output", heading)}
    free = {path.removesuffix("*") for path in documented if path.endswith(".*")}
    real: Values = {}
    for path, there in found.items():
        start = next((start for start in free if path.startswith(start)), None)
        real.setdefault(path if start is None else f"{start}*", []).extend(there)
    assert sorted(real) == sorted(documented), f"output.md, {heading}"
    for path, kinds in documented.items():
        allowed = tuple(kind for word in re.split(r" or (?!false)", kinds) for kind in TYPES[word])
        for value in real[path]:
            fits = isinstance(value, allowed) and (not isinstance(value, bool) or bool in allowed)
            assert fits, f"output.md, {heading}: {path} is {kinds}, and there is {value!r}"


# ---- docs/cli.md -----------------------------------------------------------------------------------------------------


def test_the_page_of_commands_is_current(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    render = importlib.import_module("make_cli_md").render
    current = (DOCS / "cli.md").read_text(encoding="utf-8")
    assert current == render(), "write it anew: python tools/make_cli_md.py"


# ---- docs/output.md --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("heading", FIELDS)
def test_every_field_is_documented_and_every_documented_field_exists(heading: str) -> None:
    check_fields(heading, FIELDS[heading]())


def test_the_fields_of_a_run_s_summary(tmp_path: Path, inside: Callable[..., Any]) -> None:
    (tmp_path / "in" / "folder.mp4").mkdir(parents=True)
    (tmp_path / "in" / "notes.txt").write_text("no video")
    assert inside("tag", tmp_path / "in", "-o", tmp_path / "out").returncode == errors.EXIT_NO_INPUT
    check_fields("run.json", values(json.loads((tmp_path / "out" / "run.json").read_bytes())))


def test_the_fields_of_a_plan(tmp_path: Path, inside: Callable[..., Any]) -> None:
    (tmp_path / "a.mp4").touch()
    plain = inside("tag", tmp_path / "a.mp4", "--dry-run", "--json").stdout
    with_folder = inside("tag", tmp_path / "a.mp4", "--dry-run", "--json", "-o", tmp_path / "out").stdout
    check_fields("tag --dry-run", values(json.loads(plain), json.loads(with_folder)))


@pytest.mark.parametrize("command", ["list", "verify"])
def test_the_fields_of_models(command: str, inside: Callable[..., Any]) -> None:
    names = ["imagenet-lite"] if command == "verify" else []
    lines = inside("models", command, *names, "--json").stdout.splitlines()
    check_fields(f"models {command} --json", values(*map(json.loads, lines)))


def columns(text: str) -> list[str]:
    return next(csv.reader(io.StringIO(text)))


def test_the_columns_of_csv() -> None:
    from nsnet_cli.cli.explain import frames_csv
    from nsnet_cli.evaluation.show import csv_text

    assert named("output", "tag --format csv") == columns(csvrows.CsvRows().head())
    assert named("output", "tag --format csv-spans") == columns(csvrows.SpanRows().head())
    assert named("output", "explain --csv") == columns(frames_csv(results()[0]))
    assert named("output", "evaluate --csv") == columns(csv_text(evaluated()))


def test_the_columns_for_people() -> None:
    from nsnet_cli.cli.frames import time_lines
    from nsnet_cli.outputs.table import TableRows

    head = TableRows(["clip.mp4"], 100, color=False).head()
    assert named("output", "tag --format table") == re.split(r"\s{2,}", head.strip())
    line = next(iter(time_lines(results()[0])))
    assert named("output", "frames --times") == [str(n + 1) for n in range(len(line.split("\t")))]


def test_the_names_of_files(tmp_path: Path) -> None:
    result = results()[0]
    for sidecar in ("vtt", "xmp"):
        files = FileOutputs(tmp_path, sidecar=sidecar, thumbnails=tmp_path, sheets=tmp_path)
        files.open()
        files.write("clip.mp4", result, "0123456789abcdef", SOURCE)
        files.close()
    found = {
        re.sub(r"\.\d{5}\.\d{3}s", ".SSSSS.SSSs", path.name.removeprefix("clip.mp4")) for path in tmp_path.iterdir()
    }
    assert found == set(named("output", "Files"))


def test_the_names_in_xmp() -> None:
    short = {uri: prefix for prefix, uri in xmp.NAMESPACES.items()}
    names = []
    for element in ElementTree.fromstring(xmp.to_xmp(results()[0])).iter():
        for name in (element.tag, *element.attrib):
            uri, _, local = name.removeprefix("{").partition("}")
            names.append(f"{short[uri]}:{local}")
    assert set(names) == set(named("output", "XMP"))


def test_what_is_said_of_cues() -> None:
    text = (DOCS / "output.md").read_text(encoding="utf-8")
    cues = vtt.to_vtt(results()[0])
    assert (
        re.search(r"^\d\d:\d\d:\d\d\.\d{3} --> \S+\ntabby \(95 %\)$", cues, re.M) and "as in `espresso (95 %)`" in text
    )
    assert "`NOTE written by nsnet`" in text and "NOTE written by nsnet" in cues
    assert f"whose probability is at least {shown.LEAST_GUESS:.0%}".replace("%", " %") in " ".join(text.split())


# ---- docs/errors.md --------------------------------------------------------------------------------------------------


@cache
def trees() -> list[ast.Module]:
    return [ast.parse(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "nsnet_cli").rglob("*.py"))]


def constants(calls: str, place: int) -> Iterator[str]:
    """The words that calls of a name are given: as the argument at this place, or by the name `kind`."""
    for node in (node for tree in trees() for node in ast.walk(tree) if isinstance(node, ast.Call)):
        if ast.unparse(node.func) == calls:
            given = [*node.args[place : place + 1], *(word.value for word in node.keywords if word.arg == "kind")]
            yield from (arg.value for arg in given if isinstance(arg, ast.Constant) and isinstance(arg.value, str))


def test_the_kinds_of_error_rows() -> None:
    used = {*constants("VideoError", 2), *constants("ErrorInfo", 0), *constants("VideoResult.failed", 1)}
    assert used - set(errors.VIDEO_ERROR_KINDS) == set(), "kinds that errors.VIDEO_ERROR_KINDS does not have"
    assert named("errors", "Kinds of error rows") == list(errors.VIDEO_ERROR_KINDS)


def test_the_kinds_of_weights_errors() -> None:
    from nsnet_cli.weights.faults import KINDS

    used = {errors.WeightsError.kind, *KINDS, *constants("WeightsError", 2)}
    assert sorted(named("errors", "Kinds of weights errors")) == sorted(used)


def test_the_kinds_of_other_errors() -> None:
    def below(kind: type[errors.NsnetError]) -> Iterator[type[errors.NsnetError]]:
        yield kind
        for child in kind.__subclasses__():
            yield from below(child)

    ours = [kind for kind in below(errors.NsnetError) if kind.__module__.startswith("nsnet_cli.")]
    assert {row[0].strip("`") for row in rows("errors", "Errors of the library")} == {kind.__name__ for kind in ours}
    for name, code, kind in (row[:3] for row in rows("errors", "Errors of the library")):
        error = next(error for error in ours if error.__name__ == name.strip("`"))
        assert (str(error.exit_code), error.kind) == (code, kind.strip("`"))


def test_the_exit_codes() -> None:
    codes = set()
    for node in (node for tree in trees() for node in tree.body if isinstance(node, ast.Assign)):
        names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        if any(name.startswith("EXIT_") for name in names) and isinstance(node.value, ast.Constant):
            codes.add(str(node.value.value))
    assert set(named("errors", "Exit codes")) == codes


# ---- docs/environment.md ---------------------------------------------------------------------------------------------

VARIABLE = re.compile(r"(NSNET|HF|XDG)_[A-Z_]+")
"""Names that are variables wherever they stand in a string of their own."""
BY_PARTS = {"HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"}
"""Python puts their names together."""


def variables_read() -> set[str]:
    """What the package reads or sets of its environment, and what its options are read from."""
    found = set()
    for node in (node for tree in trees() for node in ast.walk(tree)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and VARIABLE.fullmatch(node.value):
            found.add(node.value)
        elif isinstance(node, ast.Call) and "os.environ" in ast.unparse(node.func):
            found |= {arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant)}
        elif isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
            found |= {node.slice.value} if isinstance(node.slice, ast.Constant) else set()
        elif isinstance(node, ast.Dict) and any(
            key is None and ast.unparse(v) == "os.environ" for key, v in pairs(node)
        ):
            found |= {key.value for key in node.keys if isinstance(key, ast.Constant)}
    return found


def pairs(node: ast.Dict) -> Iterable[tuple[ast.expr | None, ast.expr]]:
    return zip(node.keys, node.values, strict=True)


def test_every_variable_that_is_read_is_documented_and_the_other_way_round() -> None:
    own = [
        *named("environment", "Options"),
        *named("environment", "Other variables"),
        *named("environment", "Set here"),
    ]
    libraries = {row[0].strip("`"): row[1].strip("`") for row in rows("environment", "Read by libraries")}
    read = variables_read()
    assert read - set(own) - set(libraries) == set(), "read, and not in environment.md"
    assert set(own) - read == set(), "in environment.md, and not read"
    for variable, module in libraries.items():
        assert variable in BY_PARTS or variable in source(module), f"{module} does not read {variable}"


@cache
def source(module: str) -> str:
    """The text of a library."""
    spec = importlib.util.find_spec(module)
    assert spec and spec.origin
    files = Path(spec.origin).parent.rglob("*.py") if spec.submodule_search_locations else [Path(spec.origin)]
    return "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in files)


def test_the_variable_of_each_option_is_right() -> None:
    from nsnet_cli.cli.options import OPTIONS

    documented = {row[0].strip("`"): row[1].strip("`") for row in rows("environment", "Options")}
    real = {row.env: row.flags[0] for row in OPTIONS.values() if row.env} | {"NSNET_FORMAT": "--format"}
    assert documented == real


# ---- all pages -------------------------------------------------------------------------------------------------------

PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.glob("*.md"))]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file) if file else path
        assert there.exists(), f"{path.name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", there.read_text(encoding="utf-8"), re.M)
            assert anchor in {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}, target


def test_what_the_pages_name_of_the_code_is_there() -> None:
    """Paths in backticks: `video/pool.py` of the package, `tests/...`, `tools/...`, `benchmarks/...`."""
    missing = []
    for path in PAGES:
        if path.name == "CHANGELOG.md":  # tells of what was, too
            continue
        for name in re.findall(r"`([\w./-]+/[\w.-]+\.(?:py|tsv|csv|toml|sh|md))(?:::(\w+))?`", path.read_text("utf-8")):
            file = next((p for p in (ROOT / name[0], ROOT / "nsnet_cli" / name[0]) if p.exists()), None)
            if file is None or (name[1] and f"def {name[1]}(" not in file.read_text("utf-8")):
                missing.append(f"{path.name}: {'::'.join(filter(None, name))}")
    assert missing == []


def test_every_part_of_the_package_stands_in_the_architecture() -> None:
    there = {path.name + "/" * path.is_dir() for path in (ROOT / "nsnet_cli").iterdir() if path.name[0] not in "_."}
    text = " ".join(row[0] for row in rows("architecture", "Packages, from the bottom up"))
    assert set(re.findall(r"`([^`]+)`", text)) == there - {"checkpoints/", "py.typed", "weights.toml"}


def test_the_front_page_is_short_and_its_two_commands_are_what_ci_runs() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.count("\n") <= 150
    parser = re.search(r"awk '[^']*' README\.md", (ROOT / ".ci" / "run").read_text(encoding="utf-8"))
    assert parser
    found = subprocess.run(["bash", "-c", parser[0]], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    blocks = re.findall(r"^<!-- ci -->\n```sh\n(.*?)^```$", text, re.M | re.S)
    assert found.splitlines() == [block.replace("\\\n", "").rstrip("\n") for block in blocks]
    assert len(blocks) == 2
    for command in found.splitlines():
        assert command.startswith("python3 -m venv .venv && ")
        subprocess.run(["bash", "-n", "-c", command], check=True)
