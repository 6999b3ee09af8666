"""Every fault of the Hub, for the real `nsnet models pull` in its own process, and the pull after it.

`python tests/hub_faults.py` prints the table; tests/test_weights_faults.py checks it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hub_server import CLOSED_PORT, FAULTS, TOKEN, HubServer

EXPECTED = {  # fault -> kind, "" if the pull succeeds anyway
    "cut": "connection_cut",
    "cut_once": "",
    "reset": "connection_cut",
    "reset_once": "",
    "cut_head": "connection_cut",
    "truncated": "truncated",
    "wrong_bytes": "hash_mismatch",
    "wrong_etag": "hash_mismatch",
    "drip": "stalled",
    "stall": "stalled",
    "silent": "timeout",
    "gone_after_head": "unreachable",
    "repo_not_found": "repo_not_found",
    "revision_not_found": "revision_not_found",
    "file_not_found": "file_not_found",
    "gated": "gated",
    "gated_403": "gated",
    "bad_token": "bad_token",
    "forbidden": "forbidden",
    "rate_limited": "rate_limited",
    "server_error": "server_error",
    "not_a_hub": "not_a_hub",
    "disk_full": "no_space",
    "unsized": "",
    # faults on the client's side
    "refused": "connection_refused",
    "no_such_host": "name_not_resolved",
    "no_tls": "tls",
    "proxy_refused": "connection_refused",
    "offline": "offline",
    "cache_is_a_file": "cache_not_writable",
}
# A real disk of 100 kB, if this machine can mount one. The size is known before, or the disk fills while writing.
SMALL_DISK = [
    "unshare",
    "-rm",
    "sh",
    "-c",
    'mkdir -p "$HF_HOME"; mount -t tmpfs -o size=100k none "$HF_HOME"; exec "$@"',
]
if shutil.which("unshare") and not subprocess.run([*SMALL_DISK, "-", "true"], env={"HF_HOME": "/tmp"}).returncode:
    EXPECTED |= {"small_disk": "no_space", "disk_runs_full": "no_space"}
SLOW = ("drip", "stall", "silent")
"""Faults that end by the client's timeout. The others get a timeout for a busy machine."""
DATA = os.urandom(1 << 18)
NAME = "net"

# One process pulls twice: with the fault and then, after a message to this process, without it.
DRIVER = """
import contextlib, glob, io, json, os, sys, time
slept, really_sleep = [], time.sleep
def sleep(seconds):
    slept.append(seconds)
    really_sleep(seconds)
time.sleep = sleep
from nsnet_cli.cli import app
import nsnet_cli.errors
kinds = []
initial = nsnet_cli.errors.NsnetError.__init__
def init(self, *args, **kwargs):
    initial(self, *args, **kwargs)
    kinds.append(self.kind)
nsnet_cli.errors.NsnetError.__init__ = init
def pull():
    kinds.clear(), slept.clear()
    began, err = time.monotonic(), io.StringIO()
    with contextlib.redirect_stderr(err):
        code = app.run(["models", "pull", sys.argv[1]])
    seconds = time.monotonic() - began
    print(json.dumps({"code": code, "seconds": seconds, "slept_s": sum(slept),
                      "stderr": err.getvalue(), "kinds": kinds,
                      "left": glob.glob(os.environ["HF_HOME"] + "/**/*.incomplete", recursive=True)}), flush=True)
import huggingface_hub.file_download  # the time below is the fault's
pull()
if sys.stdin.readline().strip() == "again":
    pull()
"""


@dataclass(frozen=True)
class Outcome:
    fault: str
    kind: str
    code: int
    seconds: float
    slept_s: float
    """Of `seconds`, between retries."""
    stderr: str
    after_code: int
    """Of the pull that follows, the fault gone."""
    left_over: list[str]
    """Unfinished files in the cache after the fault."""

    @property
    def message(self) -> str:
        """The last message of `nsnet` and its hint."""
        at = self.stderr.rfind("nsnet: ")
        return " / ".join(line.strip() for line in self.stderr[at:].splitlines()) if at >= 0 else self.stderr.strip()


def registry_text(
    revision: str, data: bytes, *, name: str = NAME, repo_id: str = "timm/net", sha256: bool = True
) -> str:
    digest = f'sha256 = "{hashlib.sha256(data).hexdigest()}"' if sha256 else ""
    return f"""schema_version = 1
[networks.{name}]
architecture = "resnet18"
license = "Apache-2.0"
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]
interpolation = "bicubic"
crop = 0.95
vocabulary = "imagenet-1k"
[[networks.{name}.sources]]
kind = "hub"
repo_id = "{repo_id}"
revision = "{revision}"
file = "model.safetensors"
{digest}
"""


def try_fault(fault: str, home: Path, *, patience_s: int = 3) -> Outcome:
    with HubServer() as hub:
        revision = hub.add("timm/net", {"model.safetensors": DATA})
        weights = home / "weights.toml"
        weights.write_text(registry_text(revision, DATA))
        waits_s = patience_s if fault in SLOW else max(20, patience_s)
        patience = {"HF_HUB_DOWNLOAD_TIMEOUT": str(waits_s), "HF_HUB_ETAG_TIMEOUT": str(waits_s)}
        env = hub.environment(home, NSNET_WEIGHTS=str(weights), **patience)
        hub.fault = "unsized" if fault == "disk_runs_full" else fault if fault in FAULTS else None
        env |= _client_side(fault, hub, home)
        small = [*SMALL_DISK, "-"] if fault in ("small_disk", "disk_runs_full") else []
        with subprocess.Popen(
            [*small, sys.executable, "-c", DRIVER, NAME],
            env=env,
            encoding="utf-8",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdin is not None and process.stdout is not None
            first = json.loads(process.stdout.readline())
            hub.fault = None
            if fault in FAULTS and fault != "gone_after_head":
                process.stdin.write("again\n")
                process.stdin.close()
                after = json.loads(process.stdout.readline())["code"]
            else:  # these are set in the process's environment or end the server
                process.stdin.close()
                after = _pull_elsewhere(home, weights, revision)
    kinds = first["kinds"] or [""]
    return Outcome(
        fault, kinds[-1], first["code"], first["seconds"], first["slept_s"], first["stderr"], after, first["left"]
    )


def _client_side(fault: str, hub: HubServer, home: Path) -> dict[str, str]:
    """Environment variables that cause or shape a fault on the client's side."""
    if fault == "cache_is_a_file":
        (home / "file").write_text("")
    return {
        "refused": {"HF_ENDPOINT": f"http://127.0.0.1:{CLOSED_PORT}"},
        "no_such_host": {"HF_ENDPOINT": "http://no-such-hub.invalid"},
        "no_tls": {"HF_ENDPOINT": hub.url.replace("http:", "https:")},
        "proxy_refused": {"HTTP_PROXY": f"http://user:secret@127.0.0.1:{CLOSED_PORT}", "NO_PROXY": ""},
        "offline": {"HF_HUB_OFFLINE": "1"},
        "cache_is_a_file": {"HF_HOME": str(home / "file" / "hf")},
        "gated_403": {"HF_TOKEN": TOKEN},
        "bad_token": {"HF_TOKEN": "hf_wrong"},
        "forbidden": {"HF_TOKEN": TOKEN},
    }.get(fault, {})


def _pull_elsewhere(home: Path, weights: Path, revision: str) -> int:
    with HubServer() as hub:
        hub.add("timm/net", {"model.safetensors": DATA}, revision)
        command = [sys.executable, "-m", "nsnet_cli", "models", "pull", NAME]
        env = hub.environment(home, NSNET_WEIGHTS=str(weights))
        return subprocess.run(command, env=env, capture_output=True).returncode


def try_all(faults: Iterable[str], folder: Path, *, patience_s: int = 3, at_once: int = 6) -> dict[str, Outcome]:
    def one(fault: str) -> Outcome:
        home = folder / fault
        home.mkdir()
        return try_fault(fault, home, patience_s=patience_s)

    with ThreadPoolExecutor(at_once) as pool:
        return {outcome.fault: outcome for outcome in pool.map(one, faults)}


def main() -> None:
    """Prints the table of all faults, with the client's own timeout (10 s)."""
    with tempfile.TemporaryDirectory() as folder:
        outcomes = try_all(EXPECTED, Path(folder), patience_s=10, at_once=2)
    print(
        "| fault | kind | message and next step | exit | after s | next pull |\n| --- | --- | --- | --- | --- | --- |"
    )
    for o in outcomes.values():
        message = o.message if o.code else o.stderr.strip().replace("\n", " / ")
        after = "FAILS" if o.after_code else "ok"
        print(f"| {o.fault} | {o.kind} | {message} | {o.code} | {o.seconds:.1f} | {after} |")


if __name__ == "__main__":
    began = time.monotonic()
    main()
    print(f"\n{time.monotonic() - began:.0f} s", file=sys.stderr)
