"""Users without a home and read-only systems: errors say what, where and what to set, never "this is a bug"."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nsnet_cli.nets.cpu_engine import CpuEngine
from nsnet_cli.tagger import Tagger

Run = Callable[..., subprocess.CompletedProcess[str]]
UID = 54321
"""No user has this number: no passwd entry."""
VARIABLES = ("HOME", "NSNET_CACHE", "HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
needs_root = pytest.mark.skipif(
    not hasattr(os, "getuid") or os.getuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv"
)


@pytest.fixture
def homeless(tmp_path: Path) -> Run:
    """Runs `nsnet ARGS` in an empty folder, as a user without passwd entry and HOME."""
    place = tmp_path / "work"
    place.mkdir()
    os.chown(place, UID, UID)
    # It may read everything (Python may be in root's home) and write only what it owns.
    may_read = ("--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search")
    prefix = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", *may_read]
    code = "import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', 'import nsnet_cli']))"
    tried = subprocess.run([*prefix, sys.executable, "-c", code], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"cannot run Python as another user here: {tried.stderr.strip()}")

    def call(*args: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        env = {key: value for key, value in os.environ.items() if key not in VARIABLES} | variables
        command = [*prefix, sys.executable, "-m", "nsnet_cli", *map(str, args)]
        return subprocess.run(command, env=env, cwd=place, capture_output=True, text=True, timeout=120)

    return call


@needs_root
def test_without_a_home_known_models_are_listed(homeless: Run, tmp_path: Path) -> None:
    done = homeless("models", "list")
    assert done.returncode == 0, done.stderr
    assert "imagenet-lite" in done.stdout and list((tmp_path / "work").iterdir()) == []
    done = homeless("models", "verify", "imagenet-lite")
    assert done.returncode == 0, done.stderr


@needs_root
def test_without_a_home_tagging_says_what_to_set(homeless: Run, tmp_path: Path, cat_video: Path) -> None:
    video = Path(shutil.copy(cat_video, tmp_path / "work" / "cat.mp4"))
    done = homeless("tag", video)
    assert (done.returncode, done.stdout) == (5, "")
    assert f"no cache folder: user {UID} has no home folder" in done.stderr and "NSNET_CACHE" in done.stderr
    assert "bug" not in done.stderr and "Traceback" not in done.stderr
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["cat.mp4"]


@needs_root
def test_without_a_home_a_download_says_what_to_set(homeless: Run, tmp_path: Path) -> None:
    done = homeless("models", "pull", "resnet18")
    assert (done.returncode, "HF_HOME" in done.stderr, "bug" in done.stderr) == (5, True, False), done.stderr
    assert list((tmp_path / "work").iterdir()) == []  # no folder named "~"


@needs_root
def test_without_a_home_but_with_a_cache_it_tags(
    homeless: Run, tmp_path: Path, cat_video: Path, tagger: Tagger
) -> None:
    video = Path(shutil.copy(cat_video, tmp_path / "work" / "cat.mp4"))
    cache = tmp_path / "work" / "cache"
    copied(tagger, cache)
    done = homeless("tag", video, "--json", NSNET_CACHE=str(cache))
    assert done.returncode == 0, done.stderr
    assert '"status": "ok"' in done.stdout


@needs_root
def test_a_cache_of_another_user_says_what_to_set(homeless: Run, tmp_path: Path, cat_video: Path) -> None:
    video = Path(shutil.copy(cat_video, tmp_path / "work" / "cat.mp4"))
    cache = tmp_path / "theirs"
    cache.mkdir(mode=0o755)
    done = homeless("tag", video, NSNET_CACHE=str(cache))
    assert (done.returncode, done.stdout) == (5, "")
    assert str(cache / "engine") in done.stderr and "NSNET_CACHE" in done.stderr and "bug" not in done.stderr


def copied(tagger: Tagger, cache: Path) -> None:
    """A copy of the exports of the default checkpoint, for runs that cannot make them."""
    assert isinstance(tagger.engine, CpuEngine)
    for folder in tagger.engine._exports._held:
        shutil.copytree(folder, cache / "engine" / folder.name)
    for path in (cache, *cache.rglob("*")):
        os.chown(path, UID, UID)


READ_ONLY = """
set -e
mount --make-rprivate /
{writable}
mount -o remount,bind,ro / || mount -o remount,ro /
exec "$@"
"""


def read_only_root(tmp_path: Path, *command: str, hidden: bool, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs `command` where nothing can be written. `hidden`: /tmp, /var/tmp and /dev/shm are missing too."""
    if os.getuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("needs root and unshare")
    script = READ_ONLY.format(writable="")
    places = ("/tmp", "/var/tmp", "/dev/shm", "/usr/tmp") if hidden else ()
    tmpfs = "\n".join(f"[ -d {place} ] && mount -t tmpfs -o ro,size=4k tmpfs {place} || true" for place in places)
    script = script.replace("exec", f"{tmpfs}\nexec")
    probe = [
        "unshare",
        "-m",
        "sh",
        "-c",
        script,
        "sh",
        "sh",
        "-c",
        f"touch {Path.cwd()}/x 2>/dev/null && echo writable; true",
    ]
    tried = subprocess.run(probe, capture_output=True, text=True)
    if tried.returncode or "writable" in tried.stdout:
        (Path.cwd() / "x").unlink(missing_ok=True)
        pytest.skip(f"cannot make the root read-only here: {tried.stderr.strip()}")
    env = {key: value for key, value in os.environ.items() if key not in VARIABLES} | variables
    return subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", *command], env=env, capture_output=True, text=True, timeout=180
    )


@pytest.mark.skipif(sys.prefix.startswith("/tmp/"), reason="it hides /tmp, where this Python lies")
def test_a_read_only_system_without_temporary_files_says_what_to_set(tmp_path: Path) -> None:
    """Not even the error output of a decoder may need a file."""
    video = Path(__file__)  # any file will do: no video is opened before the networks are ready
    command = [sys.executable, "-m", "nsnet_cli", "tag", str(video)]
    done = read_only_root(tmp_path, *command, hidden=True, HOME="/nonexistent", NSNET_CACHE="/nowhere/cache")
    assert (done.returncode, done.stdout) == (5, ""), done.stderr
    assert "/nowhere/cache" in done.stderr and "NSNET_CACHE" in done.stderr
    assert "Traceback" not in done.stderr and "bug" not in done.stderr


def test_a_read_only_system_with_its_exports_tags(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, cat_video: Path, tagger: Tagger
) -> None:
    cache = tmp_path / "cache"
    copied(tagger, cache)
    command = [sys.executable, "-m", "nsnet_cli", "tag", str(cat_video), "--json"]
    done = read_only_root(tmp_path, *command, hidden=False, HOME="/nonexistent", NSNET_CACHE=str(cache))
    assert done.returncode == 0, done.stderr
    assert '"status": "ok"' in done.stdout


def test_the_error_output_of_a_decoder_needs_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """With memory files, and without them and without a folder for temporary files."""
    import tempfile

    from nsnet_cli.video.process import DecodeProcess

    def none(*args: object, **more: object) -> None:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "TemporaryFile", none)
    process = DecodeProcess(reader="no_such_module:read")
    assert "no_such_module" in _words(process)
    monkeypatch.delattr(os, "memfd_create", raising=False)
    process = DecodeProcess(reader="no_such_module:read")
    assert _words(process) == "exit code 1"


def _words(process: object) -> str:
    try:
        process.socket.settimeout(30)  # type: ignore[attr-defined]
        while process.socket.recv(4096):  # type: ignore[attr-defined]
            pass
    except OSError:
        pass
    words: str = process.last_words()  # type: ignore[attr-defined]
    process.end()  # type: ignore[attr-defined]
    return words
