"""Files are whole or absent: links, modes, killed runs, two writers at once. On real disks."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

from nsnet_cli import atomic
from nsnet_cli.atomic import sweep, unique, write_whole

PACKAGE = Path(atomic.__file__).parent


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_link_is_replaced_and_what_it_points_to_stays(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "link").symlink_to("mine.txt")
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("link", "dangling"):
        write_whole(tmp_path / name, b"new")
        assert (tmp_path / name).read_bytes() == b"new" and not (tmp_path / name).is_symlink()
    assert (tmp_path / "mine.txt").read_text() == "mine" and not (tmp_path / "nowhere").exists()


def test_modes_follow_the_umask(tmp_path: Path) -> None:
    code = "import os, sys; from pathlib import Path; from nsnet_cli.atomic import write_whole; os.umask(0o027)"
    code += "; write_whole(Path(sys.argv[1]), b'')"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "file")], check=True)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


@pytest.mark.parametrize("replace", [True, False])
def test_leftovers_of_a_process_with_the_same_number_do_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replace: bool
) -> None:
    """In a container, every run has the same process numbers."""
    monkeypatch.setattr(atomic, "_serial", count())
    left = [unique(), f".{unique()}.tmp"]
    for folder in (tmp_path / "tmp", tmp_path):
        folder.mkdir(exist_ok=True)
        for name in left:
            (folder / name).write_text("half")
    for temporary in (tmp_path / "tmp", None):
        monkeypatch.setattr(atomic, "_serial", count())
        target = tmp_path / f"target in {temporary}".replace("/", "_")
        write_whole(target, b"whole", temporary=temporary, replace=replace)
        assert target.read_bytes() == b"whole"
    assert names(tmp_path / "tmp") == sorted(left)


def test_of_two_writers_one_wins(tmp_path: Path) -> None:
    target = tmp_path / "file"
    write_whole(target, b"first", replace=False)
    with pytest.raises(FileExistsError):
        write_whole(target, b"second", replace=False)
    assert target.read_bytes() == b"first" and names(tmp_path) == ["file"]


def test_an_interruption_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("old")

    def interrupted(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_text() == "old" and names(tmp_path) == ["file"]


def test_a_full_disk_names_the_file(tmp_path: Path) -> None:
    code = """
import resource, signal, sys
sys.dont_write_bytecode = True  # the limit would cut .pyc files too
from pathlib import Path
from nsnet_cli.atomic import write_whole
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    write_whole(Path(sys.argv[1]), bytes(9000))
except OSError as error:
    print(error.filename)
"""
    command = [sys.executable, "-c", code, str(tmp_path / "file")]
    out = subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout
    assert out.strip() == str(tmp_path / "file") and names(tmp_path) == []


def test_only_leftovers_of_dead_processes_of_this_machine_are_swept(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    host = os.uname().nodename
    for name in (f"{host}@{gone.pid}-0", f"{host}@{os.getpid()}-0", f"elsewhere@{gone.pid}-0", "notes.txt"):
        (tmp_path / name).touch()
    sweep(tmp_path)
    assert names(tmp_path) == sorted([f"{host}@{os.getpid()}-0", f"elsewhere@{gone.pid}-0", "notes.txt"])
    sweep(tmp_path / "nowhere")


def test_only_write_whole_renames_files() -> None:
    """All files go through write_whole. Only whole folders in the cache are made and removed under another name."""
    renames = re.compile(r"\.replace\((?![^()]*[,=])|os\.(rename|replace)\(|\.rename\(|mkstemp|NamedTemporaryFile")
    found = [
        path.relative_to(PACKAGE).as_posix()
        for path in sorted(PACKAGE.rglob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if renames.search(line)
    ]
    assert found == ["atomic.py", "nets/intact.py", "nets/intact.py"]
