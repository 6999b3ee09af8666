"""Weights by their https address: downloaded once, resumed, checked; each fault has a message of its own.

The server is that of tests/hub_server.py, which serves any file under /OWNER/NAME/resolve/REVISION/.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_server import CLOSED_PORT, HubServer

from nsnet_cli.errors import WeightsError
from nsnet_cli.weights.download_url import fetch_url
from nsnet_cli.weights.files import local_file, url_cache
from nsnet_cli.weights.obtain import fetch
from nsnet_cli.weights.registry import load_registry
from nsnet_cli.weights.rows import UrlSource
from nsnet_cli.weights.verify import check, remove_cached

DATA = os.urandom(1 << 20)
SHA256 = hashlib.sha256(DATA).hexdigest()
ROW = """
schema_version = 1
[networks.net]
architecture = "resnet18"
license = "MIT"
mean = [0.5, 0.5, 0.5]
std = [0.25, 0.25, 0.25]
interpolation = "bilinear"
crop = 0.9
[[networks.net.sources]]
kind = "url"
url = "https://example.org/models/net-1234.pth"
sha256 = "{sha256}"
size_bytes = 1048576
"""


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


@pytest.fixture
def source(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> UrlSource:
    from huggingface_hub import constants

    monkeypatch.setenv("NSNET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 2)
    revision = hub.add("me/net", {"net.pth": DATA})
    return UrlSource(f"{hub.url}/me/net/resolve/{revision}/net.pth", SHA256, len(DATA))


def names(source: UrlSource) -> list[str]:
    folder = url_cache(source).parent
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def test_a_file_is_downloaded_once(hub: HubServer, source: UrlSource, heard: pytest.LogCaptureFixture) -> None:
    path = fetch(source, "net")
    assert path.read_bytes() == DATA and names(source) == ["net.pth"]
    assert fetch(source, "net") == path == local_file(source)
    assert hub.requests("GET") == 1 and hub.requests("HEAD") == 0
    assert hub.with_token == []


@pytest.mark.parametrize("fault", ["cut_once", "reset_once"])
def test_a_cut_transfer_goes_on_where_it_was(
    fault: str, hub: HubServer, source: UrlSource, heard: pytest.LogCaptureFixture
) -> None:
    hub.fault = fault
    assert fetch_url(source, "net").read_bytes() == DATA
    assert hub.requests("GET") == 2
    assert "resuming" in heard.text


def test_what_came_before_an_interruption_is_kept(hub: HubServer, source: UrlSource) -> None:
    part = url_cache(source).with_name(".net.pth.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(DATA[:1_000_000])
    assert fetch_url(source, "net").read_bytes() == DATA
    assert names(source) == ["net.pth"]
    remove_cached(source)
    part.write_bytes(DATA + b"more than there is")
    hub.fault = "wrong_bytes"
    with pytest.raises(WeightsError):
        fetch_url(source, "net")
    hub.fault = None
    assert fetch_url(source, "net").read_bytes() == DATA, "whatever was left behind, the next try succeeds"


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("cut", "connection_cut"),
        ("truncated", "hash_mismatch"),
        ("wrong_bytes", "hash_mismatch"),
        ("stall", "stalled"),
        ("silent", "timeout"),
        ("file_not_found", "file_not_found"),
        ("forbidden", "forbidden"),
        ("rate_limited", "rate_limited"),
        ("server_error", "server_error"),
        ("not_a_hub", "hash_mismatch"),
    ],
)
def test_faults(fault: str, kind: str, hub: HubServer, source: UrlSource) -> None:
    hub.fault = fault
    with pytest.raises(WeightsError) as raised:
        fetch_url(source, "net")
    assert raised.value.kind == kind, raised.value.message
    assert source.url in raised.value.message or "127.0.0.1" in raised.value.message or kind == "stalled"
    assert "HF_ENDPOINT" not in str(raised.value.hint) and "HF_HOME" not in str(raised.value.hint)
    assert local_file(source) is None
    hub.fault = None
    assert fetch_url(source, "net").read_bytes() == DATA


def test_no_host_and_offline(source: UrlSource, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    refused = UrlSource(f"http://127.0.0.1:{CLOSED_PORT}/net.pth", SHA256)
    with pytest.raises(WeightsError, match="refuses the connection") as raised:
        fetch_url(refused, "net")
    assert raised.value.kind == "connection_refused" and "the url in its row" in str(raised.value.hint)
    monkeypatch.setattr(constants, "is_offline_mode", lambda: True)
    with pytest.raises(WeightsError, match="HF_HUB_OFFLINE"):
        fetch_url(source, "net")


def test_an_address_that_leads_to_one_without_tls_is_refused(hub: HubServer, source: UrlSource) -> None:
    hub.redirect_blobs = True  # to http://localhost
    (revision, files), *_ = hub.repos["me/net"].items()
    files["net.safetensors"] = DATA
    with pytest.raises(WeightsError, match="not secure") as raised:
        fetch_url(UrlSource(f"{hub.url}/me/net/resolve/{revision}/net.safetensors", SHA256), "net")
    assert raised.value.kind == "tls"


def test_two_threads_download_once(hub: HubServer, source: UrlSource) -> None:
    hub.delay_s = 0.02
    both = [threading.Thread(target=fetch_url, args=(source, "net")) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join(60)
    assert hub.requests("GET") == 1 and url_cache(source).read_bytes() == DATA


def test_a_changed_file_is_noticed_and_removed(source: UrlSource) -> None:
    path = fetch(source, "net")
    path.write_bytes(DATA[::-1])
    with pytest.raises(WeightsError, match="the file was removed"):
        check(source, "net", path)
    assert local_file(source) is None


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("https://", "http://", "an address that begins with https://"),
        ("https://", "ftp://", "an address that begins with https://"),
        ("/net-1234.pth", "/", "an address that begins with https://"),
        ('sha256 = "{sha256}"\n', "", "sha256: missing; a file at a url is downloaded only if its hash is known"),
    ],
)
def test_rows_that_are_refused(old: str, new: str, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights.toml"
    path.write_text(ROW.replace(old, new).format(sha256=SHA256))
    monkeypatch.setenv("NSNET_WEIGHTS", str(path))
    with pytest.raises(WeightsError, match=named):
        load_registry()


def test_commands(hub: HubServer, source: UrlSource, tmp_path: Path) -> None:
    """`nsnet models` treats it as a file of the Hub: pull, path, verify, remove."""
    weights = tmp_path / "weights.toml"
    weights.write_text(ROW.replace("https://example.org/models/net-1234.pth", source.url).format(sha256=SHA256))
    env = hub.environment(tmp_path, NSNET_WEIGHTS=str(weights), NSNET_CACHE=str(tmp_path / "cache"))
    code = "import sys; from nsnet_cli.cli.app import run\nprint([run(a.split()) for a in sys.argv[1:]])"
    commands = [f"models {verb} net" for verb in ("pull --dry-run", "pull", "path", "verify", "show", "remove", "path")]
    done = subprocess.run([sys.executable, "-c", code, *commands], env=env, capture_output=True, encoding="utf-8")
    assert done.stdout.splitlines()[-1] == "[0, 0, 0, 0, 0, 0, 5]", done.stderr
    assert f"downloaded net ({source.host}), 1.0 MB" in done.stderr
    assert str(url_cache(source)) in done.stdout and "freed 1.0 MB" in done.stderr
