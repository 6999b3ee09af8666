"""Pickles of networks: what is read from them, and their conversions in the cache."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from nsnet_cli.errors import WeightsError
from nsnet_cli.nets import converted, intact
from nsnet_cli.nets.networks import network_state
from nsnet_cli.nets.states import STATE_KEYS, read_state
from nsnet_cli.weights.memory import sha256_of
from nsnet_cli.weights.rows import HubSource, PackageSource

HUB = HubSource("owner/name", "a" * 40, "net.pth")
STATE = {"head.weight": torch.arange(6.0).reshape(2, 3), "norm.count": torch.tensor(7)}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NSNET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "converted"


def saved(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


def same(found: Any, wanted: Any) -> bool:
    return found.keys() == wanted.keys() and all(torch.equal(found[key], wanted[key]) for key in wanted)


def conversions(cache: Path) -> list[Path]:
    return [path for path in cache.iterdir() if path.is_dir()] if cache.is_dir() else []


@pytest.fixture
def no_pickle(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on, a test that opens a pickle fails."""

    def fail(*args: object, **settings: object) -> None:
        raise AssertionError("a pickle was opened")

    monkeypatch.setattr(torch, "load", fail)


@pytest.mark.parametrize("key", [None, *STATE_KEYS])
def test_a_table_is_found_beside_other_things(tmp_path: Path, key: str | None) -> None:
    content = STATE if key is None else {"epoch": 3, "optimizer": {"lr": 0.1}, key: STATE}
    assert same(read_state(saved(tmp_path / "net.pth", content)), STATE)


def test_a_parameter_that_is_called_like_a_table_is_a_parameter(tmp_path: Path) -> None:
    state = {"model": torch.ones(1), "module": torch.zeros(1)}
    assert same(read_state(saved(tmp_path / "net.pth", state)), state)


@pytest.mark.parametrize("content", [{"model": {"a": 1}}, {"model": {3: torch.ones(1)}}, {"epoch": 3}, {"a": STATE}])
def test_a_pickle_without_a_table_of_tensors(tmp_path: Path, content: Any) -> None:
    with pytest.raises(WeightsError, match=r"net.pth holds no table of tensors"):
        read_state(saved(tmp_path / "net.pth", content))


def test_a_pickle_is_opened_once_and_both_hashes_are_kept(
    tmp_path: Path, cache: Path, request: pytest.FixtureRequest
) -> None:
    half = {key: value.half() if value.is_floating_point() else value for key, value in STATE.items()}
    file = saved(tmp_path / "net.pth", {"module": half})
    first = network_state(file, HUB)
    assert same(first, STATE) and first["head.weight"].dtype == torch.float32
    (folder,) = conversions(cache)
    model = folder / converted.MODEL_FILE
    meta = intact.read_meta(folder)
    assert meta == {"source_sha256": sha256_of(file), "files": {model.name: sha256_of(model)}}
    assert same(read_state(model), half), "it has the file's own precision"
    request.getfixturevalue("no_pickle")
    assert same(network_state(file, HUB), STATE)


@pytest.mark.parametrize("damage", ["flip", "cut", "no model", "no meta", "rubbish in meta"])
def test_a_damaged_conversion_is_made_again(
    tmp_path: Path, cache: Path, damage: str, request: pytest.FixtureRequest
) -> None:
    file = saved(tmp_path / "net.pth", STATE)
    network_state(file, HUB)
    model, meta = conversions(cache)[0] / converted.MODEL_FILE, conversions(cache)[0] / intact.META_FILE
    whole = model.read_bytes()
    if damage == "flip":
        model.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    elif damage == "cut":
        model.write_bytes(whole[:-1])
    elif damage == "rubbish in meta":
        meta.write_text(json.dumps({"meta": "{}", "sha256": "0" * 64}))
    else:
        (meta if damage == "no meta" else model).unlink()
    assert same(network_state(file, HUB), STATE)
    assert len(conversions(cache)) == 1 and model.read_bytes() == whole
    request.getfixturevalue("no_pickle")
    assert same(network_state(file, HUB), STATE)


def test_a_hostile_pickle_is_refused_and_nothing_is_kept(tmp_path: Path, cache: Path) -> None:
    mark = tmp_path / "it ran"

    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(mark),)

    plain = tmp_path / "plain.pth"
    plain.write_bytes(pickle.dumps(Hostile(), protocol=2))
    for file in (plain, saved(tmp_path / "net.pth", {"module": {"a": torch.ones(1), "b": Hostile()}})):
        with pytest.raises(WeightsError, match="cannot read") as raised:
            network_state(file, HUB)
        assert raised.value.kind == "bad_tensors"
    assert not mark.exists() and conversions(cache) == []
    pickle.loads(plain.read_bytes())
    assert mark.exists(), "it would have run"


def test_another_file_of_the_same_name_has_its_own_conversion(tmp_path: Path, cache: Path) -> None:
    other = {"head.weight": torch.ones(2)}
    assert same(network_state(saved(tmp_path / "net.pth", STATE), HUB), STATE)
    assert same(network_state(saved(tmp_path / "net.pth", other), HUB), other)
    assert len(conversions(cache)) == 2


def test_tensors_that_share_their_memory(tmp_path: Path, cache: Path) -> None:
    whole = torch.arange(12.0).reshape(3, 4)
    state = {"a": whole, "b": whole[1:], "c": whole.T}
    file = saved(tmp_path / "net.pth", state)
    assert same(network_state(file, HUB), state)
    assert converted.find(file) and same(network_state(file, HUB), state)


def test_a_package_s_pickle_and_a_safetensors_file_are_not_converted(tmp_path: Path, cache: Path) -> None:
    from safetensors.torch import save_file

    package = PackageSource("distribution", "module", "net.pth", "0" * 64)
    assert same(network_state(saved(tmp_path / "net.pth", STATE), package), STATE)
    save_file(STATE, tmp_path / "net.safetensors")
    assert same(network_state(tmp_path / "net.safetensors", HUB), STATE)
    assert conversions(cache) == []


def test_a_cache_that_cannot_be_written_only_costs_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("NSNET_CACHE", str(tmp_path / "file"))
    file = saved(tmp_path / "net.pth", STATE)
    assert same(network_state(file, HUB), STATE) and same(network_state(file, HUB), STATE)


def test_a_failed_conversion_leaves_nothing(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(intact, "write_meta", full)
    assert same(network_state(saved(tmp_path / "net.pth", STATE), HUB), STATE)
    assert [path.name for path in cache.iterdir()] == ["converted.lock"]
