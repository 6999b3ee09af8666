"""The networks of the shipped rows for clips in full size, with random weights: what no small network can show."""

from __future__ import annotations

import copy
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import openvino
import pytest
import torch
from clip_rows import torchvisions_own
from hub_server import HubServer
from torch import nn

from nsnet_cli.nets.clips import ARCHITECTURES, ClipNetwork, TorchvisionNetwork
from nsnet_cli.nets.export import export_network
from nsnet_cli.weights.registry import load_registry
from nsnet_cli.weights.rows import NetworkUse, UrlSource
from nsnet_cli.weights.vocabulary import load_vocabulary

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from actions_speed import row_text

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

USES = {row.name: row.recogniser for row in load_registry().checkpoints.values() if row.recogniser.network.frames > 1}
ALL = pytest.mark.parametrize("checkpoint", USES)
FILE_BYTES_PER_TENSOR = 400
"""Most bytes of a pickle beside the numbers themselves, per tensor."""


def made(use: NetworkUse) -> nn.Module:
    """The network of a row with random weights, the same each time."""
    torch.manual_seed(0)
    row = use.network
    net = ARCHITECTURES[row.family][row.architecture](use, len(load_vocabulary(row.vocabulary)))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return net.eval()


def clip(use: NetworkUse) -> torch.Tensor:
    rng = np.random.default_rng(1)
    coarse = rng.integers(0, 256, (1, use.network.frames, 8, 8, 3), dtype=np.uint8)
    return torch.from_numpy(coarse.repeat(use.size_px // 8, 2).repeat(use.size_px // 8, 3))


@ALL
def test_the_size_of_the_file_is_that_of_the_parameters(checkpoint: str) -> None:
    """As far as it is known: names and shapes of UniFormer and VideoMAE are compared in tests/test_parity.py."""
    use = USES[checkpoint]
    (source,) = use.network.sources
    state = made(use).state_dict()
    width = 2 if use.network.family == "videomae2" else 4  # its file is in half precision
    payload = sum(value.numel() * width for value in state.values() if value.is_floating_point())
    payload += sum(value.numel() * 8 for value in state.values() if not value.is_floating_point())
    assert payload < source.size_bytes < payload + FILE_BYTES_PER_TENSOR * len(state)


@ALL
def test_the_graph_gives_what_the_network_gives(checkpoint: str, tmp_path: Path) -> None:
    """In f32. For torchvision's networks the reference is their own forward."""
    use = USES[checkpoint]
    net, views = made(use), clip(use)
    mean, std = (torch.tensor(each).view(1, 3, 1, 1, 1) for each in (use.input.mean, use.input.std))
    with torch.inference_mode():
        wanted = torchvisions_own(copy.deepcopy(net))((views.permute(0, 4, 1, 2, 3) / 255 - mean) / std)
        logits = wanted if isinstance(wanted, torch.Tensor) else wanted[1]
        network = ClipNetwork(TorchvisionNetwork(net) if use.network.family == "torchvision" else net, use).eval()
        features, ours = network(views)
    torch.testing.assert_close(ours, logits, atol=2e-5, rtol=0)
    folder = tmp_path / "graph"
    export_network(network, folder, len(views), {})
    compiled = openvino.Core().compile_model(folder / "graph.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = list(compiled(views.numpy()).values())
    off = [float(np.abs(a - b.numpy()).max()) for a, b in zip(found, (features, logits), strict=True)]
    print(
        f"{checkpoint}: largest difference of features {off[0]:.1e}, of logits {off[1]:.1e}; spread {logits.std():.2f}"
    )
    assert off[1] < 1e-4 and off[0] < 1e-3


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


@ALL
def test_the_shipped_row_from_an_empty_cache(checkpoint: str, hub: HubServer, tmp_path: Path, cat_video: Path) -> None:
    """The row as it is, but for the hash, and for the address of a url: pull, tag, and offline again."""
    use = USES[checkpoint]
    (source,) = use.network.sources
    path = tmp_path / "file.pth"
    state = made(use).state_dict()
    if use.network.family == "videomae2":  # as the published file is
        torch.save({"module": {key: value.half() for key, value in state.items()}}, path)
    else:
        torch.save(state, path)
    data = path.read_bytes()
    found = {"file": source.file, "sha256": hashlib.sha256(data).hexdigest()}
    if isinstance(source, UrlSource):
        revision = hub.add("torchvision/models", {source.file: data})
        found = {"sha256": found["sha256"], "kind": "url"}
        found["url"] = f"{hub.url}/torchvision/models/resolve/{revision}/{source.file}"
    else:
        hub.add(source.repo_id, {source.file: data}, source.revision)
        found |= {"kind": "hub", "repo_id": source.repo_id, "revision": source.revision}
    weights = tmp_path / "weights.toml"
    weights.write_text("schema_version = 1\n" + row_text(checkpoint, found))
    env = hub.environment(tmp_path / "home", NSNET_WEIGHTS=str(weights))
    name = f"my-{checkpoint}"

    def nsnet(*args: str, **more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "nsnet_cli", *args]
        return subprocess.run(command, env={**env, **more}, capture_output=True, encoding="utf-8", timeout=900)

    assert (pulled := nsnet("models", "pull", name)).returncode == 0, pulled.stderr
    assert "never run on its published weights here" in pulled.stderr
    done = nsnet("tag", str(cat_video), "--checkpoint", name, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert len(result["tags"]) == 5
    tags = {tag.name for tag in load_vocabulary(use.network.vocabulary)}
    assert {tag["name"] for tag in result["tags"]} <= tags
    sent = hub.requests()
    again = nsnet("tag", str(cat_video), "--checkpoint", name, "--json", HF_HUB_OFFLINE="1")
    assert json.loads(again.stdout)["tags"] == result["tags"] and hub.requests() == sent
