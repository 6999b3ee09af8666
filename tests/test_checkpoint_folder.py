"""Checkpoint folders: what is written is read back, and incomplete or foreign folders are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_files import CONFIG, tensors, written
from safetensors.numpy import load_file

from nsnet_cli.errors import WeightsError
from nsnet_cli.weights.checkpoint import read_checkpoint, resolve_checkpoint, write_checkpoint
from nsnet_cli.weights.heads import LinearHead, OwnClassifier


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    found = resolve_checkpoint(str(written(tmp_path / "two")))
    assert isinstance(found.head, LinearHead) and (found.name, found.head.multi_label) == ("two-tags", True)
    assert [tag.name for tag in found.vocabulary] == ["first", "second"] and (found.frames, found.preview_frames) == (
        6,
        64,
    )
    assert found.preview.network.name == "efficientnet-lite0" and found.recogniser.size_px == 256
    assert np.array_equal(load_file(tmp_path / "two" / "model.safetensors")["head.weight"], tensors()["head.weight"])
    assert sorted(p.name for p in (tmp_path / "two").iterdir()) == ["README.md", "config.json", "model.safetensors"]


def test_the_hash_follows_what_can_change_a_result(tmp_path: Path) -> None:
    first = read_checkpoint(written(tmp_path / "a"))
    assert read_checkpoint(written(tmp_path / "b", name="other", license="MIT")).hash == first.hash
    assert read_checkpoint(written(tmp_path / "c", multi_label=False)).hash != first.hash
    wider = {"network": "efficientnet-lite2", "size_px": 260}
    assert read_checkpoint(written(tmp_path / "d", recogniser=wider)).hash != first.hash
    write_checkpoint(tmp_path / "e", CONFIG, {**tensors(), "head.bias": np.ones(2, np.float32)}, "")
    assert read_checkpoint(tmp_path / "e").hash != first.hash


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"kind": "other"}, "kind: 'other' is not one of"),
        ({"preview": {"network": "alexnet", "size_px": 128}}, "preview.network: 'alexnet'"),
        ({"preview": {"network": "efficientnet-lite0", "size_px": 3}}, "preview.size_px: 3"),
        ({"preview": {"network": "features:my.npz", "size_px": 0}}, "ready features my.npz"),
        ({"vocabulary": [{"id": "a", "name": "A"}, {"id": "a", "name": "B"}]}, "names a tag twice"),
        ({"vocabulary": [{"id": "a"}]}, "vocabulary[0].name: missing"),
        ({"vocabulary": 7}, "vocabulary: 7 is not a list"),
    ],
)
def test_wrong_fields_are_named(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    with pytest.raises(WeightsError) as error:
        read_checkpoint(written(tmp_path / "c", **changes))
    assert named in str(error.value) and str(tmp_path / "c") in str(error.value)


def test_incomplete_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"not a checkpoint.*nsnet train"):
        read_checkpoint(tmp_path)
    folder = written(tmp_path / "c")
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-1] + b"x")
    with pytest.raises(WeightsError, match="has sha256"):
        read_checkpoint(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match="not a complete checkpoint"):
        read_checkpoint(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(WeightsError, match="cannot read"):
        read_checkpoint(folder)
    (folder / "config.json").write_text(json.dumps({**CONFIG, "schema_version": 99}))
    with pytest.raises(WeightsError, match=r"schema_version 99.*update nsnet"):
        read_checkpoint(folder)


def test_names_and_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "mine")
    assert resolve_checkpoint("mine").name == "two-tags" == resolve_checkpoint("./mine/").name
    assert isinstance(resolve_checkpoint("imagenet-lite").head, OwnClassifier)
    with pytest.raises(WeightsError, match="no checkpoint folder"):
        resolve_checkpoint("./nowhere")
    with pytest.raises(WeightsError, match=r"nowhere.*imagenet-lite"):
        resolve_checkpoint("nowhere")
