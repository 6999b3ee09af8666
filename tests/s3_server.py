"""moto's S3 on 127.0.0.1, with a log of its requests and with faults on demand. Needs moto[server] and s3fs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "nsnet", "AWS_SECRET_ACCESS_KEY": "sesame", "AWS_DEFAULT_REGION": "us-east-1"}
ERROR = '<?xml version="1.0"?><Error><Code>{code}</Code><Message>a fault of the test</Message></Error>'
CODES = {403: "AccessDenied", 404: "NoSuchKey", 412: "PreconditionFailed", 416: "InvalidRange", 503: "SlowDown"}


class S3Server:
    """`fault(method, path)` is asked for each request: a status, "cut" (half of the body), or None."""

    def __init__(self) -> None:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import make_server

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._moto = DomainDispatcherApplication(create_backend_app)
        self.fault: Callable[[str, str], int | str | None] = lambda method, path: None
        self.log: list[tuple[str, str, int]] = []
        """(method, path, bytes of the answer) of each request."""
        self._lock = threading.Lock()
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def environment(self) -> dict[str, str]:
        return {**CREDENTIALS, "AWS_ENDPOINT_URL": self.url}

    def fill(self, videos: Iterable[Path]) -> str:
        """Puts videos into a bucket, and returns where they are. It needs the environment above."""
        import boto3

        client = boto3.client("s3")
        client.create_bucket(Bucket="bucket")
        for video in videos:
            client.put_object(Bucket="bucket", Key=f"videos/{video.name}", Body=video.read_bytes())
        return "s3://bucket/videos/"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        fault = self.fault(method, path)
        told: list[Any] = []
        if isinstance(fault, int):
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            body = ERROR.format(code=CODES[fault]).encode() if method != "HEAD" else b""
            told = [
                f"{fault} {CODES[fault]}",
                [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))],
            ]
        else:
            body = b"".join(self._moto(environ, lambda *status: told.extend(status)))
        with self._lock:
            self.log.append((method, path, len(body)))
        start_response(*told[:2])
        return [body[: len(body) // 2] if fault == "cut" else body]


@contextmanager
def s3_server() -> Iterator[S3Server]:
    server = S3Server()
    try:
        yield server
    finally:
        server.close()
