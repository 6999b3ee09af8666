"""Downloads a file of the Hub with huggingface_hub into its cache, and checks its bytes.

Adds to the client:

- one request for the file's metadata first, without retries: the client would retry a refused connection for 23 s, and
  one that never answers for minutes
- a watch that ends a transfer which stops or is too slow
- a lock around download and check, so that two processes never check or remove each other's file
- the check of the hash
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from nsnet_cli import __version__
from nsnet_cli.errors import WeightsError
from nsnet_cli.progress import Progress, progress
from nsnet_cli.text import megabytes
from nsnet_cli.weights.faults import StalledError, UnreachableError, weights_error
from nsnet_cli.weights.files import cached_file, expected_sha256, repo_cache
from nsnet_cli.weights.rows import HubSource
from nsnet_cli.weights.verify import check_cached

logger = logging.getLogger(__name__)

ATTEMPTS = 3
SLOWEST_BYTES_PER_S = 1024
"""A transfer slower than this for a whole timeout is ended: 38 MB would take ten hours."""


def fetch(source: HubSource, name: str) -> Path:
    """The checked file of `source` in huggingface_hub's cache, downloaded if it is missing.

    Raises WeightsError, with a kind from faults.KINDS. The cache is then as before, and the next call can succeed.
    """
    from huggingface_hub import constants

    try:
        with exclusive(_lock_of(source), source.repo_id):
            path = cached_file(source)
            if path is None:
                metadata = remote_file(source, name)
                check_space(Path(constants.HF_HUB_CACHE), metadata.size_bytes, name, "HF_HOME")
                path = _download(source, name, metadata.size_bytes)
            check_cached(source, name, path)
            return path
    except WeightsError:
        raise
    except Exception as error:
        raise weights_error(error, source, name, constants.HF_HUB_DOWNLOAD_TIMEOUT) from error


class RemoteFile:
    """What the Hub says about a file before the download."""

    __slots__ = ("commit", "sha256", "size_bytes")

    def __init__(self, commit: str, sha256: str | None, size_bytes: int | None) -> None:
        self.commit, self.sha256, self.size_bytes = commit, sha256, size_bytes


def remote_file(source: HubSource, name: str) -> RemoteFile:
    """Asks the Hub for a file's size and hash, with one request and no retries. Raises WeightsError."""
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import FileMetadataError, OfflineModeIsEnabled

    timeout_s = constants.HF_HUB_ETAG_TIMEOUT
    try:
        if constants.is_offline_mode():
            raise OfflineModeIsEnabled("HF_HUB_OFFLINE")
        url = hf_hub_url(source.repo_id, source.file, revision=source.revision)
        with client():
            found = get_hf_file_metadata(url, timeout=timeout_s, library_name="nsnet", library_version=__version__)
        if found.commit_hash is None or found.etag is None:
            raise FileMetadataError("no X-Repo-Commit or ETag header")
    except Exception as error:
        raise weights_error(error, source, name, timeout_s) from error
    offered = found.etag if len(found.etag) == 64 else None  # the ETag of a large file is its sha256
    wanted = expected_sha256(source)
    if offered and wanted and offered != wanted:
        whose = "the row" if source.sha256 else "the lock file"
        raise WeightsError(
            f"{source.repo_id}/{source.file} has sha256 {offered} on the Hub, but {whose} of {name} says {wanted}; "
            "nothing was downloaded",
            f"correct {whose}: nsnet models show {name}",
            "hash_mismatch",
        )
    return RemoteFile(found.commit_hash, offered, found.size)


def _download(source: HubSource, name: str, size_bytes: int | None) -> Path:
    import httpx2
    from huggingface_hub import constants, hf_hub_download

    with ExitStack() as shown:
        label = f"{name} ({source.repo_id})"
        watch = TransferWatch(shown, label, size_bytes, constants.HF_HUB_DOWNLOAD_TIMEOUT)
        bar: Any = watch.bar  # the client wants a class, but only calls it
        with client(watch):
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    path = hf_hub_download(
                        source.repo_id,
                        source.file,
                        revision=source.revision,
                        tqdm_class=bar,
                        library_name="nsnet",
                        library_version=__version__,
                    )
                    break
                except httpx2.ReadError:  # a reset, which the client does not resume
                    if attempt == ATTEMPTS:
                        raise
                    watch.begin_again()
                    time.sleep(1)
        return Path(path)


class TransferWatch:
    """Counts bytes, and ends a transfer that stops, is too slow, or loses the host.

    `shown`: the stack that the progress is entered on when the first byte comes. The caller closes it.
    """

    def __init__(self, shown: ExitStack, label: str, size_bytes: int | None, patience_s: float) -> None:
        self.shown, self.label, self.total, self.patience_s = shown, label, size_bytes, patience_s
        self.done = self.window_bytes = 0
        self.progress: Progress | None = None
        self.last_byte = self.last_request = self.window_start = time.monotonic()
        self.seen: set[tuple[str, str]] = set()

    def bar(self, **_: Any) -> TransferWatch:
        """huggingface_hub calls this to make a tqdm bar. The methods below are the rest of that interface."""
        return self

    def begin_again(self) -> None:
        """The download starts again from the first byte."""
        logger.info("%s: connection lost after %s, trying again", self.label, megabytes(self.done))
        self.done, self.seen = 0, set()

    def __enter__(self) -> TransferWatch:
        return self

    def __exit__(self, *_: object) -> None: ...

    def update(self, count: float | None = 1) -> None:
        now, count = time.monotonic(), int(count or 0)
        self.done += count
        self.window_bytes += count
        self.last_byte = now
        if self.progress is None:
            self.progress = self.shown.enter_context(progress(self.label, self.total, "bytes"))
        self.progress.update(done=self.done)
        if (passed := now - self.window_start) >= self.patience_s:
            if self.window_bytes < SLOWEST_BYTES_PER_S * passed and self.done != self.total:
                raise StalledError(f"only {self.window_bytes} bytes came in {passed:.0f} s")
            self.window_start, self.window_bytes = now, 0

    def on_request(self, request: Any) -> None:
        """Runs before each request of the client, including its silent retries."""
        call = (request.method, str(request.url))
        again = call in self.seen
        silent_s = time.monotonic() - max(self.last_byte, self.last_request)
        self.last_request = time.monotonic()
        self.seen.add(call)
        if not again:
            return
        if request.method == "HEAD":
            raise UnreachableError("the Hub answered once and then stopped answering")
        if silent_s >= self.patience_s:
            raise StalledError(f"nothing came for {silent_s:.0f} s after {megabytes(self.done)}")
        logger.info("%s: connection lost after %s, resuming", self.label, megabytes(self.done))


_settings_lock = threading.Lock()


@contextmanager
def client(watch: TransferWatch | None = None) -> Iterator[None]:
    """Sets up huggingface_hub's client for a download, and restores it afterwards.

    - Its log and bar are off; ours are shown.
    - Bytes are passed on as they come, not in pieces of 10 MB. The bar moves, and a resumed transfer loses nothing.
    - Plain HTTP, unless the user sets HF_HUB_DISABLE_XET=0: the chunk store's transport knows none of the limits above.
    - No telemetry, unless HF_HUB_DISABLE_TELEMETRY=0: it asks the Hub for a list first, which costs a request, and 3 s
      if there is no answer.
    """
    import os
    import warnings

    from huggingface_hub import constants
    from huggingface_hub.utils import get_session
    from huggingface_hub.utils import logging as hub_logging

    changes: dict[str, bool | None] = {"DOWNLOAD_CHUNK_SIZE": None}
    changes |= {key: True for key in ("HF_HUB_DISABLE_XET", "HF_HUB_DISABLE_TELEMETRY") if key not in os.environ}
    with _settings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns about a full disk, and so do we
        before = {key: getattr(constants, key) for key in changes}
        verbosity, session = hub_logging.get_verbosity(), get_session()
        hooks = session.event_hooks
        try:
            for key, value in changes.items():
                setattr(constants, key, value)
            hub_logging.set_verbosity_error()
            if watch is not None:
                session.event_hooks = {**hooks, "request": [*hooks["request"], watch.on_request]}
            yield
        finally:
            session.event_hooks = hooks
            hub_logging.set_verbosity(verbosity)
            for key, value in before.items():
                setattr(constants, key, value)


def _lock_of(source: HubSource) -> Path:
    folder = repo_cache(source.repo_id)
    key = hashlib.sha256(f"{source.revision}/{source.file}".encode()).hexdigest()[:16]
    return folder.parent / ".locks" / folder.name / f"nsnet-{key}.lock"


@contextmanager
def exclusive(path: Path, what: str) -> Iterator[None]:
    """Lets one process at a time find, download and check a file, by the lock at `path`. It ends with its process."""
    from filelock import Timeout
    from huggingface_hub.utils import WeakFileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with WeakFileLock(path, timeout=0.2):
            yield
            return
    except Timeout:
        logger.info("another process is downloading %s; waiting for it", what)
    with WeakFileLock(path):
        yield


def check_space(folder: Path, needed_bytes: int | None, name: str, variable: str) -> None:
    """Raises WeightsError if a disk has too little space. `variable` moves the folder, which need not exist yet."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if needed_bytes is not None and free < needed_bytes:
        sizes = f"it needs {megabytes(needed_bytes)}, {folder} has {megabytes(free)} free"
        hint = f"free some space or set {variable} to another disk, then: nsnet models pull {name}"
        raise WeightsError(f"cannot download {name}: {sizes}", hint, "no_space")
