"""`nsnet tag --checkpoint` of Hub rows, from an empty cache, against the local Hub: real shapes, real answers."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_server import HubServer
from platformdirs import user_cache_path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

REVISION = "c" * 40
RESNET50 = """
[networks.r50]
architecture = "resnet50"
license = "Apache-2.0"
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]
interpolation = "bicubic"
crop = 0.95
vocabulary = "imagenet-1k"
[[networks.r50.sources]]
kind = "hub"
repo_id = "timm/r50"
revision = "{revision}"
file = "model.safetensors"
sha256 = "{sha256}"
[checkpoints.pair]
description = "light preview, ResNet-50"
license = "Apache-2.0"
preview = {{ network = "efficientnet-lite0", size_px = 128 }}
recogniser = {{ network = "r50", size_px = 224 }}
"""
TWINS = """
[networks.twin-{name}]
architecture = "tf_efficientnet_{name}"
license = "Apache-2.0"
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]
interpolation = "bicubic"
crop = 0.875
vocabulary = "imagenet-1k"
[[networks.twin-{name}.sources]]
kind = "hub"
repo_id = "timm/{name}"
revision = "{revision}"
file = "model.safetensors"
"""
TWIN_PAIR = """
[checkpoints.twin]
description = "the embedded pair, from the Hub"
license = "Apache-2.0"
preview = { network = "twin-lite0", size_px = 128 }
recogniser = { network = "twin-lite2", size_px = 256 }
"""


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


def run(env: dict[str, str], *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nsnet_cli", *args]
    return subprocess.run(command, env=env, capture_output=True, encoding="utf-8", timeout=600)


def test_a_resnet_50_row_from_an_empty_cache(hub: HubServer, tmp_path: Path, cat_video: Path) -> None:
    import timm
    from safetensors.torch import save

    data = save(timm.create_model("resnet50").state_dict())
    assert 102_400_000 < len(data) < 102_500_000
    hub.add("timm/r50", {"model.safetensors": data}, REVISION)
    weights = tmp_path / "weights.toml"
    sha256 = hashlib.sha256(data).hexdigest()
    weights.write_text("schema_version = 1\n" + RESNET50.format(revision=REVISION, sha256=sha256))
    env = hub.environment(tmp_path / "home", NSNET_WEIGHTS=str(weights))

    pulled = run(env, "models", "pull", "pair")
    assert pulled.returncode == 0, pulled.stderr
    assert pulled.stderr.count("downloaded r50 (timm/r50), 102.5 MB") == 1
    done = run(env, "tag", str(cat_video), "--checkpoint", "pair", "--json")
    assert done.returncode == 0, done.stderr
    assert "using --policy confidence" in done.stderr
    result = json.loads(done.stdout)
    assert result["status"] == "ok"
    assert result["sampling"]["policy"] == "confidence"
    assert result["model"]["checkpoint"] == "pair"
    assert len(result["tags"]) == 5
    assert result["cost"]["gflops"] > 4 * 4  # four frames of 4.1 GMAC each, and the preview

    # All files are here: nothing is sent.
    sent = hub.requests()
    for more in ({"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}):
        again = run({**env, **more}, "tag", str(cat_video), "--checkpoint", "pair", "--json")
        assert again.returncode == 0, again.stderr
        assert json.loads(again.stdout)["tags"] == result["tags"]
    assert hub.requests() == sent


def test_the_embedded_networks_give_the_same_tags_from_the_hub(hub: HubServer, tmp_path: Path, cat_video: Path) -> None:
    """In timm's own format and without a known hash: `tag` downloads and pins them, and the tags are right."""
    from safetensors.torch import save

    from nsnet_cli.nets.networks import load_classifier
    from nsnet_cli.weights.registry import load_registry
    from nsnet_cli.weights.rows import NetworkUse

    text = "schema_version = 1\n"
    for name in ("lite0", "lite2"):
        use = NetworkUse(load_registry().networks[f"efficientnet-{name}"], 128)
        state = {key: value.contiguous() for key, value in load_classifier(use).net.state_dict().items()}
        hub.add(f"timm/{name}", {"model.safetensors": save(state)}, REVISION)
        text += TWINS.format(name=name, revision=REVISION)
    weights = tmp_path / "weights.toml"
    weights.write_text(text + TWIN_PAIR)
    env = hub.environment(tmp_path / "home", NSNET_WEIGHTS=str(weights))
    arguments = ("tag", str(cat_video), "--json", "--policy", "confidence", "--checkpoint")

    done = run(env, *arguments, "twin")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("is pinned to") == 2
    exports = os.environ.get("NSNET_CACHE", str(user_cache_path("nsnet")))  # other tests made these
    embedded = run({**env, "NSNET_CACHE": exports}, *arguments, "imagenet-lite")
    assert embedded.returncode == 0, embedded.stderr
    tags, wanted = (json.loads(d.stdout)["tags"] for d in (done, embedded))
    assert [tag["id"] for tag in tags] == [tag["id"] for tag in wanted]
    assert [tag["score"] for tag in tags] == pytest.approx([tag["score"] for tag in wanted], abs=1e-4)
    assert "cat" in tags[0]["name"] or tags[0]["name"] in ("tabby", "lynx")


def test_a_row_that_does_not_match_its_file_says_so(hub: HubServer, tmp_path: Path, cat_video: Path) -> None:
    import timm
    from safetensors.torch import save

    data = save(timm.create_model("resnet18").state_dict())
    hub.add("timm/r50", {"model.safetensors": data}, REVISION)
    weights = tmp_path / "weights.toml"
    text = "schema_version = 1\n" + RESNET50.format(revision=REVISION, sha256=hashlib.sha256(data).hexdigest())
    env = hub.environment(tmp_path / "home", NSNET_WEIGHTS=str(weights))
    for wrong, words in ((text, "does not fit resnet50"), (text.replace('"resnet50"', '"resnet5O"'), "Unknown model")):
        weights.write_text(wrong)
        done = run(env, "tag", str(cat_video), "--checkpoint", "pair", "--json")
        assert (done.returncode, words in done.stderr) == (5, True), done.stderr
        assert "Traceback" not in done.stderr


def test_a_checkpoint_folder_from_the_hub_tags_as_the_local_one(
    hub: HubServer, tmp_path: Path, cat_video: Path
) -> None:
    from nsnet_cli.weights.registry import PACKAGE_DIR

    folder = PACKAGE_DIR / "checkpoints" / "imagenet-lite"
    if not (folder / "config.json").is_file():
        pytest.skip(f"no sampler is shipped in {folder}")
    files = {name: (folder / name).read_bytes() for name in ("config.json", "model.safetensors")}
    spec = f"hub:me/lite@{hub.add('me/lite', files)}"
    env = hub.environment(tmp_path / "home", NSNET_CACHE=os.environ.get("NSNET_CACHE", str(user_cache_path("nsnet"))))
    said = []
    for checkpoint in (spec, "imagenet-lite"):
        done = run(env, "tag", str(cat_video), "--json", "--checkpoint", checkpoint)
        assert done.returncode == 0, done.stderr
        said.append(json.loads(done.stdout))
    assert said[0]["tags"] == said[1]["tags"]
    assert said[0]["sampling"]["policy"] == "nsnet"
    sent = hub.requests()
    assert run({**env, "HF_HUB_OFFLINE": "1"}, "tag", str(cat_video), "--json", "--checkpoint", spec).returncode == 0
    assert hub.requests() == sent
