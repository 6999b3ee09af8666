"""The real huggingface_hub client, in its own processes, against a Hub on 127.0.0.1."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkpoint_files import written
from hub_faults import NAME, registry_text
from hub_server import CLOSED_PORT, TOKEN, HubServer

DATA = os.urandom(1 << 20)
CLOSED = f"http://127.0.0.1:{CLOSED_PORT}"


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


class Client:
    """`nsnet` with its own home and one server."""

    def __init__(self, hub: HubServer, home: Path) -> None:
        self.hub, self.home = hub, home
        self.revision = hub.add("timm/net", {"model.safetensors": DATA})
        self.weights = home / "weights.toml"
        self.weights.write_text(registry_text(self.revision, DATA))

    def start(self, *args: str, **env: str) -> subprocess.Popen[str]:
        environment = {**self.hub.environment(self.home, NSNET_WEIGHTS=str(self.weights)), **env}
        command = [sys.executable, "-m", "nsnet_cli", *args]
        return subprocess.Popen(
            command, env=environment, encoding="utf-8", stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def run(self, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*args, **env)
        out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(args, process.returncode, out, err)

    def pull(self, **env: str) -> subprocess.CompletedProcess[str]:
        return self.run("models", "pull", NAME, **env)

    @property
    def file(self) -> Path:
        return self.home / "hf" / "hub" / "models--timm--net" / "snapshots" / self.revision / "model.safetensors"

    def incomplete(self) -> list[Path]:
        return list(self.home.rglob("*.incomplete"))


@pytest.fixture
def client(hub: HubServer, tmp_path: Path) -> Client:
    return Client(hub, tmp_path)


def test_after_a_pull_nothing_is_sent(client: Client) -> None:
    done = client.pull()
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "downloaded net (timm/net), 1.0 MB" in done.stderr
    assert client.file.read_bytes() == DATA
    sent = client.hub.requests()
    assert client.hub.requests("GET") == 1
    code = "import sys; from nsnet_cli.cli.app import run\nsys.exit(max(run(a.split()) for a in sys.argv[1:]))"
    commands = [*(f"models {verb} {NAME}" for verb in ("pull", "path", "verify", "show")), "models list"]
    env = client.hub.environment(client.home, NSNET_WEIGHTS=str(client.weights))
    done = subprocess.run([sys.executable, "-c", code, *commands], env=env, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert client.hub.requests() == sent
    for more in ({"HF_ENDPOINT": CLOSED}, {"HF_HUB_OFFLINE": "1"}):
        done = client.run("models", "path", NAME, **more)
        assert (done.returncode, done.stdout.strip()) == (0, str(client.file))


def test_a_terminal_gets_a_bar_and_no_lines(client: Client) -> None:
    import pty

    client.hub.delay_s = 0.1
    master, terminal = pty.openpty()
    env = {**client.hub.environment(client.home, NSNET_WEIGHTS=str(client.weights)), "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(
        [sys.executable, "-m", "nsnet_cli", "models", "pull", NAME], env=env, stdout=subprocess.PIPE, stderr=terminal
    )
    os.close(terminal)
    drawn = b""
    while True:
        try:
            drawn += os.read(master, 1 << 16)
        except OSError:  # the other end is closed
            break
    assert process.wait(60) == 0
    assert b"net (timm/net)" in drawn and b"B/s" in drawn and b"1.0/1.0 MB" in drawn
    assert b"downloading" not in drawn


def test_dry_run_says_what_would_be_fetched_and_how_large(client: Client) -> None:
    done = client.run("models", "pull", NAME, "--dry-run")
    assert done.returncode == 0
    assert done.stdout.splitlines()[1].split() == [
        NAME,
        f"timm/net@{client.revision[:8]}",
        "model.safetensors",
        "1.0",
        "MB",
    ]
    assert "would download 1 file, 1.0 MB" in done.stderr
    assert client.hub.requests("GET") == 0
    assert not client.file.exists()
    offline = client.run("models", "pull", NAME, "--dry-run", HF_HUB_OFFLINE="1")
    assert offline.returncode == 5
    assert "?" in offline.stdout


def test_two_processes_download_once(client: Client) -> None:
    client.hub.delay_s = 0.1
    both = [client.start("models", "pull", NAME) for _ in range(2)]
    said = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert client.hub.requests("GET") == 1
    assert client.file.read_bytes() == DATA


def test_two_processes_and_wrong_bytes(client: Client) -> None:
    client.hub.delay_s, client.hub.fault = 0.05, "wrong_bytes"
    both = [client.start("models", "pull", NAME) for _ in range(2)]
    said = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [5, 5], said
    assert all("the file was removed from the cache" in text for text in said)
    assert not client.file.exists()
    client.hub.fault = None
    assert client.pull().returncode == 0


def test_a_file_that_changed_in_the_cache_is_removed_and_fetched_again(client: Client) -> None:
    client.pull()
    client.file.resolve().write_bytes(bytes([DATA[0] ^ 1]) + DATA[1:])
    done = client.run("models", "verify", NAME)
    assert done.returncode == 5
    assert "hash_mismatch" in done.stdout
    assert not client.file.exists()
    assert client.pull().returncode == 0
    assert client.file.read_bytes() == DATA


def test_a_row_without_a_hash_is_pinned_and_says_so(client: Client) -> None:
    client.weights.write_text(registry_text(client.revision, DATA, sha256=False))
    done = client.pull()
    assert done.returncode == 0, done.stderr
    assert "has no sha256: model.safetensors is pinned to" in done.stderr
    shown = json.loads(client.run("models", "show", NAME, "--json").stdout)
    assert shown["files"][0]["pinned"] is True
    assert client.run("models", "remove", NAME).returncode == 0
    assert not client.file.exists()
    client.hub.add("timm/net", {"model.safetensors": DATA[::-1]}, client.revision)  # like a rewritten history
    done = client.pull()
    assert done.returncode == 5
    assert "the lock file of net says" in done.stderr


def test_killed_and_interrupted_downloads_do_not_block_the_next(client: Client) -> None:
    client.hub.fault = "stall"  # half of the file, then nothing
    for sign, code in ((signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)):
        process = client.start("models", "pull", NAME, HF_HUB_DOWNLOAD_TIMEOUT="300")
        began = time.monotonic()
        while not client.incomplete() and time.monotonic() - began < 60:
            time.sleep(0.02)
        time.sleep(0.3)
        process.send_signal(sign)
        assert (process.wait(60), bool(client.incomplete())) == (code, sign == signal.SIGKILL)
        process.communicate()
    client.hub.fault = None
    assert client.pull().returncode == 0
    assert client.file.read_bytes() == DATA


def test_the_token_goes_to_the_hub_and_no_further(client: Client) -> None:
    client.hub.private.add("timm/net")
    client.hub.redirect_blobs = True
    without = client.pull()
    assert (without.returncode, client.hub.requests("GET")) == (5, 0)
    assert "if it is private, log in" in without.stderr
    done = client.pull(HF_TOKEN=TOKEN)
    assert done.returncode == 0, done.stderr
    assert client.file.read_bytes() == DATA
    assert any(path.startswith("/cdn/") for _, path in client.hub.log)
    assert client.hub.with_token
    assert not any(path.startswith("/cdn/") for _, path in client.hub.with_token)


def test_library_calls_use_the_cache_too(client: Client) -> None:
    """network_file from a Python program: downloads, then needs no client at all."""
    code = (
        "import sys, json\nfrom nsnet_cli.weights.obtain import network_file\n"
        "from nsnet_cli.weights.registry import load_registry\n"
        "path, source = network_file(load_registry().networks['net'])\n"
        "print(json.dumps([str(path), source.repo_id, 'huggingface_hub.file_download' in sys.modules]))"
    )
    env = client.hub.environment(client.home, NSNET_WEIGHTS=str(client.weights))
    said = []
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, encoding="utf-8")
        assert done.returncode == 0, done.stderr
        said.append(json.loads(done.stdout))
    assert said == [[str(client.file), "timm/net", True], [str(client.file), "timm/net", False]]


# ---- checkpoints on the Hub


def test_push_then_use_from_elsewhere(client: Client, tmp_path: Path) -> None:
    folder = written(tmp_path / "two-tags")
    dry = client.run("models", "push", str(folder), "me/two-tags", "--dry-run")
    assert (dry.returncode, client.hub.requests()) == (0, 0)
    assert "would upload 3 files to me/two-tags" in dry.stderr
    done = client.run("models", "push", str(folder), "me/two-tags", HF_TOKEN=TOKEN)
    assert done.returncode == 0, done.stderr
    spec = done.stdout.strip()
    revision = spec.removeprefix("hub:me/two-tags@")
    stored = client.hub.repos["me/two-tags"][revision]
    assert {name: stored[name] for name in ("config.json", "model.safetensors", "README.md")} == {
        path.name: path.read_bytes() for path in folder.iterdir()
    }
    pulled = client.run("models", "pull", spec)
    assert pulled.returncode == 0, pulled.stderr
    shown = json.loads(client.run("models", "show", spec, "--json", HF_ENDPOINT=CLOSED).stdout)
    assert (shown["here"], shown["license"], shown["vocabulary"]) == (True, "MIT", "2 tags")
    listed = client.run("models", "list", "--json", HF_HUB_OFFLINE="1").stdout
    assert spec in [json.loads(line)["name"] for line in listed.splitlines()]
    assert client.run("models", "remove", spec).returncode == 0
    assert client.run("models", "path", spec).returncode == 5


def test_impossible_pushes_are_refused(client: Client, tmp_path: Path) -> None:
    folder = written(tmp_path / "two-tags")
    cases = {
        "no token": {},
        "does not accept the token": {"HF_TOKEN": "hf_wrong"},
        "refuses the connection": {"HF_TOKEN": TOKEN, "HF_ENDPOINT": CLOSED},
        "HF_HUB_OFFLINE": {"HF_TOKEN": TOKEN, "HF_HUB_OFFLINE": "1"},
    }
    seconds = []
    for words, env in cases.items():
        began = time.monotonic()
        done = client.run("models", "push", str(folder), "me/two-tags", **env)
        assert (done.returncode, words in done.stderr) == (5, True), done.stderr
        seconds.append(time.monotonic() - began)
    assert max(seconds) < seconds[0] + 20, "the client's 23 s of retries; the first case asks no server"
    (folder / "README.md").write_text("# no header\n")
    done = client.run("models", "push", str(folder), "me/two-tags", HF_TOKEN=TOKEN)
    assert (done.returncode, "no metadata header" in done.stderr) == (5, True)


def test_a_spec_needs_a_full_revision_and_the_error_names_it(client: Client, tmp_path: Path) -> None:
    folder = written(tmp_path / "two-tags")
    revision = client.hub.add("me/two-tags", {path.name: path.read_bytes() for path in folder.iterdir()})
    for spec in ("hub:me/two-tags", "hub:me/two-tags@main"):
        done = client.run("models", "pull", spec)
        assert done.returncode == 5
        assert f"main is hub:me/two-tags@{revision} today" in done.stderr
    offline = client.run("models", "pull", "hub:me/two-tags", HF_HUB_OFFLINE="1")
    assert "the commit hash from its page" in offline.stderr
    assert client.run("models", "pull", "hub:two-tags@main").returncode == 5
