"""Real file systems of other kinds, mounted for a test if this machine allows it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

PATH = os.pathsep.join([os.environ.get("PATH", ""), "/sbin", "/usr/sbin"])


@contextlib.contextmanager
def exfat(folder: Path) -> Iterator[Path]:
    """An exFAT disk at `folder`, as on memory cards: it ignores case and forbids ? : * in names."""
    make = shutil.which("mkfs.exfat", path=PATH)
    mount = shutil.which("mount.exfat-fuse", path=PATH)
    if os.getuid() != 0 or make is None or mount is None or not Path("/dev/fuse").exists():
        pytest.skip("needs root, /dev/fuse, exfatprogs and exfat-fuse")
    folder.mkdir()
    image = folder.with_suffix(".img")
    with image.open("wb") as handle:
        handle.truncate(32 << 20)
    subprocess.run([make, image], check=True, stdout=subprocess.DEVNULL)
    found = subprocess.run(["losetup", "-f", "--show", image], capture_output=True, encoding="utf-8")
    if found.returncode != 0:
        pytest.skip(f"no loop device: {found.stderr.strip()}")
    device = found.stdout.strip()
    try:
        if subprocess.run([mount, device, folder], capture_output=True).returncode != 0:
            pytest.skip("exfat-fuse cannot mount here")
        try:
            yield folder
        finally:
            subprocess.run(["umount", folder], check=False)
    finally:
        subprocess.run(["losetup", "-d", device], check=False)
