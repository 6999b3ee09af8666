"""`--finetune`: the recogniser is trained too, kept only if it is better, and travels in the checkpoint's folder."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from checkpoint_files import CONFIG, SUM, written
from conftest import noise, pan, write_video
from hub_server import HubServer
from safetensors.numpy import save

from nsnet_cli.errors import WeightsError
from nsnet_cli.weights.calibrated import calibrated_config, write_calibrated
from nsnet_cli.weights.checkpoint import read_checkpoint
from nsnet_cli.weights.identity import network_identity
from nsnet_cli.weights.obtain import network_file
from nsnet_cli.weights.push import checked_folder
from nsnet_cli.weights.tuned import TUNED_FILE

DATA = save({"x": np.ones(3, np.float32)})


def tuned(folder: Path) -> Path:
    """A checkpoint whose recogniser has weights of its own."""
    recogniser = {**CONFIG["recogniser"], "sha256": hashlib.sha256(DATA).hexdigest()}
    written(folder, recogniser=recogniser)
    (folder / TUNED_FILE).write_bytes(DATA)
    return folder


# ---- the folder -----------------------------------------------------------------------------------------------------


def test_a_tuned_recogniser_is_read_from_the_folder(tmp_path: Path) -> None:
    usual, found = read_checkpoint(written(tmp_path / "usual")), read_checkpoint(tuned(tmp_path / "tuned"))
    assert network_file(found.recogniser.network)[0] == tmp_path / "tuned" / TUNED_FILE
    assert found.recogniser.input == usual.recogniser.input and found.preview == usual.preview
    assert network_identity(found.recogniser) != network_identity(usual.recogniser) and found.hash != usual.hash


def test_tuned_weights_that_changed_or_are_gone_are_named(tmp_path: Path) -> None:
    found = read_checkpoint(tuned(tmp_path / "tuned")).recogniser.network
    (tmp_path / "tuned" / TUNED_FILE).write_bytes(DATA + b" ")
    with pytest.raises(WeightsError, match=f"{TUNED_FILE} has sha256.*config.json says"):
        network_file(found)
    (tmp_path / "tuned" / TUNED_FILE).unlink()
    with pytest.raises(WeightsError, match=f"are missing: .*{TUNED_FILE}.*train or download"):
        network_file(found)


def test_a_calibrated_copy_has_the_tuned_weights(tmp_path: Path) -> None:
    found = read_checkpoint(tuned(tmp_path / "tuned"))
    config = calibrated_config(found, SUM, tmp_path / "copy")
    write_calibrated(found, config, tmp_path / "copy", "")
    copy = read_checkpoint(tmp_path / "copy")
    assert network_identity(copy.recogniser) == network_identity(found.recogniser)
    assert network_file(copy.recogniser.network)[0] == tmp_path / "copy" / TUNED_FILE


def test_tuned_weights_go_to_the_hub_and_come_back(tmp_path: Path) -> None:
    files = checked_folder(tuned(tmp_path / "tuned"), "me/tuned")
    assert [path.name for path in files] == ["config.json", "model.safetensors", "README.md", TUNED_FILE]
    with HubServer() as hub:
        revision = hub.add("me/tuned", {path.name: path.read_bytes() for path in files})
        command = [sys.executable, "-m", "nsnet_cli", "models", "pull", f"hub:me/tuned@{revision}"]
        subprocess.run(command, env=hub.environment(tmp_path / "home"), check=True)
    (copy,) = (tmp_path / "home").rglob(TUNED_FILE)
    assert copy.read_bytes() == DATA


# ---- training -------------------------------------------------------------------------------------------------------


def made_frames(videos: int, seed: int, right: bool = True):  # type: ignore[no-untyped-def]
    """Three frames per video: stripes that lie or stand. Without `right` the labels are by chance."""
    from nsnet_cli.training.salient_frames import Frames

    rng = np.random.default_rng(seed)
    labels = [int(rng.integers(2)) if not right else row % 2 for row in range(videos)]
    pixels = rng.integers(0, 60, (3 * videos, 32, 32, 3), dtype=np.uint8)
    for row in range(videos):
        stripes = np.zeros((32, 32), np.uint8)
        stripes[int(rng.integers(4)) :: 4] = 150
        pixels[3 * row : 3 * row + 3] += (stripes if row % 2 else stripes.T)[None, :, :, None]
    rows = tuple(slice(3 * row, 3 * row + 3) for row in range(videos))
    targets = np.eye(2, dtype=np.uint8)[labels]
    return Frames(pixels, rows, np.ones(3 * videos, np.float32), targets, tuple((label,) for label in labels))


@pytest.mark.torch
@pytest.mark.parametrize("right", [True, False])
def test_tuning_is_kept_only_if_held_out_videos_gain(
    right: bool, monkeypatch: pytest.MonkeyPatch, heard: pytest.LogCaptureFixture
) -> None:
    """A blind network of random weights learns to tell stripes apart; from labels by chance it can learn nothing."""
    import torch
    from torch import nn

    from nsnet_cli.media import InputSpec
    from nsnet_cli.nets.networks import ViewNetwork
    from nsnet_cli.nets.threads import one_thread
    from nsnet_cli.training import finetune
    from nsnet_cli.training.head import FittedHead

    class Small(ViewNetwork):
        def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            features = self.net((pixels.permute(0, 3, 1, 2).float() - self.mean) / self.std).mean((2, 3))
            return features, features

    monkeypatch.setattr(finetune, "LEARNING_RATE", 0.01)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(3, 8, 5), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU())
    network = Small(net, InputSpec(32, 1.0, "bilinear", (0.3,) * 3, (0.2,) * 3), 8)
    head = FittedHead(np.zeros((2, 8), np.float32), np.zeros(2, np.float32), 1.0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with one_thread():
        made = finetune.tune(network, head, made_frames(32, 0, right), made_frames(16, 1, right), False, 0, "cpu")
    if right:
        assert made is not None and made[1]["finetune_val_loss"] < 0.6 < made[1]["head_only_val_loss"]
        assert any(not torch.equal(before[name], value) for name, value in network.state_dict().items())
        assert heard.messages[-1].startswith("fine-tuned: held-out loss 0.")
    else:
        assert made is None and "the head alone is kept" in heard.messages[-1]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.torch
def test_train_with_finetune_and_tag_offline(
    tmp_path: Path,
    photos: dict[str, np.ndarray],
    inside: Callable[..., CompletedProcess[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two photos of which the frozen features know enough: what counts is that the folder works, tuned or not."""
    from nsnet_cli.training import finetune

    for name in ("cat", "rocket"):
        (tmp_path / "videos" / name).mkdir(parents=True)
        for index in range(3):
            frames = [*noise(6, seed=index), *pan(photos[name], 8 + index), *noise(6, seed=index + 50)]
            write_video(tmp_path / "videos" / name / f"{index}.mp4", frames)
    monkeypatch.setattr(finetune, "EPOCHS", 1)
    out = tmp_path / "mine"
    done = inside("train", tmp_path / "videos", "-o", out, "--epochs", "3", "--finetune", "--val-split", "0.4")
    assert done.returncode == 0 and "held-out loss" in done.stderr, done.stderr
    config = json.loads((out / "config.json").read_text())
    assert "sha256" in config["recogniser"] and (out / TUNED_FILE).is_file(), done.stderr
    assert config["metrics"]["finetune_val_loss"] < config["metrics"]["head_only_val_loss"]
    assert "recogniser.safetensors" in (out / "README.md").read_text() and not (out / ".nsnet-train").exists()
    moved = tmp_path / "moved"
    shutil.move(out, moved)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    done = inside("tag", tmp_path / "videos" / "cat" / "0.mp4", "--checkpoint", moved, "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["tags"][0]["name"] == "cat", done.stderr
