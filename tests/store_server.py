"""A web server on 127.0.0.1 that gives ranges of files, writes down each request, and has faults on demand."""

from __future__ import annotations

import hashlib
import re
import ssl
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import unquote

from served import Served

STATUSES = (401, 403, 404, 412, 416, 429, 500, 503)


class StoreServer(Served):
    """Serves the files of `folder`. `fault(path, start)` says what goes wrong with a request, or None.

    A fault is a status, "cut" (half of the body, then the end), "silent" (no answer), "slow" (bytes drip) or
    "no_ranges" (200 and the whole file).
    """

    def __init__(self, folder: Path, certificate: Path | None = None) -> None:
        """`certificate`: a PEM file with its key, for https."""
        super().__init__(Handler)
        self.folder, self.certificate = folder, certificate
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.fault: Callable[[str, int], int | str | None] = lambda path, start: None
        self.log: list[tuple[str, int, int]] = []
        """(path, start, bytes sent) of each request."""
        self.headers: list[dict[str, str]] = []
        self.delay_s = 0.0
        self.many = True
        """Whether one request may ask for several ranges."""
        self._files: dict[Path, tuple[tuple[int, int], bytes, str]] = {}
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        host = "https://localhost" if self.certificate else "http://127.0.0.1"
        return f"{host}:{self.server_address[1]}"

    def file(self, path: Path) -> tuple[bytes, str]:
        """Bytes and ETag of a file."""
        stat = path.stat()
        key = (stat.st_size, stat.st_mtime_ns)
        if path not in self._files or self._files[path][0] != key:
            data = path.read_bytes()
            self._files[path] = (key, data, f'"{hashlib.md5(data).hexdigest()}"')
        return self._files[path][1:]

    def note(self, path: str, start: int, count: int, headers: dict[str, str]) -> None:
        with self._lock:
            self.log.append((path, start, count))
            self.headers.append(headers)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: StoreServer

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        store, path = self.server, unquote(self.path.split("?")[0])
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        start = int(found[1]) if found else 0
        time.sleep(store.delay_s)
        fault = store.fault(path, start)
        file = store.folder / path[1:]
        if isinstance(fault, int) or not file.is_file():
            store.note(path, start, 0, dict(self.headers))
            return self._answer(fault if isinstance(fault, int) else 404, b"no")
        data, etag = store.file(file)
        if self.headers.get("If-Match", etag) != etag:
            store.note(path, start, 0, dict(self.headers))
            return self._answer(412, b"")
        headers = {"ETag": etag, "Last-Modified": self.date_time_string(int(file.stat().st_mtime))}
        several = re.findall(r"(\d+)-(\d+)", self.headers.get("Range", ""))
        if len(several) > 1 and store.many and fault != "no_ranges":
            return self._several([(int(a), int(b) + 1) for a, b in several], data, headers, fault, path)
        if found and fault != "no_ranges":
            if start >= len(data):
                return self._answer(416, b"", {"Content-Range": f"bytes */{len(data)}"})
            end = min(len(data), int(found[2]) + 1 if found[2] else len(data))
            headers |= {"Content-Range": f"bytes {start}-{end - 1}/{len(data)}", "Accept-Ranges": "bytes"}
            return self._send(206, data[start:end], headers, fault, path, start)
        return self._send(200, data, headers, fault, path, 0)

    def _several(
        self, ranges: list[tuple[int, int]], data: bytes, headers: dict[str, str], fault: object, path: str
    ) -> None:
        body = b""
        for start, end in ranges:
            body += b"\r\n--EDGE\r\nContent-Type: video/mp4\r\n"
            body += f"Content-Range: bytes {start}-{end - 1}/{len(data)}\r\n\r\n".encode() + data[start:end]
        headers |= {"Content-Type": "multipart/byteranges; boundary=EDGE"}
        self._send(206, body + b"\r\n--EDGE--\r\n", headers, fault, path, ranges[0][0])

    def _send(self, status: int, data: bytes, headers: dict[str, str], fault: object, path: str, start: int) -> None:
        if fault == "silent":
            time.sleep(60)
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        sent = 0
        try:
            for at in range(0, len(data), 1 << 16):
                if fault == "cut" and at + (1 << 16) > len(data) // 2:
                    time.sleep(0.1)  # so that the client has read what came
                    self.close_connection = True
                    return
                if fault == "slow":
                    time.sleep(1)
                sent += self.wfile.write(data[at : at + (1 << 16)])
        except OSError:
            self.close_connection = True
        finally:
            self.server.note(path, start, sent, dict(self.headers))

    def _answer(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


def self_signed(path: Path) -> Path:
    """Writes a certificate for localhost, with its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    new = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    new = new.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    new = new.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + new.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return path
