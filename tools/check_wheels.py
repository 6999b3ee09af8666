"""Which dependencies have wheels on which platforms, so that pip needs no compiler: a Markdown table.

    .venv/bin/python tools/check_wheels.py

It asks pip, platform by platform, for every dependency in this environment that is not pure Python. Packages that only
torch needs (CUDA) are left out. Nothing is downloaded.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, distribution

from packaging.requirements import Requirement
from project import dependencies, name_of

PLATFORMS: dict[str, dict[str, str]] = {
    f"{name} {machine}": {"sys_platform": kernel.lower(), "platform_system": kernel, "platform_machine": machine}
    for name, kernel, machines in (("Linux", "Linux", ("x86_64", "aarch64")), ("macOS", "Darwin", ("arm64", "x86_64")))
    for machine in machines
}
"""What markers see on each; machines have the names that they give themselves."""
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
OF_TORCH = ("nvidia-", "cuda-", "triton")


def markers(platform: str, python: str) -> dict[str, str]:
    """The environment that PEP 508 markers see there."""
    return {
        **PLATFORMS[platform],
        "os_name": "posix",
        "python_version": python,
        "python_full_version": f"{python}.0",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "extra": "",
    }


def tags(platform: str, glibc: int) -> list[str]:
    """The platform tags that pip accepts there, on Linux with glibc 2.`glibc`."""
    system, machine = platform.split()
    if system == "macOS":
        return [f"macosx_14_0_{machine}"]
    old = ["manylinux2014", "manylinux2010"] if machine == "x86_64" else ["manylinux2014"]
    return [f"{name}_{machine}" for name in (*(f"manylinux_2_{minor}" for minor in range(glibc, 4, -1)), *old)]


def needed(lines: list[str], environment: dict[str, str], seen: dict[str, list[Requirement]]) -> None:
    """Fills `seen` with everything that is installed there: names and their requirements."""
    for line in lines:
        requirement = Requirement(line)
        name = name_of(requirement.name)
        if name.startswith(OF_TORCH) or (requirement.marker and not requirement.marker.evaluate(environment)):
            continue
        new = name not in seen
        seen.setdefault(name, []).append(requirement)
        try:
            below = distribution(name).requires or [] if new else []
        except PackageNotFoundError:
            below = []
        needed(below, environment, seen)


def pure(name: str) -> bool:
    """Whether the wheel of a package fits every platform."""
    try:
        return "-none-any" in (distribution(name).read_text("WHEEL") or "")
    except PackageNotFoundError:
        return False


def has_wheel(name: str, requirements: list[Requirement], python: str, platform_tags: list[str]) -> bool:
    command = [sys.executable, "-m", "pip", "index", "versions", "--json", "--only-binary", ":all:", name]
    command += ["--python-version", python, "--implementation", "cp"]
    for tag in platform_tags:
        command += ["--platform", tag]
    found = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    if found.returncode != 0:
        if "No matching distribution" in found.stderr:
            return False
        sys.exit(f"pip index versions {name}: {found.stderr.strip()[-300:]}")
    versions = json.loads(found.stdout)["versions"]
    return any(all(r.specifier.contains(version) for r in requirements) for version in versions)


def missing(platform: str, python: str, glibc: int, pool: ThreadPoolExecutor) -> Iterator[str]:
    """Names of packages without a wheel there."""
    seen: dict[str, list[Requirement]] = {}
    needed(dependencies(), markers(platform, python), seen)
    names = sorted(name for name in seen if not pure(name))
    found = pool.map(lambda name: has_wheel(name, seen[name], python, tags(platform, glibc)), names)
    for name, there in zip(names, found, strict=True):
        if not there:
            yield name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--platform", action="append", choices=list(PLATFORMS), help="only this platform")
    parser.add_argument("--glibc", type=int, default=35, metavar="N", help="glibc 2.N; Ubuntu 22.04 has 35")
    args = parser.parse_args()
    sys.stdout.write(f"| | {' | '.join(PYTHONS)} |\n|{' --- |' * (len(PYTHONS) + 1)}\n")
    with ThreadPoolExecutor(2) as pool:
        for platform in args.platform or PLATFORMS:
            lacks = (", ".join(missing(platform, python, args.glibc, pool)) for python in PYTHONS)
            sys.stdout.write(f"| {platform} | {' | '.join(f'no {names}' if names else 'all' for names in lacks)} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
