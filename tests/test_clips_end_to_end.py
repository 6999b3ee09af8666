"""`nsnet tag --checkpoint` of recognisers of clips from an empty cache, against a server on 127.0.0.1."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from clip_rows import REVISION, SMALL
from hub_server import HubServer
from platformdirs import user_cache_path

HEAVY = ("torch", "torchvision", "timm", "huggingface_hub.file_download")
CODE = f"""
import json, sys
from nsnet_cli.cli.app import run
code = run(sys.argv[1:])
print(json.dumps([name for name in {HEAVY} if name in sys.modules]), file=sys.stderr)
sys.exit(code)
"""


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


def run(env: dict[str, str], *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", CODE, *args]
    return subprocess.run(command, env=env, capture_output=True, encoding="utf-8", timeout=600)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("small-videomae", "hub"),
        pytest.param("small-uniformer", "hub", marks=pytest.mark.slow),
        pytest.param("small-mvit", "url", marks=pytest.mark.slow),
        pytest.param("small-swin", "url", marks=pytest.mark.slow),
    ],
)
def test_pull_tag_and_offline_again(name: str, kind: str, hub: HubServer, tmp_path: Path, cat_video: Path) -> None:
    small = SMALL[name]
    data = small.file()
    hub.add(f"small/{name}", {"net.safetensors": data}, REVISION)
    address = f"{hub.url}/small/{name}/resolve/{REVISION}/net.safetensors"
    weights = tmp_path / "weights.toml"
    weights.write_text("schema_version = 1\n" + small.text(data, f'kind = "url"\nurl = "{address}"' * (kind == "url")))
    # The exports of other tests are used: only this network is new.
    cache = os.environ.get("NSNET_CACHE", str(user_cache_path("nsnet"))) if kind == "hub" else str(tmp_path / "cache")
    env = hub.environment(tmp_path / "home", NSNET_WEIGHTS=str(weights), NSNET_CACHE=cache)

    pulled = run(env, "models", "pull", f"{name}-actions")
    assert pulled.returncode == 0, pulled.stderr
    assert f"{name}-actions: licence MIT" in pulled.stderr and f"downloaded {name}" in pulled.stderr
    stored = [path for path in tmp_path.rglob("net.safetensors") if path.is_file()]
    assert [path.stat().st_size for path in stored] == [len(data)]
    assert hub.requests("GET") == 1
    sent = hub.requests()

    arguments = ("tag", str(cat_video), "--checkpoint", f"{name}-actions", "--json")
    done = run(env, *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("no tag can be certain, nothing was calibrated") == 1
    assert "nsnet calibrate LABELS --checkpoint" in done.stderr
    result = json.loads(done.stdout)
    assert result["model"]["checkpoint"] == f"{name}-actions" and len(result["tags"]) == 5
    assert all(tag["probability"] is None for tag in result["tags"])
    assert all(seen["start_s"] < seen["end_s"] for seen in result["tags"][0]["evidence"])

    again = run({**env, "HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9"}, *arguments)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["tags"] == result["tags"]
    assert hub.requests() == sent, "nothing is sent once the file is here"
    assert json.loads(again.stderr.splitlines()[-1]) == [], "no heavy package once the networks are exported"
