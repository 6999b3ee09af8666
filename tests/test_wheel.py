"""The wheel has everything that tagging needs: weights.toml, the sampler, the page templates."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_the_wheel_installed_elsewhere_tags(tmp_path: Path, cat_video: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True)
    wheel = next(tmp_path.glob("nsnet-*.whl"))
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--quiet", "--target", str(site), str(wheel)]
    subprocess.run(install, check=True)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    code = "import nsnet_cli, sys; sys.stdout.write(nsnet_cli.__file__)"
    where = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, encoding="utf-8"
    )
    assert where.stdout.startswith(str(site)), "the installed copy runs, not the checkout"
    report = tmp_path / "report"
    command = [sys.executable, "-m", "nsnet_cli", "tag", "--json", "--report", str(report), str(cat_video)]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)
    assert row["sampling"]["policy"] == "nsnet" and "cat" in row["tags"][0]["name"]
    assert (report / "index.html").is_file()
