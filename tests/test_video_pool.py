"""The pool of decode processes: a fault in one costs one video, and none outlives the process that started it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import select
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hung_disk import hung_disk
from readers import process_of, read
from video_files import make_video, number_of

from nsnet_cli.errors import NsnetError, VideoError
from nsnet_cli.media import DecodeReport, FrameBatch, ReadOptions, VideoHeader
from nsnet_cli.video import read_video, wire
from nsnet_cli.video.child import AHEAD
from nsnet_cli.video.pool import DecodePool
from nsnet_cli.video.process import START_TRIES
from nsnet_cli.video.remote import MAX_TIMEOUT_S, default_timeout_s

OPTIONS = ReadOptions(size_px=64)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("worker") / "clip.mp4", frames=100)


@pytest.fixture(scope="module")
def pool() -> Iterator[DecodePool]:
    with DecodePool() as shared:
        yield shared


def numbers(messages: Iterator[VideoHeader | FrameBatch | DecodeReport]) -> list[int]:
    batches = [message for message in messages if isinstance(message, FrameBatch)]
    return [number_of(pixels) for batch in batches for pixels in batch.pixels]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


def test_a_pool_reads_the_same_as_this_process(pool: DecodePool, clip: Path) -> None:
    options = ReadOptions(size_px=64, jpegs=True)
    theirs, ours = list(read(pool, clip, options)), list(read_video(clip, options))
    assert theirs[0] == ours[0]
    for one, other in zip(theirs[1:-1], ours[1:-1], strict=True):
        assert isinstance(one, FrameBatch)
        assert isinstance(other, FrameBatch)
        assert np.array_equal(one.pixels, other.pixels)
        assert np.array_equal(one.pts_s, other.pts_s)
        assert one.jpegs == other.jpegs
    assert isinstance(theirs[-1], DecodeReport)


def test_one_process_serves_many_videos_good_and_bad(pool: DecodePool, clip: Path, tmp_path: Path) -> None:
    numbers(read(pool, clip, OPTIONS))
    pid = process_of(pool)
    (tmp_path / "empty.mp4").touch()
    for _ in range(3):
        with pytest.raises(VideoError) as caught:
            list(read(pool, tmp_path / "empty.mp4", OPTIONS))
        assert (caught.value.kind, caught.value.message) == ("empty_file", f"{tmp_path}/empty.mp4: is empty (0 bytes)")
        assert numbers(read(pool, clip, OPTIONS))
    assert process_of(pool) == pid


def test_names_that_are_not_utf8_reach_the_worker(pool: DecodePool, clip: Path, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"n\xff\nm.mp4")
    path.write_bytes(clip.read_bytes())
    assert numbers(read(pool, path, OPTIONS))


@pytest.mark.parametrize("fault", ["hang", "stop"])
def test_a_hang_ends_at_the_deadline_and_the_next_video_is_read(fault: str, clip: Path) -> None:
    with DecodePool(reader=f"fault_readers:{fault}") as pool:
        pool.start()
        pid, started = process_of(pool), time.monotonic()
        with pytest.raises(VideoError, match=f"{clip}.*--timeout") as caught:
            list(read(pool, clip, OPTIONS, timeout_s=1.0))
        assert caught.value.kind == "timeout"
        assert time.monotonic() - started < 60, "the deadline, and the start of a process on a busy machine; not 1000 s"
        assert pid is not None
        assert not alive(pid)
        pool.reader = "nsnet_cli.video:open_video"
        assert numbers(read(pool, clip, OPTIONS))


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        ("segfault", "crashed", "SIGSEGV"),
        ("abort", "crashed", "SIGABRT: codec: assertion failed"),
        ("leak", "out_of_memory", "memory"),
        ("broken", "internal", "ZeroDivisionError"),
        ("unsendable", "crashed", "local object"),
        ("eio", "unreadable", "Input/output error"),
    ],
)
def test_a_crash_costs_one_video(fault: str, kind: str, words: str, clip: Path) -> None:
    with DecodePool(memory_bytes=256 << 20, reader=f"fault_readers:{fault}") as pool:
        for _ in range(2):
            with pytest.raises(VideoError, match=words) as caught:
                list(read(pool, clip, OPTIONS, timeout_s=100))
            assert caught.value.kind == kind


def test_killed_from_outside(pool: DecodePool, clip: Path) -> None:
    messages = read(pool, clip, ReadOptions(size_px=64, max_frames=100, even=True))
    next(messages)
    assert process_of(pool) is not None
    os.kill(process_of(pool), signal.SIGKILL)
    with pytest.raises(VideoError, match="SIGKILL") as caught:
        list(messages)
    assert caught.value.kind == "crashed"
    assert numbers(read(pool, clip, OPTIONS))


def test_killed_between_two_videos(pool: DecodePool, clip: Path) -> None:
    numbers(read(pool, clip, OPTIONS))
    assert process_of(pool) is not None
    os.kill(process_of(pool), signal.SIGKILL)
    assert wait_until(lambda: process_of(pool) is None), (
        "who kills by number must not meet another process of that number"
    )
    assert numbers(read(pool, clip, OPTIONS))


def test_killed_just_before_a_request(pool: DecodePool, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers(read(pool, clip, OPTIONS))
    pid, send = process_of(pool), wire.send

    def kill_and_send(sock: socket.socket, message: object) -> None:
        if process_of(pool) == pid and pid is not None:
            os.kill(pid, signal.SIGKILL)
            assert wait_until(lambda: bool(select.select([sock], [], [], 0)[0])), "its end of the socket is closed"
        send(sock, message)

    monkeypatch.setattr(wire, "send", kill_and_send)
    assert numbers(read(pool, clip, OPTIONS))
    assert process_of(pool) != pid


def test_a_start_that_fails_is_tried_again(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAULT_READERS_COUNT", str(tmp_path / "once"))
    with DecodePool(reader="fault_readers_that_start_late:open_video") as pool:
        assert numbers(read(pool, clip, OPTIONS))


def test_a_worker_that_no_longer_starts_costs_one_video(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = tmp_path / "deaths"
    monkeypatch.setenv("FAULT_READERS_COUNT", str(count))
    monkeypatch.setenv("FAULT_READERS_DEATHS", "0")
    with DecodePool(reader="fault_readers_that_start_late:open_video") as pool:
        assert numbers(read(pool, clip, OPTIONS))
    count.unlink(missing_ok=True)
    monkeypatch.setenv("FAULT_READERS_DEATHS", str(START_TRIES))
    with DecodePool(reader="fault_readers_that_start_late:open_video") as pool:
        with pytest.raises(VideoError, match=r"does not start, tried 3 times.*exit code 9") as caught:
            list(read(pool, clip, OPTIONS))
        assert caught.value.kind == "crashed"
        assert numbers(read(pool, clip, OPTIONS)), "and the next one is read"


def test_a_slow_consumer_loses_nothing(clip: Path) -> None:
    """A heavy recogniser, the first batch of a GPU, a busy machine: the worker waits until it is read."""
    with DecodePool(reader="fault_readers:plenty") as pool:
        batches = 0
        for message in read(pool, clip, OPTIONS, timeout_s=30.0):
            batches += isinstance(message, FrameBatch)
            if batches in (1, 3):
                time.sleep(2.5)
        assert batches == 24
        assert len([m for m in read(pool, clip, OPTIONS) if isinstance(m, FrameBatch)]) == 24


def test_a_worker_stuck_in_the_kernel_is_left_behind(clip: Path, tmp_path: Path) -> None:
    """Its disk stopped answering: neither the deadline nor SIGKILL ends the process that opens the file."""
    with hung_disk(tmp_path / "disk") as disk, DecodePool() as pool:
        numbers(read(pool, clip, OPTIONS))
        pid, started = process_of(pool), time.monotonic()
        with pytest.raises(VideoError, match="hung-open") as caught:
            list(read(pool, disk / "hung-open.mp4", OPTIONS, timeout_s=1.0))
        assert caught.value.kind == "timeout" and time.monotonic() - started < 60
        assert pid is not None and alive(pid), "so this was one that cannot be killed"
        assert numbers(read(pool, clip, OPTIONS))


def test_a_fork_does_not_touch_the_worker_of_its_parent(clip: Path) -> None:
    with DecodePool() as pool:
        assert numbers(read(pool, clip, OPTIONS))
        pid = process_of(pool)
        child = multiprocessing.get_context("fork").Process(
            target=lambda: sys.exit(not numbers(read(pool, clip, OPTIONS)))
        )
        child.start()
        child.join(60)
        assert child.exitcode == 0, "the child reads by a worker of its own"
        assert process_of(pool) == pid and numbers(read(pool, clip, OPTIONS))


def test_the_time_of_a_stopped_process_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-Z in the middle of a wait, `fg` a thousand seconds later."""
    ours, theirs = socket.socketpair()
    real, jumps = time.monotonic, iter([0.0, 1000.0])
    now_s = 0.0

    def clock() -> float:
        nonlocal now_s
        now_s += next(jumps, 0.0)
        return real() + now_s

    with ours, theirs:
        wire.send(theirs, "a message")
        deadline = wire.Deadline(60.0)
        monkeypatch.setattr(time, "monotonic", clock)
        assert wire.receive(ours, deadline) == "a message"
    assert deadline.left_s is not None and deadline.left_s > 50 and now_s == 1000.0


def test_memory_is_capped_for_real_media(tmp_path: Path) -> None:
    """35 bytes that hold a valid picture of 110 million pixels."""
    path = tmp_path / "big.gif"
    size = (11000).to_bytes(2, "little") + (10000).to_bytes(2, "little")
    path.write_bytes(b"GIF89a" + size + b"\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0" + size + b"\0\x02\x02D\x01\0;")
    with DecodePool(memory_bytes=200 << 20) as pool, pytest.raises(VideoError) as caught:
        list(read(pool, path, OPTIONS, timeout_s=60))
    assert caught.value.kind == "out_of_memory"


def test_an_iterator_closed_early_leaves_the_worker_usable(pool: DecodePool, clip: Path) -> None:
    messages = read(pool, clip, ReadOptions(size_px=64, max_frames=100, even=True))
    next(messages)
    messages.close()  # type: ignore[attr-defined]
    assert len(numbers(read(pool, clip, OPTIONS))) == 24


def test_a_video_opened_ahead(clip: Path, tmp_path: Path) -> None:
    with DecodePool() as pool:
        pool.open_ahead(clip, OPTIONS)
        assert len(numbers(read(pool, clip, OPTIONS))) == 24
        pool.open_ahead(tmp_path / "another.mp4", OPTIONS)  # and then not needed
        assert len(numbers(read(pool, clip, OPTIONS))) == 24
        pool.open_ahead(clip, OPTIONS)
        assert process_of(pool) is not None
        os.kill(process_of(pool), signal.SIGKILL)  # before anybody read
        assert wait_until(lambda: process_of(pool) is None)
        assert len(numbers(read(pool, clip, OPTIONS))) == 24
        pool.open_ahead(tmp_path / "gone.mp4", OPTIONS)
        with pytest.raises(VideoError, match="gone"):
            list(read(pool, tmp_path / "gone.mp4", OPTIONS))


def test_a_worker_waits_for_a_slow_consumer(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = tmp_path / "count"
    monkeypatch.setenv("FAULT_READERS_COUNT", str(count))
    with DecodePool(reader="fault_readers:many") as pool:
        messages = read(pool, clip, OPTIONS, timeout_s=30.0)
        for _ in range(4):
            next(messages)
        assert wait_until(lambda: int(count.read_text() or "0") >= 2), "decodes ahead"
        time.sleep(0.5)
        assert int(count.read_text()) <= 4 + AHEAD + 3, "but only so far"
        messages.close()  # type: ignore[attr-defined]


def test_the_time_of_the_consumer_is_not_counted(pool: DecodePool, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, spent_s = time.monotonic, 0.0
    monkeypatch.setattr(time, "monotonic", lambda: real() + spent_s)
    for _ in read(pool, clip, OPTIONS, timeout_s=60):
        spent_s += 100.0
    assert spent_s > 200


def test_a_worker_that_cannot_start_is_not_the_videos_fault(clip: Path) -> None:
    with (
        DecodePool(reader="no_such_module:read") as pool,
        pytest.raises(NsnetError, match="no_such_module") as caught,
    ):
        list(read(pool, clip, OPTIONS))
    assert not isinstance(caught.value, VideoError)


def test_the_default_deadline_follows_the_length() -> None:
    assert default_timeout_s(0) < default_timeout_s(60) < default_timeout_s(600)
    assert default_timeout_s(1e9) == MAX_TIMEOUT_S


def test_the_worker_imports_neither_torch_nor_terminal_libraries(clip: Path) -> None:
    with DecodePool(reader="fault_readers:modules") as pool, pytest.raises(VideoError) as caught:
        list(read(pool, clip, OPTIONS))
    roots = {name.split(".")[0] for name in caught.value.message.split()}
    assert {"av", "numpy", "nsnet_cli"} <= roots
    assert not roots & {"torch", "torchvision", "timm", "typer", "click", "rich", "openvino", "PIL", "decord", "tqdm"}


PARENT = """
    import sys
    from pathlib import Path
    from nsnet_cli.media import ReadOptions
    from readers import process_of, read
    from nsnet_cli.video.pool import DecodePool

    if __name__ == "__main__":
        with DecodePool(reader=sys.argv[2]) as pool:
            messages = read(pool, Path(sys.argv[1]), ReadOptions(64), timeout_s=100)
            next(messages)
            try:
                print(process_of(pool), flush=True)
                list(messages)
            except KeyboardInterrupt:
                print("interrupted", flush=True)
"""


@contextlib.contextmanager
def parent_of_a_hanging_worker(clip: Path, fault: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "-c", textwrap.dedent(PARENT), str(clip), f"fault_readers:{fault}"]
    parent = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", env=env, start_new_session=True
    )
    assert parent.stdout is not None
    try:
        yield parent, int(parent.stdout.readline())
    finally:
        parent.kill()
        parent.communicate()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs the kernel's F_SETSIG")
@pytest.mark.parametrize("fault", ["hang", "stop"])
def test_the_worker_dies_with_its_parent_even_if_both_are_stuck(clip: Path, fault: str) -> None:
    with parent_of_a_hanging_worker(clip, fault) as (parent, pid):
        assert alive(pid)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        assert wait_until(lambda: not alive(pid))


def test_ctrl_c_prints_nothing_from_the_worker(clip: Path) -> None:
    with parent_of_a_hanging_worker(clip, "hang") as (parent, pid):
        os.killpg(parent.pid, signal.SIGINT)  # what a terminal does
        out, err = parent.communicate(timeout=60)
        assert (out, err) == ("interrupted\n", "")
        assert wait_until(lambda: not alive(pid))
