"""The scripts of tools/ know every dependency: one that is added to pyproject.toml is tried and checked too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "tools")


def test_every_dependency_is_tried_by_existing_tests() -> None:
    from project import dependencies, name_of
    from try_versions import EXPORTING, TESTS

    pinned = {name_of(line) for line in dependencies() if "==" in line.split(";")[0]}
    assert set(TESTS) == {name_of(line) for line in dependencies()} - pinned and set(TESTS) >= EXPORTING
    files = {ROOT / "tests" / f"test_{name}.py" for names in TESTS.values() for name in names.split()}
    assert not [path.name for path in files if not path.is_file()]


def test_a_light_environment_lacks_only_what_is_excluded() -> None:
    def printed(*args: str) -> list[str]:
        command = [sys.executable, str(ROOT / "tools" / "project.py"), *args]
        return subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout.splitlines()

    whole, light = printed("--group", "dev"), printed("--group", "dev", "--without", "torch,torchvision,timm")
    assert [line.split(">")[0] for line in whole if line not in light] == ["torch", "torchvision", "timm"]
    assert any(line.startswith("ruff") for line in light) and printed("--only", "timm") == [whole[2]]
    with pytest.raises(subprocess.CalledProcessError):
        printed("--without", "troch")


@pytest.mark.parametrize(
    ("platform", "there"), [("Linux x86_64", True), ("Linux aarch64", False), ("macOS arm64", False)]
)
def test_decord_is_required_only_where_it_has_wheels(platform: str, there: bool) -> None:
    from check_wheels import markers, needed
    from packaging.requirements import Requirement
    from project import dependencies

    seen: dict[str, list[Requirement]] = {}
    needed(dependencies(), markers(platform, "3.12"), seen)
    assert ("decord" in seen) is there
    assert {"torch", "av", "numpy", "kiwisolver"} <= set(seen) and not any(name.startswith("nvidia") for name in seen)
