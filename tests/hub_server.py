"""A Hugging Face Hub on 127.0.0.1: repositories in memory, its download and upload API over HTTP, faults on demand.

    with HubServer() as hub:
        revision = hub.add("timm/resnet50.a1_in1k", {"model.safetensors": data})
        hub.fault = "cut"                       # one of FAULTS, for GETs and HEADs of files
        subprocess.run([...], env=hub.environment(home))

The real huggingface_hub client runs against it in subprocesses, because it reads its environment at import.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import struct
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import unquote

from served import Served

FAULTS = {
    "cut": "every body ends before its announced length, resumed ones too",
    "cut_once": "the first body ends in the middle, the resumed one is whole",
    "reset": "as cut, with a reset of the connection",
    "reset_once": "as cut_once, with a reset",
    "cut_head": "the connection closes before any answer",
    "truncated": "a shorter body with a Content-Length that fits it",
    "wrong_bytes": "other bytes of the right length",
    "wrong_etag": "the metadata names another sha256 than the row",
    "drip": "a few bytes a second, for ever",
    "stall": "half of the body, then silence",
    "silent": "the request is read and never answered",
    "gone_after_head": "HEAD is answered, then the server closes its socket",
    "repo_not_found": "401 with RepoNotFound, as the Hub says it",
    "revision_not_found": "404 with RevisionNotFound",
    "file_not_found": "404 with EntryNotFound",
    "gated": "401 with GatedRepo",
    "gated_403": "403 with GatedRepo: a token, but no access granted",
    "bad_token": "401 with Invalid credentials",
    "forbidden": "403",
    "rate_limited": "429 with Retry-After",
    "server_error": "503",
    "not_a_hub": "200 and a web page: a captive portal",
    "unsized": "no size is told, neither before nor with the body",
    "disk_full": "no fault of the server: the metadata claims 10^15 bytes",
}
TOKEN = "hf_testtoken"
STATUS = {
    "repo_not_found": (401, "RepoNotFound", "Repository not found"),
    "revision_not_found": (404, "RevisionNotFound", "Invalid rev id"),
    "file_not_found": (404, "EntryNotFound", "Entry not found"),
    "gated": (401, "GatedRepo", "Access to model is restricted. You must be authenticated to access it."),
    "gated_403": (403, "GatedRepo", "Access to model is restricted and you are not in the authorized list."),
    "bad_token": (401, None, "Invalid credentials in Authorization header"),
    "forbidden": (403, None, "This repository is not reachable with this token"),
    "rate_limited": (429, None, "Too many requests"),
    "server_error": (503, None, "Service unavailable"),
}


_reserved = socket.socket()
_reserved.bind(("127.0.0.1", 0))  # bound but never listened on: connections are refused
CLOSED_PORT: int = _reserved.getsockname()[1]


class HubServer(Served):
    def __init__(self) -> None:
        super().__init__(Handler)
        self.repos: dict[str, dict[str, dict[str, bytes]]] = {}  # repo_id -> revision -> path -> bytes
        self.uploads: dict[str, bytes] = {}  # LFS objects by sha256
        self.fault: str | None = None
        self.redirect_blobs = False  # bodies come from another path, as from the Hub's CDN
        self.delay_s = 0.0  # delay before each piece of a body
        self.log: list[tuple[str, str]] = []
        self.with_token: list[tuple[str, str]] = []  # the requests of `log` that carried an Authorization header
        self.private: set[str] = set()  # repositories that need TOKEN
        self.cuts = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def add(self, repo_id: str, files: dict[str, bytes], revision: str | None = None) -> str:
        """Adds a revision of a repository and returns its name: 40 hex digits, by default a hash of its files."""
        digest = hashlib.sha1(b"".join(name.encode() + data for name, data in sorted(files.items())))
        revision = revision or digest.hexdigest()
        self.repos.setdefault(repo_id, {})[revision] = files
        self.repos[repo_id]["main"] = files
        return revision

    def commit_of(self, repo_id: str, revision: str) -> str:
        if revision != "main":
            return revision
        return [name for name in self.repos[repo_id] if name != "main"][-1]

    def requests(self, method: str = "") -> int:
        return sum(1 for done, _ in self.log if done.startswith(method))

    def environment(self, home: Path, **more: str) -> dict[str, str]:
        """The environment of a client of this server, with its cache, token and files under `home`."""
        return client_environment(home, HF_ENDPOINT=self.url, **more)


def client_environment(home: Path, **more: str) -> dict[str, str]:
    keep = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "NSNET_", "XDG_", "HUGGING"))}
    folders = {f"XDG_{kind}_HOME": str(home / kind.lower()) for kind in ("CACHE", "DATA", "CONFIG", "STATE")}
    return {**keep, **folders, "HOME": str(home), "HF_HOME": str(home / "hf"), "OMP_NUM_THREADS": "1", **more}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HubServer

    def log_message(self, *_: object) -> None: ...

    def do_HEAD(self) -> None:
        self._file(body=False)

    def do_GET(self) -> None:
        self._file(body=True)

    # -- download

    def _file(self, body: bool) -> None:
        hub, path = self.server, unquote(self.path.split("?")[0])
        hub.log.append((self.command, path))
        if self.headers.get("Authorization"):
            hub.with_token.append((self.command, path))
        if path.startswith("/cdn/"):
            data = next(
                (f for r in hub.repos.values() for v in r.values() for f in v.values() if _sha(f) == path[5:]), b""
            )
            return self._body(data, {}, body)
        if hub.fault == "silent":
            time.sleep(60)
            return None
        if hub.fault == "cut_head":
            return self._reset()
        if hub.fault == "not_a_hub":
            return self._answer(200, b"<html>Welcome to the hotel network</html>", {"Content-Type": "text/html"})
        if hub.fault in STATUS:
            return self._refuse(*STATUS[hub.fault])
        if "/resolve/" not in path:
            return self._refuse(404, None, "no such page")
        repo_id, _, rest = path[1:].partition("/resolve/")
        revision, _, name = rest.partition("/")
        hidden = repo_id in hub.private and self.headers.get("Authorization") != f"Bearer {TOKEN}"
        if repo_id not in hub.repos or hidden:
            return self._refuse(*STATUS["repo_not_found"])
        if revision not in hub.repos[repo_id]:
            return self._refuse(*STATUS["revision_not_found"])
        if name not in hub.repos[repo_id][revision]:
            return self._refuse(*STATUS["file_not_found"], {"X-Repo-Commit": hub.commit_of(repo_id, revision)})
        data = hub.repos[repo_id][revision][name]
        return self._found(data, hub.commit_of(repo_id, revision), name, body)

    def _found(self, data: bytes, commit: str, name: str, body: bool) -> None:
        hub, digest, size = self.server, _sha(data), len(data)
        if hub.fault == "wrong_etag":
            digest = _sha(data + b"x")
        if hub.fault == "disk_full":
            size = 10**15  # announced, never sent
        lfs = name.endswith((".safetensors", ".bin", ".pth"))
        headers = {"X-Repo-Commit": commit, "ETag": f'"{hashlib.sha1(data).hexdigest()}"'}
        if lfs:
            headers |= {"X-Linked-Etag": f'"{digest}"'}
            headers |= {"X-Linked-Size": str(size)} if hub.fault != "unsized" else {}
        if lfs and hub.redirect_blobs:
            # another host name, so that the client treats it as a CDN: no token may follow
            location = hub.url.replace("127.0.0.1", "localhost") + f"/cdn/{_sha(data)}"
            return self._answer(302, b"", {**headers, "Location": location})
        if hub.fault == "gone_after_head":
            headers["Connection"] = "close"
            with contextlib.suppress(OSError):
                hub.socket.shutdown(
                    socket.SHUT_RDWR
                )  # refuses connections from now on, even if another thread waits on it
            hub.socket.close()
        return self._body(data, headers, body)

    def _body(self, data: bytes, headers: dict[str, str], body: bool) -> None:
        hub, start = self.server, 0
        if wanted := self.headers.get("Range"):
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            headers = {**headers, "Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
        if not body:
            return self._answer(200, data, headers)
        if hub.fault == "unsized":
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            return self._send(data)
        if hub.fault == "truncated":
            data = data[: len(data) // 2]
        if hub.fault == "wrong_bytes":
            data = bytes(255 - byte for byte in data[:64]) + data[64:]
        status, data = (206 if start else 200), data[start:]
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(data)), "Accept-Ranges": "bytes"}.items():
            self.send_header(key, value)
        self.end_headers()
        return self._send(data)

    def _send(self, data: bytes) -> None:
        hub = self.server
        fault = hub.fault or ""
        if fault.startswith(("cut", "reset")) and not (fault.endswith("_once") and hub.cuts):
            hub.cuts += 1
            self.wfile.write(data[: len(data) // 2] if fault.endswith("_once") else b"")
            self.wfile.flush()
            time.sleep(0.2)  # let the client read it: a reset discards what is in transit
            self.close_connection = True
            return self._reset() if fault.startswith("reset") else None
        if hub.fault == "stall":
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            time.sleep(60)
            return None
        step = 8 if hub.fault == "drip" else 1 << 16
        for at in range(0, len(data), step):
            if hub.delay_s or hub.fault == "drip":
                time.sleep(hub.delay_s or 0.25)
            self.wfile.write(data[at : at + step])
            self.wfile.flush()
        return None

    # -- answers

    def _answer(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        length = {} if self.server.fault == "unsized" and self.command == "HEAD" else {"Content-Length": str(len(data))}
        for key, value in {**length, **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _json(self, data: object, status: int = 200) -> None:
        self._answer(status, json.dumps(data).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status: int, code: str | None, message: str, more: dict[str, str] | None = None) -> None:
        headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {}), **(more or {})}
        if status == 429:
            headers["Retry-After"] = "30"
        self._answer(status, json.dumps({"error": message}).encode(), {"Content-Type": "application/json", **headers})

    def _reset(self) -> None:
        """Ends the connection with a reset, like a cut line."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    # -- upload

    def do_POST(self) -> None:
        hub, path = self.server, unquote(self.path.split("?")[0])
        hub.log.append((self.command, path))
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}" or hub.fault in STATUS:
            return self._refuse(*STATUS.get(hub.fault or "", STATUS["bad_token"]))
        if path == "/api/validate-yaml":
            return self._json({"errors": [], "warnings": []})
        if path == "/api/repos/create":
            return self._create(json.loads(raw))
        if path.endswith("/info/lfs/objects/batch"):
            return self._lfs_batch(json.loads(raw))
        if path.startswith("/api/models/") and "/preupload/" in path:
            kinds = [
                {
                    **file,
                    "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                    "shouldIgnore": False,
                }
                for file in json.loads(raw)["files"]
            ]
            return self._json({"files": kinds, "commitOid": None})
        if path.startswith("/api/models/") and "/commit/" in path:
            return self._commit(path.removeprefix("/api/models/").partition("/commit/")[0], raw)
        return self._refuse(404, None, f"no such page {path}")

    def do_PUT(self) -> None:
        self.server.log.append((self.command, self.path))
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.uploads[_sha(data)] = data
        self._answer(200, b"")

    def _create(self, wanted: dict[str, object]) -> None:
        name, owner = str(wanted["name"]), wanted.get("organization")
        repo_id = f"{owner}/{name}" if owner else f"tester/{name}"
        if repo_id in self.server.repos:
            return self._json(
                {"error": "You already created this model repo", "url": f"{self.server.url}/{repo_id}"}, 409
            )
        self.server.repos[repo_id] = {}
        return self._json({"url": f"{self.server.url}/{repo_id}", "name": repo_id, "id": "1"})

    def _lfs_batch(self, wanted: dict[str, list[dict[str, object]]]) -> None:
        objects = [
            {**entry, "actions": {"upload": {"href": f"{self.server.url}/lfs/{entry['oid']}", "header": {}}}}
            for entry in wanted["objects"]
        ]
        self._json({"transfer": "basic", "objects": objects})

    def _commit(self, repo_id: str, raw: bytes) -> None:
        import base64

        files = dict(self.server.repos[repo_id].get("main", {}))
        for line in raw.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.server.uploads[value["oid"]]
        commit = self.server.add(repo_id, files)
        self._json({"success": True, "commitOid": commit, "commitUrl": f"{self.server.url}/{repo_id}/commit/{commit}"})


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
