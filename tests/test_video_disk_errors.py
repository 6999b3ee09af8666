"""A failing disk is not mistaken for a truncated file.

The failing disk is a library between a process and its C library: from some byte on, reads of a file whose name begins
with "eio" give EIO. FFmpeg and Python both go through it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from video_files import make_video

SHIM = r"""
    #define _GNU_SOURCE
    #include <dlfcn.h>
    #include <errno.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <string.h>
    #include <unistd.h>

    static long bad_from(int fd) {
        char link[64], name[4096];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(link, name, sizeof name - 1);
        if (length <= 0) return -1;
        name[length] = 0;
        char *base = strrchr(name, '/');
        return base && !strncmp(base, "/eio", 4) ? atol(getenv("EIO_FROM")) : -1;
    }
    static ssize_t bounded(ssize_t (*real)(int, void *, size_t, off_t), int fd, void *to, size_t count, off_t at) {
        long bad = bad_from(fd);
        if (bad >= 0) {
            off_t here = at >= 0 ? at : lseek(fd, 0, SEEK_CUR);
            if (here >= bad) { errno = EIO; return -1; }
            if (here + (off_t)count > bad) count = bad - here;
        }
        return real(fd, to, count, at);
    }
    static ssize_t plain(int fd, void *to, size_t count, off_t at) {
        ssize_t (*real)(int, void *, size_t) = dlsym(RTLD_NEXT, "read");
        return real(fd, to, count);
    }
    static ssize_t placed(int fd, void *to, size_t count, off_t at) {
        ssize_t (*real)(int, void *, size_t, off_t) = dlsym(RTLD_NEXT, "pread64");
        return real(fd, to, count, at);
    }
    ssize_t read(int fd, void *to, size_t count) { return bounded(plain, fd, to, count, -1); }
    ssize_t pread(int fd, void *to, size_t count, off_t at) { return bounded(placed, fd, to, count, at); }
    ssize_t pread64(int fd, void *to, size_t count, off_t at) { return bounded(placed, fd, to, count, at); }
"""
READ = """
    import os
    import sys
    from pathlib import Path
    from nsnet_cli.errors import VideoError
    from nsnet_cli.media import ReadOptions
    from nsnet_cli.video import read_video

    for bad_from in sys.argv[2:]:
        os.environ["EIO_FROM"] = bad_from
        try:
            print("ok", sum(1 for _ in read_video(Path(sys.argv[1]), ReadOptions(64))))
        except VideoError as error:
            print(error.kind, error)
"""


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[str]]:
    """The outcome of reading a file on a disk that fails from a byte on: one line per such byte."""
    compiler = shutil.which("cc")
    if not sys.platform.startswith("linux") or compiler is None:
        pytest.skip("needs Linux and a C compiler to make a disk that fails")
    folder = tmp_path_factory.mktemp("shim")
    (folder / "shim.c").write_text(textwrap.dedent(SHIM))
    library = folder / "shim.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, folder / "shim.c", "-ldl"], check=True)

    def read(path: Path, *bad_from: int) -> list[str]:
        env = {**os.environ, "LD_PRELOAD": str(library)}
        command = [sys.executable, "-c", textwrap.dedent(READ), path, *map(str, bad_from)]
        run = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, encoding="utf-8")
        return run.stdout.splitlines()

    return read


@pytest.mark.parametrize("name", ["eio.mp4", "eio_faststart.mp4", "eio.mkv", "eio.ts", "eio.avi", "eio.mpg"])
def test_a_disk_error_is_reported_as_one(tmp_path: Path, name: str, reading: Callable[..., list[str]]) -> None:
    codec = {".avi": "mpeg4", ".mpg": "mpeg2video"}.get(Path(name).suffix, "libx264")
    flags = {"movflags": "faststart"} if "faststart" in name else {}
    path = make_video(tmp_path / name, codec, 640, gop=3, container_options=flags)
    size = path.stat().st_size
    assert size > 70_000, "more than one read of FFmpeg's"
    *bad, sound = reading(path, 0, size // 50, size // 2, size * 9 // 10, size + 1)
    for line in bad:
        assert line.startswith("unreadable") and "Input/output error" in line, bad
        assert str(path) in line
    assert sound.startswith("ok"), "the same disk, where all that is read is sound"


def test_a_truncated_file_is_not_a_disk_error(tmp_path: Path, reading: Callable[..., list[str]]) -> None:
    path = make_video(tmp_path / "cut.mp4", frames=100)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert reading(path, 0)[0].startswith("truncated")
