"""A decode process as its parent holds it: a socket, its error output, and a pipe whose closing ends it.

Imports little: `nsnet tag` starts one before anything else, so that it gets ready while the command line is read.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import weakref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import IO

DEFAULT_MEMORY_BYTES = 2 << 30
DEFAULT_READER = "nsnet_cli.video:open_video"
START_TRIES = 3
"""How often to try to start a process for a video."""
GONE_S = 2.0
"""How long to wait for a killed process to end. One that the kernel holds (a dead network disk) is left behind."""

CREDENTIAL_PREFIXES = ("AWS_", "AZURE_", "FSSPEC_", "GOOGLE_", "GCS_", "GCSFS_")
SECRET_WORDS = ("TOKEN", "SECRET", "PASSWORD", "CREDENTIAL", "API_KEY", "ACCESS_KEY")

_BOOT = "import sys; sys.path[:] = {path!r}; from nsnet_cli.video.child import main; main({args})"
_all: weakref.WeakSet[DecodeProcess] = weakref.WeakSet()


def _harmless(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without what lets somebody in: what decodes a stranger's file needs none of it."""
    return {
        name: value
        for name, value in environment.items()
        if not name.upper().startswith(CREDENTIAL_PREFIXES) and not any(word in name.upper() for word in SECRET_WORDS)
    }


def _words_file() -> IO[bytes]:
    """Opens a file in memory for a process's error output: a read-only system may have no folder for it."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("nsnet-stderr"), "w+b")
    import tempfile

    try:
        return tempfile.TemporaryFile()
    except OSError:
        return open(os.devnull, "w+b")  # noqa: PTH123  the output is lost, the exit code is not


class DecodeProcess:
    """One decode process. It is started without waiting; once it is up, it sends "ready" on `socket`.

    `memory_bytes`: what decoding may allocate. `reader`: where the child finds `open_video` ("module:function").
    """

    def __init__(self, memory_bytes: int = DEFAULT_MEMORY_BYTES, reader: str = DEFAULT_READER) -> None:
        self._owner = os.getpid()
        self.ready = False
        """Whether it has sent "ready"."""
        self.served = 0
        """Videos requested from it so far."""
        self.socket, theirs = socket.socketpair()
        life_read, self._life = os.pipe()
        self._stderr = _words_file()
        args = f"{theirs.fileno()}, {life_read}, {memory_bytes}, {reader!r}"
        boot = _BOOT.format(path=[os.path.abspath(entry) for entry in sys.path], args=args)  # noqa: PTH100
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", boot],
                pass_fds=(theirs.fileno(), life_read),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._stderr,
                env=_harmless(
                    {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
                ),
                start_new_session=True,  # Ctrl-C in the terminal reaches only the parent
            )
        except BaseException:
            self._close_files()
            raise
        finally:
            theirs.close()
            os.close(life_read)
        _all.add(self)

    @property
    def pid(self) -> int | None:
        """None once it has ended, because others may get its id. None too in a fork, which must not use it."""
        return self._process.pid if os.getpid() == self._owner and self._process.poll() is None else None

    def end(self) -> None:
        """Kills it and closes its files. One that the kernel holds ends when the kernel lets it go."""
        if os.getpid() != self._owner:
            return
        with contextlib.suppress(OSError):
            self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=GONE_S)
        self._close_files()

    def last_words(self) -> str:
        """Returns how it ended, and the last line that it wrote."""
        try:
            code = self._process.wait(timeout=GONE_S)
        except subprocess.TimeoutExpired:
            return "it no longer answers"
        how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - 2000))
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        return f"{how}: {lines[-1][:200]}" if lines else how

    def _close_files(self) -> None:
        _all.discard(self)
        self.socket.close()
        os.close(self._life)
        self._stderr.close()


def _forget() -> None:
    """Runs in a fork of this program: closes the parent's files, or the workers would outlive the parent."""
    for process in list(_all):
        process._close_files()
    _all.clear()


os.register_at_fork(after_in_child=_forget)
